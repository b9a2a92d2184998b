#include "process/system_call_filter.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace guise {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr uint32_t kOtherAbi = 0x40000000;  // x32 has the same calls under these numbers (__X32_SYSCALL_BIT)
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr uint32_t kOtherAbi = UINT32_MAX;
#else
constexpr uint32_t kArchitecture = 0;
constexpr uint32_t kOtherAbi = 0;
#endif

// Mounts, other processes, kernel code, namespaces, keys, the clock, the machine: large parts of the kernel that an
// intruder would look for a way up in, with CAP_NET_ADMIN or without.
constexpr uint32_t kRefused[] = {
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_quotactl,
    SYS_acct,
    SYS_swapon,
    SYS_swapoff,
    SYS_open_by_handle_at,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_personality,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_setns,
    SYS_unshare,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_reboot,
    SYS_syslog,
    SYS_vhangup,
    SYS_sethostname,
    SYS_setdomainname,
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_kexec_file_load,
#endif
};

constexpr uint32_t kNewNamespaces =
    CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS;

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
// The next instruction is for when the comparison holds; for when it does not.
sock_filter when(uint16_t comparison, uint32_t value) { return BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 0, 1); }
sock_filter unless(uint16_t comparison, uint32_t value) { return BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 1, 0); }

std::vector<sock_filter> program() {
  std::vector<sock_filter> filter{
      load(offsetof(seccomp_data, arch)),
      unless(BPF_JEQ, kArchitecture),
      answer(refuse(EPERM)),
      load(offsetof(seccomp_data, nr)),
      when(BPF_JGE, kOtherAbi),
      answer(refuse(EPERM)),
      // Its flags are in memory, where a filter cannot look; the C library takes clone instead.
      when(BPF_JEQ, SYS_clone3),
      answer(refuse(ENOSYS)),
  };
  for (const uint32_t call : kRefused) filter.insert(filter.end(), {when(BPF_JEQ, call), answer(refuse(EPERM))});
  filter.insert(filter.end(), {
                                  unless(BPF_JEQ, SYS_clone),
                                  answer(kAllow),
                                  // The low half of its first argument; both architectures are little-endian.
                                  load(offsetof(seccomp_data, args)),
                                  when(BPF_JSET, kNewNamespaces),
                                  answer(refuse(EPERM)),
                                  answer(kAllow),
                              });
  return filter;
}

}  // namespace

int filter_system_calls() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
  if (kArchitecture == 0) return -ENOSYS;
  std::vector<sock_filter> filter = program();
  const sock_fprog fprog{static_cast<unsigned short>(filter.size()), filter.data()};
  // SPEC_ALLOW: before Linux 5.16 a filter turned on mitigations that cost far more than it does.
  constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &fprog);
  if (result < 0) return -errno;
  return result == 0 ? 0 : -ESRCH;  // a thread with a filter of its own cannot take this one
}

}  // namespace guise
