// Hosts that are network namespaces, the links between them, and who sends and listens there. Needs CAP_SYS_ADMIN and
// ip(8).
#pragma once

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../support/require.h"
#include "check.h"
#include "host/held_port.h"
#include "io/link_device.h"
#include "io/socket_address.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

using Bytes = std::vector<uint8_t>;

// Milliseconds. What does not come within this is not going to: a test that waits for it has failed. One that has
// failed waits no longer for the rest.
inline constexpr int kPatience = 10'000, kPatienceAfterFailure = 100;

// Whether `fd` is readable, now or soon.
[[nodiscard]] inline bool comes(std::span<const int> descriptors) {
  std::vector<pollfd> all;
  for (const int fd : descriptors) all.push_back({.fd = fd, .events = POLLIN, .revents = 0});
  return ::poll(all.data(), all.size(), failed_checks > 0 ? kPatienceAfterFailure : kPatience) > 0;
}
[[nodiscard]] inline bool comes(int fd) { return comes(std::span(&fd, 1)); }

// The address of this host's end of its link of a number, `end` 1 or 2; link 0 is the loopback.
inline guise::Address address(int family, uint8_t link, uint8_t end) {
  if (link == 0) {
    const uint8_t loopback4[] = {127, 0, 0, 1}, loopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return family == AF_INET ? guise::Address::from_v4(loopback4) : guise::Address::from_v6(loopback6);
  }
  if (family == AF_INET) {
    const uint8_t bytes[] = {10, 9, link, end};
    return guise::Address::from_v4(bytes);
  }
  uint8_t bytes[16] = {0xfd, 9};
  bytes[7] = link;
  bytes[15] = end;
  return guise::Address::from_v6(bytes);
}

// Those of AF_INET and AF_INET6 that this kernel has.
inline std::vector<int> families() {
  if (::access("/proc/net/if_inet6", F_OK) == 0) return {AF_INET, AF_INET6};
  return {AF_INET};
}

class Host {
 public:
  Host() {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    namespace_ = guise::UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    REQUIRE(namespace_.get() >= 0);
    run("ip link set lo up");
  }

  // Calls `what` as a program on this host.
  template <typename What>
  auto in(What what) const {
    REQUIRE(::setns(namespace_.get(), CLONE_NEWNET) == 0);
    return what();
  }
  void run(const std::string& command) const {
    in([&] {
      const bool done = std::system((command + " >/dev/null").c_str()) == 0;
      if (!done) std::printf("# %s\n", command.c_str());
      REQUIRE(done);
    });
  }

  // Links this host's interface `a<number>`, which is 10.9.<number>.1 and fd09:0:0:<number>::1, and `other`'s
  // `b<number>`, which ends in 2; returns when packets pass.
  void link(const Host& other, uint8_t number) const {
    const std::string n = std::to_string(number);
    run("ip link add a" + n + " address 02:00:00:00:0" + n + ":01 type veth peer name b" + n +
        " address 02:00:00:00:0" + n + ":02 netns /proc/" + std::to_string(::getpid()) + "/fd/" +
        std::to_string(other.namespace_.get()));
    for (const int end : {1, 2}) {
      const Host& host = end == 1 ? *this : other;
      const std::string interface = (end == 1 ? "a" : "b") + n, last = std::to_string(end);
      host.run("ip link set " + interface + " up");
      host.run("ip addr add 10.9." + n + "." + last + "/24 dev " + interface);
      if (families().size() > 1) host.run("ip addr add fd09:0:0:" + n + "::" + last + "/64 nodad dev " + interface);
    }
    for (const int family : families()) wait_for_link(other, address(family, number, 1), address(family, number, 2));
  }

 private:
  [[nodiscard]] guise::UniqueFd udp_socket(const guise::Endpoint& local) const {
    return in([&] {
      const int family = guise::family_of(local.address);
      guise::UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_storage to{};
      const socklen_t size = guise::to_sockaddr(local, family, to);
      REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&to), size) == 0);
      return fd;
    });
  }
  // The kernel begins to use an interface a moment after it is up: until then, it drops.
  void wait_for_link(const Host& other, const guise::Address& own, const guise::Address& others) const {
    const guise::UniqueFd here = udp_socket({own, 9}), there = other.udp_socket({others, 9});
    sockaddr_storage to{};
    const socklen_t size = guise::to_sockaddr({others, 9}, guise::family_of(others), to);
    pollfd arrives{.fd = there.get(), .events = POLLIN, .revents = 0};
    for (int tries = 0; tries < kPatience; ++tries) {
      (void)::sendto(here.get(), "", 1, 0, reinterpret_cast<sockaddr*>(&to), size);
      if (::poll(&arrives, 1, 1) > 0) return;
    }
    REQUIRE(!"the link is up");
  }

  guise::UniqueFd namespace_;
};

// Whether this process may make hosts.
inline bool may_make_hosts() {
  bool may = false;
  std::thread([&] { may = ::unshare(CLONE_NEWNET) == 0; }).join();
  return may;
}

// Runs a case on hosts of its own, which are gone behind it; `tools` are programs that it needs. It stays on one
// processor: each has a queue of its own for what comes over a veth, and they are not in step.
inline void on_hosts(const char* sentence, std::initializer_list<const char*> tools,
                     const std::function<void()>& body) {
  static const bool may = may_make_hosts();
  if (!may) return skip(sentence, "no right to make network namespaces");
  std::vector<const char*> all(tools);
  all.push_back("ip");
  for (const char* tool : all) {
    const std::string found = "command -v " + std::string(tool) + " >/dev/null";
    if (std::system(found.c_str()) != 0) return skip(sentence, (std::string("no ") + tool).c_str());
  }
  test(sentence, [&] {
    std::thread([&] {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(static_cast<size_t>(::sched_getcpu()), &one);
      REQUIRE(::sched_setaffinity(0, sizeof one, &one) == 0);
      body();
    }).join();
  });
}

// A whole segment, as its sender would write it without help.
inline Bytes segment(const guise::Tuple& tuple, uint32_t seq, uint8_t flags, const Bytes& payload = {}) {
  const guise::SegmentHeader header(tuple);
  Bytes packet(header.size() + payload.size());
  header.write(packet.data(), seq, 1, flags, {}, payload.size());
  std::copy(payload.begin(), payload.end(), packet.begin() + static_cast<ptrdiff_t>(header.size()));
  guise::ChecksumSum sum;
  sum.add(packet.data() + header.ip_size(), packet.size() - header.ip_size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(packet.data() + header.ip_size() + guise::tcp::kChecksum, &checksum, sizeof checksum);
  return packet;
}

inline Bytes pattern(size_t size, uint32_t seed) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>((i * 2654435761u + seed) >> 8);
  return bytes;
}

// What was heard, with its bytes.
struct Heard {
  Bytes packet;
  guise::ParseError error = guise::ParseError::kNone;
  guise::Tuple tuple;  // as the sender has it
  uint32_t seq = 0;
  uint8_t flags = 0;
  Bytes payload;
  size_t segment_size = 0;
  guise::Way way;
};

inline Heard to_heard(std::span<const uint8_t> packet, const guise::VirtioNetHeader* offload, guise::Way way) {
  Heard heard;
  heard.packet.assign(packet.begin(), packet.end());
  heard.way = way;
  guise::SegmentView view;
  heard.error = guise::parse_segment(packet, offload, view);
  if (heard.error != guise::ParseError::kNone) return heard;
  heard.tuple = {view.tuple.remote, view.tuple.local};
  heard.seq = view.seq;
  heard.flags = view.flags;
  heard.payload.assign(view.payload.begin(), view.payload.end());
  heard.segment_size = view.segment_size;
  return heard;
}

// A LinkDevice on a host, and the ports that it holds.
class Side {
 public:
  // The least that there can be: a block of each size.
  static constexpr guise::LinkDevice::Options kOptions{.segmentation = true,
                                                       .limits = {64, 1 << 20},
                                                       .ring_bytes = 1,
                                                       .send_bytes = 4 << 20,
                                                       .send_wait = kPatience,
                                                       .fanout = false};

  explicit Side(const Host& host, const guise::SegmentInterests& interests = {},
                const guise::LinkDevice::Options& options = kOptions, const guise::LinkSockets::Options& sockets = {},
                std::shared_ptr<guise::LinkGroup> group = std::make_shared<guise::LinkGroup>()) {
    host.in([&] {
      guise::LinkSockets opened;
      const char* syscall = "";
      REQUIRE(guise::LinkSockets::open(sockets, opened, syscall) == 0);
      REQUIRE(guise::LinkDevice::create(std::move(opened), options, std::move(group), device_, syscall) == 0);
    });
    pass(interests);
  }

  void pass(const guise::SegmentInterests& interests) {
    const char* syscall = "";
    REQUIRE(device_->pass(interests, syscall) == 0);
  }
  [[nodiscard]] guise::LinkDevice& device() { return *device_; }

  // Checksums are verified as if the kernel had said nothing of them.
  void distrust() { trusts_ = false; }

  // The next packet; false when none waits.
  [[nodiscard]] bool hear(Heard& heard) {
    guise::Packet packet;
    for (;;) {
      switch (device_->read(packet)) {
        case guise::PacketDevice::Read::kPacket:
          if (!trusts_) packet.offload.flags = 0;
          heard = to_heard(packet.bytes, packet.offload_or_null(), packet.way);
          return true;
        case guise::PacketDevice::Read::kFull:
          device_->begin();
          break;
        default:
          device_->begin();
          return false;
      }
    }
  }

  // What comes until `last` says so of one, with that one; the rings are free then. Fails the case when it does not
  // come.
  template <typename Last>
  std::vector<Heard> hear_until(Last last) {
    std::vector<Heard> all;
    for (;;) {
      Heard heard;
      while (hear(heard)) {
        all.push_back(heard);
        if (!last(heard)) continue;
        device_->begin();
        return all;
      }
      const bool more = comes(device_->descriptors());
      CHECK(more);
      if (!more) return all;
    }
  }
  // The next packet; one without bytes when none comes.
  Heard hear_one() {
    const std::vector<Heard> all = hear_until([](const Heard&) { return true; });
    return all.empty() ? Heard{} : all.front();
  }

  guise::Written send(guise::Way way, const guise::Tuple& tuple, uint32_t seq, const Bytes& payload = {},
                      uint8_t flags = guise::kAck) {
    return device_->write_segment(way, guise::SegmentHeader(tuple), seq, 1, flags, {}, payload);
  }
  guise::Written send_run(guise::Way way, const guise::Tuple& tuple, uint32_t seq, const Bytes& payload,
                          size_t segment_size) {
    guise::SegmentRun run(64, 65000);
    REQUIRE(run.add(payload.data(), payload.size(), segment_size) == payload.size());
    return device_->write_run(way, guise::SegmentHeader(tuple), seq, 1, true, run);
  }

 private:
  std::unique_ptr<guise::LinkDevice> device_;
  bool trusts_ = true;
};

// Puts frames of any content on a host's link.
class Injector {
 public:
  static constexpr guise::LinkAddress kNear{2, 0, 0, 0, 1, 1}, kFar{2, 0, 0, 0, 1, 2};

  Injector(const Host& host, const char* interface) {
    host.in([&] {
      fd_ = guise::UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
      interface_ = static_cast<int>(::if_nametoindex(interface));
      REQUIRE(fd_.get() >= 0 && interface_ > 0);
    });
  }

  void put(const Bytes& packet, const guise::LinkAddress& to = kFar) {
    Bytes frame(to.begin(), to.end());
    frame.insert(frame.end(), kNear.begin(), kNear.end());
    const bool v4 = packet.at(0) >> 4 == 4;
    frame.resize(ETH_HLEN);
    guise::write16(frame.data() + 12, v4 ? ETH_P_IP : ETH_P_IPV6);
    frame.insert(frame.end(), packet.begin(), packet.end());
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = interface_;
    const auto sent =
        ::sendto(fd_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&address), sizeof address);
    REQUIRE(sent == static_cast<ssize_t>(frame.size()));
  }

 private:
  guise::UniqueFd fd_;
  int interface_ = 0;
};

// Hears all that comes to a host of one family.
class Sniffer {
 public:
  Sniffer(const Host& host, int family) {
    const auto protocol = static_cast<uint16_t>(family == AF_INET ? ETH_P_IP : ETH_P_IPV6);
    host.in([&] { fd_ = guise::UniqueFd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(protocol))); });
    REQUIRE(fd_.get() >= 0);
  }

  // Of segments with good checksums or none yet; `kind` is how a frame came, PACKET_HOST or another.
  template <typename Last>
  std::vector<Heard> hear_until(Last last, unsigned char kind = PACKET_HOST) {
    // The kernel's own segments on a veth have no checksum yet.
    constexpr guise::VirtioNetHeader kUnchecked{.flags = guise::VirtioNetHeader::kNeedsChecksum};
    std::vector<Heard> all;
    while (comes(fd_.get())) {
      uint8_t packet[65536];
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t got = ::recvfrom(fd_.get(), packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&from), &size);
      REQUIRE(got >= 0);
      Heard heard = to_heard({packet, static_cast<size_t>(got)}, &kUnchecked, {});
      if (heard.error != guise::ParseError::kNone || from.sll_pkttype != kind) continue;
      all.push_back(heard);
      if (last(heard)) return all;
    }
    constexpr bool kCame = false;
    CHECK(kCame);
    return all;
  }

 private:
  guise::UniqueFd fd_;
};
