// A path between two hosts that is slow, long, or bad: a TUN in each of two namespaces, and what comes out of one goes
// into the other after a queue and a while. Dice have a seed, so that each who takes the path meets the same.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <random>
#include <thread>
#include <vector>

#include "../../../bench/traffic/flags.h"

namespace {

using traffic::fail;
using Clock = std::chrono::steady_clock;

constexpr const char* kHelp =
    R"(path_relay path --from NAMESPACE --to NAMESPACE --name NAME   an interface of that name in both, linked
  --delay US       one way (default 0)
  --rate MBIT      each way, bits of IP packets (default: any)
  --queue N        packets that wait for the rate; more are dropped (default 1000)
  --lose F, --double F, --damage F, --reorder F
                   fractions of packets that are dropped, sent twice, changed in a byte behind the IP header, held back
  --hold US        how long those are held back (default 1000)
  --seed N         of the dice (default 1)
Says "ready"; with its end a JSON line of what it did each way.
)";

struct Plan {
  Clock::duration delay{}, hold{};
  double nanoseconds_a_byte = 0;
  size_t queue = 1000;
  double lose = 0, twice = 0, damage = 0, reorder = 0;
};

struct Counts {
  uint64_t passed = 0, lost = 0, overflowed = 0;
};

std::atomic<bool> stopping{false};

int open_tun(const std::string& space, const std::string& name) {
  const int space_fd = ::open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
  if (space_fd < 0 || ::setns(space_fd, CLONE_NEWNET) < 0) fail("namespace " + space + ": " + std::strerror(errno));
  ::close(space_fd);
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  if (fd < 0 || ::ioctl(fd, TUNSETIFF, &request) < 0) fail("TUN " + name + ": " + std::strerror(errno));
  return fd;
}

// One direction, on a thread of its own.
class Lane {
 public:
  Lane(int in, int out, const Plan& plan, uint64_t seed) : in_(in), out_(out), plan_(plan), dice_(seed) {}

  void run() {
    (void)::prctl(PR_SET_TIMERSLACK, 1);
    while (!stopping) {
      wait();
      take();
      give();
    }
  }

  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Packet {
    Clock::time_point due;
    std::vector<uint8_t> bytes;
  };

  static constexpr size_t kBatch = 64;

  bool falls(double fraction) { return fraction > 0 && std::uniform_real_distribution<>()(dice_) < fraction; }

  void wait() {
    pollfd ready{in_, POLLIN, 0};
    timespec timeout{0, 100'000'000};
    if (!under_way_.empty()) {
      const auto left = std::chrono::nanoseconds(under_way_.front().due - Clock::now()).count();
      timeout.tv_nsec = std::clamp<long>(left, 0, timeout.tv_nsec);
    }
    (void)::ppoll(&ready, 1, &timeout, nullptr);
  }

  void take() {
    std::array<uint8_t, 65536> buffer;
    for (size_t i = 0; i < kBatch; ++i) {
      const ssize_t size = ::read(in_, buffer.data(), buffer.size());
      if (size <= 0) return;
      if (falls(plan_.lose)) {
        ++counts_.lost;
        continue;
      }
      std::vector<uint8_t> packet(buffer.begin(), buffer.begin() + size);
      if (falls(plan_.damage)) packet[20 + dice_() % (packet.size() - 20)] ^= 0x10;
      if (falls(plan_.twice)) put(packet);
      put(std::move(packet));
    }
  }

  void put(std::vector<uint8_t> packet) {
    const auto now = Clock::now();
    while (!queued_.empty() && queued_.front() <= now) queued_.pop_front();
    if (queued_.size() >= plan_.queue) {
      ++counts_.overflowed;
      return;
    }
    const auto lasts = static_cast<int64_t>(plan_.nanoseconds_a_byte * static_cast<double>(packet.size()));
    sent_ = std::max(sent_, now) + std::chrono::nanoseconds(lasts);
    if (lasts > 0) queued_.push_back(sent_);
    const auto due = sent_ + plan_.delay + (falls(plan_.reorder) ? plan_.hold : Clock::duration::zero());
    auto place = under_way_.end();
    while (place != under_way_.begin() && due < std::prev(place)->due) --place;
    under_way_.insert(place, {due, std::move(packet)});
  }

  void give() {
    for (const auto now = Clock::now(); !under_way_.empty() && under_way_.front().due <= now; under_way_.pop_front()) {
      const std::vector<uint8_t>& bytes = under_way_.front().bytes;
      if (::write(out_, bytes.data(), bytes.size()) > 0) ++counts_.passed;
    }
  }

  const int in_, out_;
  const Plan plan_;
  std::mt19937_64 dice_;
  Clock::time_point sent_{};              // when the last one has left the queue
  std::deque<Clock::time_point> queued_;  // when those will that wait
  std::deque<Packet> under_way_;          // by the time they arrive
  Counts counts_;
};

void print(const char* name, const Counts& counts) {
  std::printf("\"%s\":{\"passed\":%llu,\"lost\":%llu,\"overflowed\":%llu}", name,
              static_cast<unsigned long long>(counts.passed), static_cast<unsigned long long>(counts.lost),
              static_cast<unsigned long long>(counts.overflowed));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string(argv[1]) != "path") {
    std::fputs(kHelp, stdout);
    return 2;
  }
  const traffic::Flags flags = traffic::parse(argc, argv);
  const auto number = [&](const char* name, const char* otherwise) {
    return std::stod(traffic::get(flags, name, otherwise));
  };
  Plan plan;
  plan.delay = std::chrono::microseconds(static_cast<int64_t>(number("delay", "0")));
  plan.hold = std::chrono::microseconds(static_cast<int64_t>(number("hold", "1000")));
  if (flags.count("rate")) plan.nanoseconds_a_byte = 8000 / number("rate", "0");
  plan.queue = static_cast<size_t>(number("queue", "1000"));
  plan.lose = number("lose", "0");
  plan.twice = number("double", "0");
  plan.damage = number("damage", "0");
  plan.reorder = number("reorder", "0");
  const auto seed = static_cast<uint64_t>(number("seed", "1"));

  const std::string name = traffic::get(flags, "name", "path");
  const int near = open_tun(traffic::get(flags, "from", ""), name);
  const int far = open_tun(traffic::get(flags, "to", ""), name);
  std::signal(SIGTERM, [](int) { stopping = true; });
  std::signal(SIGINT, [](int) { stopping = true; });
  Lane there(near, far, plan, seed), back(far, near, plan, seed + 1);
  std::thread thread([&] { back.run(); });
  std::fprintf(stderr, "ready\n");
  there.run();
  thread.join();
  std::printf("{");
  print("there", there.counts());
  std::printf(",");
  print("back", back.counts());
  std::printf("}\n");
  return 0;
}
