// A box on the way: a TUN whose packets come out again after a while, as long as no connection has more than so many
// bytes on the way that nobody has acknowledged. What exceeds that is swallowed, as firewalls do that keep to a window.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "plane/verdict.h"
#include "wire/segment.h"

namespace {

using Clock = std::chrono::steady_clock;
using guise::Endpoint;
using guise::SegmentView;

struct Waiting {
  Clock::time_point due;
  std::vector<uint8_t> packet;
};

// What nobody has acknowledged of one direction counts from here.
struct Direction {
  bool known = false;
  uint32_t acknowledged = 0;
};

auto key_of(const Endpoint& from, const Endpoint& to) {
  return std::tuple(from.address.bytes, from.port, to.address.bytes, to.port);
}

class Box {
 public:
  explicit Box(uint32_t limit) : limit_(limit) {}

  // Whether a packet may pass.
  bool take(const std::vector<uint8_t>& packet) {
    SegmentView segment;
    if (parse_segment(packet, nullptr, segment) != guise::ParseError::kNone) return true;
    Direction& back = directions_[key_of(segment.tuple.local, segment.tuple.remote)];
    if (segment.flags & guise::kAck && (!back.known || guise::ahead(segment.ack, back.acknowledged) > 0))
      back = {true, segment.ack};
    const Direction& forth = directions_[key_of(segment.tuple.remote, segment.tuple.local)];
    const uint32_t end = segment.seq + static_cast<uint32_t>(segment.payload.size());
    if (segment.payload.empty()) ++acks_;
    if (segment.payload.empty() || !forth.known || guise::ahead(end, forth.acknowledged + limit_) <= 0) return true;
    ++swallowed_;
    return false;
  }

  [[nodiscard]] size_t swallowed() const { return swallowed_; }
  [[nodiscard]] size_t acks() const { return acks_; }

 private:
  const uint32_t limit_;
  size_t swallowed_ = 0, acks_ = 0;
  std::map<decltype(key_of({}, {})), Direction> directions_;
};

volatile std::sig_atomic_t stopped = 0;

int open_tun(const char* name) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ::ioctl(fd, TUNSETIFF, &request) < 0) {
    std::perror("box: TUN");
    std::exit(1);
  }
  return fd;
}

}  // namespace

// box NAME LIMIT DELAY: an interface, bytes and microseconds. Says `ready`, and with its end how many it has swallowed
// and how many segments without data have come.
int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const int fd = open_tun(argv[1]);
  Box box(static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10)));
  const std::chrono::microseconds delay(std::strtoul(argv[3], nullptr, 10));
  std::signal(SIGTERM, [](int) { stopped = 1; });
  std::puts("ready");
  std::fflush(stdout);

  std::deque<Waiting> waiting;
  std::array<uint8_t, 65536> buffer;
  while (!stopped) {
    pollfd ready{fd, POLLIN, 0};
    timespec timeout{1, 0};
    if (!waiting.empty()) {
      const auto left = std::max(Clock::duration::zero(), waiting.front().due - Clock::now());
      timeout = {0, std::min<long>(999'999'999, std::chrono::nanoseconds(left).count())};
    }
    (void)::ppoll(&ready, 1, &timeout, nullptr);
    ssize_t size;
    while ((size = ::read(fd, buffer.data(), buffer.size())) > 0) {
      std::vector<uint8_t> packet(buffer.begin(), buffer.begin() + size);
      if (box.take(packet)) waiting.push_back({Clock::now() + delay, std::move(packet)});
    }
    for (; !waiting.empty() && waiting.front().due <= Clock::now(); waiting.pop_front())
      (void)!::write(fd, waiting.front().packet.data(), waiting.front().packet.size());
  }
  std::printf("%zu %zu\n", box.swallowed(), box.acks());
  return 0;
}
