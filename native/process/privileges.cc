#include "process/privileges.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

namespace guise {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

// The signal by which glibc makes all threads change their user (SIGSETXID, nptl/nptl_setxid.c), and Go's runtime
// whatever it wants: the only one that no thread can block, Node's SignalInspector included.
constexpr int kEveryThread = 33;
constexpr auto kPatience = 1s;

struct Capabilities {
  uint64_t effective, permitted, inheritable;
};

// Of a thread, 0 for this one. Zeros if it has ended.
Capabilities capabilities_of(pid_t thread) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, thread};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> words{};
  if (::syscall(SYS_capget, &header, words.data()) < 0) return {};
  const auto join = [&](auto member) { return uint64_t{words[1].*member} << 32 | words[0].*member; };
  return {join(&__user_cap_data_struct::effective), join(&__user_cap_data_struct::permitted),
          join(&__user_cap_data_struct::inheritable)};
}

// System calls and nothing else: a signal handler. What leaves the inheritable set leaves the ambient one too.
void limit_this_thread(uint64_t keep) {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (!(keep >> capability & 1)) ::prctl(PR_CAPBSET_DROP, capability);  // as far as CAP_SETPCAP is there
  }
  const Capabilities had = capabilities_of(0);
  const auto low = [](uint64_t set) { return static_cast<uint32_t>(set); };
  const auto high = [](uint64_t set) { return static_cast<uint32_t>(set >> 32); };
  const uint64_t permitted = had.permitted & keep, inheritable = had.inheritable & keep;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> words{
      {{low(permitted), low(permitted), low(inheritable)}, {high(permitted), high(permitted), high(inheritable)}}};
  ::syscall(SYS_capset, &header, words.data());
}

// Programs that this thread starts have them too. Root's have them anyway; those of a user whose Node has file
// capabilities (setcap) would have none.
void lend(uint64_t permitted) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> words{};
  if (::syscall(SYS_capget, &header, words.data()) < 0) return;
  for (auto& word : words) word.inheritable = word.permitted;
  if (::syscall(SYS_capset, &header, words.data()) < 0) return;
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (permitted >> capability & 1) ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

void on_signal(int, siginfo_t* info, void*) {
  const int error = errno;
  limit_this_thread(reinterpret_cast<uintptr_t>(info->si_value.sival_ptr));
  errno = error;
}

// Takes the signal for as long as it lives. glibc's sigaction() refuses it; the kernel wants a return path in its
// own form, which is had from an ordinary signal.
class SignalOfEveryThread {
 public:
  SignalOfEveryThread() {
    struct sigaction ours {
    }, before{};
    ours.sa_sigaction = on_signal;
    ours.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGRTMAX, &ours, &before);
    KernelAction action;
    kernel_sigaction(SIGRTMAX, nullptr, &action);
    ::sigaction(SIGRTMAX, &before, nullptr);
    kernel_sigaction(kEveryThread, &action, &before_);
  }
  ~SignalOfEveryThread() { kernel_sigaction(kEveryThread, &before_, nullptr); }
  SignalOfEveryThread(const SignalOfEveryThread&) = delete;
  SignalOfEveryThread& operator=(const SignalOfEveryThread&) = delete;

  // The handler needs no memory of ours, even if it runs late.
  static void send(pid_t thread, uint64_t value) {
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    info.si_pid = ::getpid();
    info.si_uid = ::getuid();
    info.si_value.sival_ptr = reinterpret_cast<void*>(static_cast<uintptr_t>(value));
    ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), thread, kEveryThread, &info);
  }

 private:
  using KernelAction = std::array<unsigned long, 8>;  // struct sigaction of the kernel, whatever its fields
  static constexpr size_t kMaskBytes = _NSIG / 8;

  static void kernel_sigaction(int signal, const KernelAction* action, KernelAction* before) {
    ::syscall(SYS_rt_sigaction, signal, action, before, kMaskBytes);
  }

  KernelAction before_{};
};

std::vector<pid_t> threads() {
  std::vector<pid_t> ids;
  DIR* tasks = ::opendir("/proc/self/task");
  if (!tasks) return ids;
  while (const dirent* entry = ::readdir(tasks)) {
    if (const pid_t id = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10))) ids.push_back(id);
  }
  ::closedir(tasks);
  return ids;
}

}  // namespace

int limit_capabilities(uint64_t keep, uint64_t& kept) {
  const auto has_more = [keep](pid_t thread) {
    const Capabilities has = capabilities_of(thread);
    return ((has.permitted | has.inheritable) & ~keep) != 0;
  };
  limit_this_thread(keep);
  kept = capabilities_of(0).permitted;
  if (::geteuid() != 0) lend(kept);
  const SignalOfEveryThread signal;
  std::set<pid_t> told;
  // Until a look at all of them finds no thread, a new one neither, that has more.
  for (const auto deadline = steady_clock::now() + kPatience; steady_clock::now() < deadline;) {
    const std::vector<pid_t> all = threads();
    if (all.empty()) return -ENOENT;
    bool waiting = false;
    for (const pid_t thread : all) {
      if (!has_more(thread)) continue;
      waiting = true;
      if (told.insert(thread).second) SignalOfEveryThread::send(thread, keep);
    }
    if (!waiting) return 0;
    std::this_thread::sleep_for(100us);
  }
  return -ETIMEDOUT;
}

}  // namespace guise
