// What guise relies on of the kernel where it takes segments from the host's links: each case on network namespaces of
// its own, which takes root. Built with AddressSanitizer and UBSan.
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "../support/icmp.h"
#include "host/local_addresses.h"
#include "io/clock.h"
#include "link_rig.h"
#include "wire/icmp.h"
#include "wire/reassembly.h"

using namespace guise;

namespace {

constexpr uint16_t kNearPort = 40000, kFarPort = 4567, kFreePort = 4568;

// Of the link of a number, as its near end sends.
Tuple across(int family, uint8_t link = 1) {
  return {{address(family, link, 1), kNearPort}, {address(family, link, 2), kFarPort}};
}
Tuple back(const Tuple& tuple) { return {tuple.remote, tuple.local}; }

// On the host that the thread is on.
UniqueFd hold(Endpoint local) {
  UniqueFd fd;
  const char* syscall = "";
  REQUIRE(hold_port(local, fd, syscall) == 0);
  return fd;
}
// At all addresses of all families.
Endpoint everywhere(uint16_t port) {
  const uint8_t any[4]{};
  return {families().size() > 1 ? Address{} : Address::from_v4(any), port};
}
UniqueFd hold_everywhere(const Host& host, uint16_t port) {
  return host.in([&] { return hold(everywhere(port)); });
}

// Runs `body` on a thread that may do nothing that takes a right.
template <typename Body>
void without_rights(Body body) {
  std::thread([&] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
    REQUIRE(::syscall(SYS_capset, &header, none) == 0);
    body();
  }).join();
}

// A connection of the kernel's TCP. `error`: 0, or -errno, as -EINPROGRESS where it does not wait.
UniqueFd call(const Host& host, const Endpoint& remote, bool waits, int hops, int& error) {
  const int family = family_of(remote.address);
  return host.in([&] {
    UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | (waits ? 0 : SOCK_NONBLOCK), 0));
    const int level = family == AF_INET ? static_cast<int>(IPPROTO_IP) : static_cast<int>(IPPROTO_IPV6);
    const int option = family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS;
    REQUIRE(::setsockopt(fd.get(), level, option, &hops, sizeof hops) == 0);
    sockaddr_storage to{};
    const socklen_t size = to_sockaddr(remote, family, to);
    error = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size) < 0 ? -errno : 0;
    return fd;
  });
}

// Whether nothing comes back from `remote` to a SYN with this TTL. Behind it the same host is asked at a port that
// nobody has, and says so.
bool is_silent(const Host& near, const Endpoint& remote, int hops = 64) {
  Sniffer sniffer(near, family_of(remote.address));
  int error = 0, refused = 0;
  const UniqueFd caller = call(near, remote, false, hops, error);
  CHECK(error == -EINPROGRESS);
  (void)call(near, {remote.address, kFreePort}, true, hops, refused);
  CHECK(refused == -ECONNREFUSED);
  bool silent = true;
  sniffer.hear_until([&](const Heard& heard) {
    silent &= heard.tuple.local.port != remote.port;
    return heard.tuple.local.port == kFreePort;
  });
  tcp_info info{};
  socklen_t size = sizeof info;
  REQUIRE(::getsockopt(caller.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
  constexpr uint8_t kSynSent = 2;  // TCP_SYN_SENT, net/tcp_states.h
  CHECK(silent == (info.tcpi_state == kSynSent));
  return silent;
}

void held_port_tests() {
  on_hosts("a held port is silent, whatever a SYN's TTL, and a free one refuses", {}, [] {
    const Host near, far;
    near.link(far, 1);
    for (const int family : families()) {
      const Endpoint local{address(family, 1, 2), kFarPort};
      const UniqueFd held = far.in([&] { return hold(local); });
      CHECK(is_silent(near, local));
      CHECK(is_silent(near, local, 255));
    }
  });

  on_hosts("a port that is held without any right is silent, to neighbours with the highest TTL too", {}, [] {
    const Host near, far;
    near.link(far, 1);
    for (const int family : families()) {
      const Endpoint local{address(family, 1, 2), kFarPort};
      UniqueFd held;
      far.in([&] { without_rights([&] { held = hold(local); }); });
      CHECK(is_silent(near, local));
      CHECK(is_silent(near, local, 255));
    }
  });

  on_hosts("a port is held for both families at once", {}, [] {
    const Host near, far;
    near.link(far, 1);
    UniqueFd held;
    far.in([&] { without_rights([&] { held = hold(everywhere(kFarPort)); }); });
    for (const int family : families()) CHECK(is_silent(near, {address(family, 1, 2), kFarPort}));
  });

  on_hosts("a held port is nobody else's, and another address may have it too", {}, [] {
    const Host near, far;
    near.link(far, 1);
    near.link(far, 2);
    far.in([] {
      const auto check = [] {
        for (const int family : families()) {
          const auto taken = [](Endpoint local) {
            UniqueFd fd;
            const char* syscall = "";
            return hold_port(local, fd, syscall);
          };
          const auto bound = [](const Endpoint& local, const UniqueFd& fd) {
            sockaddr_storage at{};
            const socklen_t size = to_sockaddr(local, family_of(local.address), at);
            return ::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) < 0 ? -errno : 0;
          };
          const Endpoint first{address(family, 1, 2), kFarPort}, second{address(family, 2, 2), kFarPort};
          const UniqueFd held = hold(first), beside = hold(second);
          const UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
          CHECK(bound(first, socket) == -EADDRINUSE);
          CHECK(taken(first) == -EADDRINUSE);
          CHECK(taken(everywhere(kFarPort)) == -EADDRINUSE);
          const UniqueFd server(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
          const Endpoint served{first.address, kFreePort};
          CHECK(bound(served, server) == 0 && ::listen(server.get(), 1) == 0);
          CHECK(taken(served) == -EADDRINUSE);
          Endpoint chosen{first.address, 0};
          UniqueFd any;
          const char* syscall = "";
          CHECK(hold_port(chosen, any, syscall) == 0 && chosen.port != 0);
          CHECK(local_endpoint(any.get()) == chosen);
        }
      };
      check();
      without_rights(check);
    });
  });

  on_hosts("a held port answers no segment with a RST, a free one does", {}, [] {
    const Host near, far;
    near.link(far, 1);
    for (const int family : families()) {
      const UniqueFd held = hold_everywhere(far, kFarPort), own = hold_everywhere(near, kNearPort);
      Sniffer sniffer(near, family);
      Side side(near);
      Tuple tuple = across(family);
      for (const uint8_t flags : {uint8_t{kSyn | kAck}, kAck, kFin, kRst})
        CHECK(side.send({}, tuple, 1, {1, 2}, flags).error == 0);
      tuple.remote.port = kFreePort;
      CHECK(side.send({}, tuple, 1, {1, 2}).error == 0);
      const auto answers = sniffer.hear_until([](const Heard&) { return true; });
      CHECK(answers.size() == 1 && answers[0].tuple.local.port == kFreePort && (answers[0].flags & kRst) != 0);
    }
  });
}

void netfilter_tests() {
  on_hosts("segments are seen and sent although nftables drops all", {"nft"}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    far.run("nft add table inet drops");
    for (const char* hook : {"prerouting", "input", "forward"})
      far.run(std::string("nft 'add chain inet drops ") + hook + " { type filter hook " + hook +
              " priority -300; policy drop; }'");
    for (const int family : families()) {
      Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
      const Tuple tuple = across(family);
      // The kernel's own TCP has heard nothing: it refuses nothing.
      Tuple refused = tuple;
      refused.remote.port = kFreePort;
      CHECK(side.send({}, refused, 1).error == 0);
      CHECK(side.send({}, tuple, 7, {1, 2, 3}).error == 0);
      const Heard heard = other.hear_one();
      CHECK(heard.tuple == tuple && heard.seq == 7 && heard.payload == Bytes({1, 2, 3}));
      CHECK(other.send(heard.way, back(tuple), 8).error == 0);
      CHECK(side.hear_one().seq == 8);
      // What leaves by a route is netfilter's, what goes a known way is not.
      far.run("nft 'add chain inet drops output { type filter hook output priority -300; policy drop; }'");
      CHECK(other.send({}, back(tuple), 9).error == -EPERM);
      CHECK(other.send(heard.way, back(tuple), 10).error == 0);
      CHECK(side.hear_one().seq == 10);
      far.run("nft delete chain inet drops output");
    }
  });
}

// Near sends a segment, far answers with a run over the way that it came: what near hears of it.
std::vector<Heard> answer_with_run(Side& near, Side& far, int family, const Bytes& bytes, size_t segment_size) {
  const Tuple tuple = across(family);
  CHECK(near.send({}, tuple, 1).error == 0);
  const Heard call = far.hear_one();
  CHECK(call.way.known());
  const Written written = far.send_run(call.way, back(tuple), 100, bytes, segment_size);
  CHECK(written.error == 0 && written.writes == 1 && !written.fell_back && !written.way_lost && written.refused == 0);
  size_t size = 0;
  return near.hear_until([&](const Heard& heard) { return (size += heard.payload.size()) >= bytes.size(); });
}

void segmentation_tests() {
  static constexpr size_t kSegment = 1000, kLast = 123, kBytes = 39 * kSegment + kLast;

  on_hosts("a super-segment comes whole over a veth, with its boundaries", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    for (const int family : families()) {
      Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
      const Bytes bytes = pattern(kBytes, 1);
      const auto all = answer_with_run(side, other, family, bytes, kSegment);
      CHECK(all.size() == 1);
      if (all.empty()) continue;
      CHECK(all[0].error == ParseError::kNone && all[0].tuple == back(across(family)));
      CHECK(all[0].payload == bytes && all[0].seq == 100 && all[0].segment_size == kSegment);
      CHECK(all[0].flags == (kAck | kPsh));
    }
  });

  on_hosts("a link that cuts nothing has the kernel cut, with checksums that are right", {"ethtool"}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    far.run("ethtool -K b1 tso off tx off");
    for (const int family : families()) {
      Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
      side.distrust();
      const Bytes bytes = pattern(kBytes, 2);
      const auto all = answer_with_run(side, other, family, bytes, kSegment);
      Bytes got;
      for (const Heard& heard : all) {
        CHECK(heard.error == ParseError::kNone && heard.seq == 100 + got.size());
        CHECK(heard.segment_size == std::min(kSegment, heard.payload.size()));
        CHECK(((heard.flags & kPsh) != 0) == (got.size() + heard.payload.size() == bytes.size()));
        got.insert(got.end(), heard.payload.begin(), heard.payload.end());
      }
      CHECK(got == bytes);
    }
  });
}

// An IPv4 packet with two words of options, each NOP.
Bytes with_options(Bytes packet) {
  packet.insert(packet.begin() + ipv4::kHeader, 8, 1);
  packet[ipv4::kVersionAndLength] = 4 << 4 | 7;
  write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size()));
  write16(&packet[ipv4::kChecksum], 0);
  ChecksumSum sum;
  sum.add(packet.data(), ipv4::kHeader + 8);
  const uint16_t checksum = sum.checksum();
  std::memcpy(&packet[ipv4::kChecksum], &checksum, sizeof checksum);
  return packet;
}

// The packet as a fragment, the first or a later one, of another that was larger.
Bytes as_fragment(Bytes packet, bool first) {
  const uint16_t place = first ? 0 : 100;
  if (packet[0] >> 4 == 4) {
    write16(&packet[ipv4::kFragment], static_cast<uint16_t>(place | (first ? 0x2000 : 0)));
    write16(&packet[ipv4::kChecksum], 0);
    ChecksumSum sum;
    sum.add(packet.data(), ipv4::kHeader);
    const uint16_t checksum = sum.checksum();
    std::memcpy(&packet[ipv4::kChecksum], &checksum, sizeof checksum);
    return packet;
  }
  uint8_t extension[8] = {packet[ipv6::kNextHeader], 0, 0, 0, 0, 0, 0, 1};
  write16(extension + 2, static_cast<uint16_t>(place << 3 | (first ? 1 : 0)));
  packet.insert(packet.begin() + ipv6::kHeader, std::begin(extension), std::end(extension));
  packet[ipv6::kNextHeader] = ipv6::kFragment;
  write16(&packet[ipv6::kPayloadLength], static_cast<uint16_t>(packet.size() - ipv6::kHeader));
  return packet;
}

// The packet with another protocol's number; its ports are where those of TCP are.
Bytes as_udp(Bytes packet) {
  if (packet[0] >> 4 == 6) {
    packet[ipv6::kNextHeader] = IPPROTO_UDP;
    return packet;
  }
  packet[ipv4::kProtocol] = IPPROTO_UDP;
  return as_fragment(packet, false);
}

struct Attempt {
  const char* what;
  Bytes packet;
  bool passes;
};

// Sends all and checks which are heard; the last has to pass.
void check_passing(Injector& injector, Side& side, const std::vector<Attempt>& attempts) {
  REQUIRE(attempts.back().passes);
  for (const Attempt& attempt : attempts) injector.put(attempt.packet);
  const auto all = side.hear_until([&](const Heard& heard) { return heard.packet == attempts.back().packet; });
  size_t heard = 0;
  for (const Attempt& attempt : attempts) {
    const bool passed = heard < all.size() && all[heard].packet == attempt.packet;
    if (passed) ++heard;
    if (passed != attempt.passes) std::printf("# %s\n", attempt.what);
    CHECK(passed == attempt.passes);
  }
  CHECK(heard == all.size());
}

std::vector<uint16_t> ports_from(uint16_t first, size_t count) {
  std::vector<uint16_t> ports;
  for (size_t i = 0; i < count; ++i) ports.push_back(static_cast<uint16_t>(first + i));
  return ports;
}

void filter_tests() {
  on_hosts("only segments of ports and remotes that were named are read", {}, [] {
    const Host near, far;
    near.link(far, 1);
    Injector injector(near, "a1");
    for (const int family : families()) {
      const Endpoint friendly{address(family, 1, 7), 5000};
      Side side(far, {{kFarPort, 4569}, {{address(family, 1, 6), 5001}, friendly}});
      const auto to = [&](uint8_t from, uint16_t from_port, uint16_t port) {
        static uint32_t seq = 0;
        return segment({{address(family, 1, from), from_port}, {address(family, 1, 2), port}}, ++seq, kAck, {1, 2, 3});
      };
      std::vector<Attempt> attempts{
          {"a port of ours", to(1, 1, kFarPort), true},
          {"the next one", to(1, 1, 4569), true},
          {"another port", to(1, 1, kFreePort), false},
          {"a port of ours as theirs", to(1, kFarPort, kFreePort), false},
          {"a remote", to(7, 5000, kFreePort), true},
          {"the other remote", to(6, 5001, kFreePort), true},
          {"a remote's address with another's port", to(7, 5001, kFreePort), false},
          {"another address with a remote's port", to(1, 5000, kFreePort), false},
          {"UDP", as_udp(to(7, 5000, kFarPort)), false},
          {"a fragment of UDP", as_fragment(as_udp(to(7, 5000, kFarPort)), true), false},
          {"the first fragment of TCP", as_fragment(to(1, 1, kFreePort), true), true},
          {"a later fragment of TCP", as_fragment(to(1, 1, kFreePort), false), true},
      };
      if (family == AF_INET) {
        attempts.push_back({"a port of ours behind IP options", with_options(to(1, 1, kFarPort)), true});
        attempts.push_back({"a remote behind IP options", with_options(to(7, 5000, kFreePort)), true});
        attempts.push_back({"another port behind IP options", with_options(to(1, 1, kFreePort)), false});
      }
      attempts.push_back({"the last", to(1, 1, kFarPort), true});
      check_passing(injector, side, attempts);

      side.pass({{}, {friendly}});
      check_passing(
          injector, side,
          {{"a port that is not ours any more", to(1, 1, kFarPort), false}, {"a remote", to(7, 5000, kFarPort), true}});
    }
  });

  on_hosts("ICMP errors that quote TCP are read, whichever ports, and no other ICMP is", {}, [] {
    const Host near, far;
    near.link(far, 1);
    Injector injector(near, "a1");
    for (const int family : families()) {
      const bool four = family == AF_INET;
      // Whose ports and addresses the error quotes is the engine's to compare.
      Side side(far, {{kFarPort}, {}});
      const Tuple ours = back(across(family));
      const auto error = [&](const IcmpHead& head, const Bytes& quoted) {
        return icmp_error(address(family, 1, 1), address(family, 1, 2), head, quoted);
      };
      const Bytes sent = segment(ours, 7, kAck, {1, 2, 3});
      const IcmpHead too_big = IcmpHead::too_big(four, 1400);
      const auto of_type = [&](uint8_t type) { return error({.type = type, .code = 0}, sent); };
      std::vector<Attempt> attempts{
          {"a packet that is too big", error(too_big, sent), true},
          {"a packet that goes nowhere", error(IcmpHead::unreachable(four, 1), sent), true},
          {"of another port", error(too_big, segment({{address(family, 1, 2), 1}, ours.remote}, 7, kAck)), true},
          {"the least that is quoted", error(too_big, Bytes(sent.begin(), sent.begin() + (four ? 28 : 48))), true},
          {"of UDP", error(too_big, as_udp(sent)), false},
          {"of ICMP", error(too_big, error(too_big, sent)), false},
          {"a ping", of_type(four ? 8 : 128), false},
          {"the answer to one", of_type(four ? 0 : 129), false},
          {"time exceeded", of_type(four ? 11 : 3), false},
          {"a parameter problem", of_type(four ? 12 : 4), false},
      };
      if (four) {
        attempts.push_back({"behind IP options", with_options(error(too_big, sent)), true});
        attempts.push_back({"of UDP behind IP options", with_options(error(too_big, as_udp(sent))), false});
        attempts.push_back({"the first fragment of one", as_fragment(error(too_big, sent), true), false});
        attempts.push_back({"a later fragment", as_fragment(error(too_big, sent), false), false});
      } else {
        attempts.push_back({"a redirect", of_type(137), false});
        attempts.push_back({"a neighbour's advertisement", of_type(136), false});
      }
      attempts.push_back({"the last", segment(across(family), 1, kAck), true});
      check_passing(injector, side, attempts);
      // It is the same where there is no room for the ports.
      side.pass({ports_from(1, 3000), {}});
      check_passing(injector, side, attempts);
      for (const Attempt& attempt : attempts) {
        if (!attempt.passes || attempt.packet == attempts.back().packet) continue;
        injector.put(attempt.packet);
        CHECK(parse_icmp_error(side.hear_one().packet, nullptr).has_value());
      }
    }
  });

  on_hosts("more interests than a filter has room for pass, and with them all TCP", {}, [] {
    const Host near, far;
    near.link(far, 1);
    Injector injector(near, "a1");
    for (const int family : families()) {
      const auto to = [&](uint16_t port) {
        return segment({{address(family, 1, 1), 5000}, {address(family, 1, 2), port}}, 1, kAck);
      };
      constexpr uint16_t kFirst = 10000;
      for (const auto& [count, all] : std::map<size_t, bool>{{2000, false}, {3000, true}}) {
        const auto last = static_cast<uint16_t>(kFirst + count - 1);
        Side side(far, {ports_from(kFirst, count), {}});
        check_passing(injector, side,
                      {{"the first", to(kFirst), true},
                       {"UDP", as_udp(to(kFirst)), false},
                       {"one that was not named", to(kFarPort), all},
                       {"the last", to(last), true}});
      }
      std::vector<Endpoint> remotes;
      for (const uint16_t port : ports_from(1, 3000)) remotes.push_back({address(family, 1, 1), port});
      remotes.push_back({address(family, 1, 1), 5000});
      Side side(far, {{}, remotes});
      check_passing(injector, side, {{"UDP", as_udp(to(1)), false}, {"the last", to(kFarPort), true}});
    }
  });

  on_hosts("a filter that is larger than net.core.optmem_max allows becomes one that passes all TCP", {}, [] {
    const Host near, far;
    near.link(far, 1);
    // What it was before Linux 6.8, where it is the whole host's: there it is left alone.
    const bool ours = far.in([] { return ::access("/proc/sys/net/core/optmem_max", W_OK) == 0; });
    if (ours) far.run("echo 20480 | tee /proc/sys/net/core/optmem_max");
    Injector injector(near, "a1");
    Side side(far);
    for (const int family : families()) {
      const auto to = [&](uint16_t from, uint16_t port) {
        return segment({{address(family, 1, 1), from}, {address(family, 1, 2), port}}, 1, kAck);
      };
      side.pass({ports_from(10000, 2000), {}});
      for (const uint16_t port : {10000, 11999}) check_passing(injector, side, {{"a port", to(1, port), true}});
      // While one replaces another both count: it is refused before the size that a socket may have at once.
      SegmentInterests interests;
      for (uint16_t port = 1; port <= 150; ++port) {
        interests.remotes.push_back({address(family, 1, 1), port});
        side.pass(interests);
        if (port % 10 == 0) check_passing(injector, side, {{"the remote that came last", to(port, kFarPort), true}});
      }
      side.pass({{kFarPort}, {}});
      check_passing(injector, side, {{"another port", to(1, kFreePort), false}, {"a port", to(1, kFarPort), true}});
    }
  });
}

// Reads on any processor while somebody writes on the one that the case is on.
void use_all_processors() {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  REQUIRE(::sched_setaffinity(0, sizeof all, &all) == 0);
}

void ring_tests() {
  on_hosts("packets of all sizes come in the order in which they were sent", {}, [] {
    const Host near, far;
    near.link(far, 1);
    constexpr size_t kPackets = 6000, kAhead = 64, kSegment = 1000;
    LinkDevice::Options options = Side::kOptions;
    options.ring_bytes = 32 << 20;
    for (const int family : families()) {
      const UniqueFd theirs = hold_everywhere(far, kFarPort), ours = hold_everywhere(near, kNearPort);
      Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}}, options);
      const Tuple tuple = across(family);
      CHECK(other.send({}, back(tuple), 1).error == 0);
      const Way way = side.hear_one().way;
      CHECK(way.known());
      std::atomic<size_t> read = 0;
      std::thread writer([&] {
        for (size_t i = 0; i < kPackets; ++i) {
          while (i >= read.load() + kAhead) std::this_thread::yield();
          const size_t segments = std::array<size_t, 5>{1, 5, 1, 40, 5}[i * 7 % 11 % 5];
          const Written written =
              side.send_run(way, tuple, static_cast<uint32_t>(i), Bytes(segments * kSegment), kSegment);
          REQUIRE(written.error == 0 && written.writes == 1);
        }
      });
      use_all_processors();
      const auto all = other.hear_until([&](const Heard&) { return ++read == kPackets; });
      read = kPackets;  // whatever was lost: the writer does not wait for it
      writer.join();
      bool ordered = all.size() == kPackets;
      std::set<size_t> sizes;
      for (size_t i = 0; i < all.size(); ++i) {
        ordered &= all[i].seq == i;
        sizes.insert(all[i].payload.size());
      }
      CHECK(ordered);
      CHECK(sizes == std::set<size_t>({kSegment, 5 * kSegment, 40 * kSegment}));
    }
  });

  on_hosts("packets of any size are whole, those that just fit into a ring's frames too", {}, [] {
    const Host near, far;
    near.link(far, 1);
    near.run("ip link set a1 mtu 65535");
    far.run("ip link set b1 mtu 65535");
    Injector injector(near, "a1");
    for (const int family : families()) {
      Side side(far, {{kFarPort}, {}});
      const size_t headers = (family == AF_INET ? ipv4::kHeader : ipv6::kHeader) + tcp::kHeader;
      std::vector<size_t> sizes{headers, headers + 1, 9000, kMaxPacket - 1, kMaxPacket};
      for (const size_t frame : {2048, 16384})
        for (size_t size = frame - 160; size <= frame; ++size) sizes.push_back(size);
      for (const size_t size : sizes) {
        const Bytes packet = segment(across(family), 1, kAck, pattern(size - headers, static_cast<uint32_t>(size)));
        injector.put(packet);
        const Heard heard = side.hear_one();
        const bool whole = heard.packet == packet && heard.error == ParseError::kNone;
        if (!whole) std::printf("# %zu of %zu bytes\n", heard.packet.size(), size);
        CHECK(whole);
        if (!whole) break;
      }
      CHECK(side.device().take_overruns() == 0);
    }
  });

  on_hosts("a ring that is full drops, and says how many in all", {}, [] {
    const Host near, far;
    near.link(far, 1);
    Injector injector(near, "a1");
    for (const int family : families()) {
      Side side(far, {{kFarPort}, {}});
      uint32_t next = 0;
      for (const size_t size : {size_t{10}, size_t{5000}, size_t{1400}}) {
        if (size > 1400) {
          near.run("ip link set a1 mtu 9000");
          far.run("ip link set b1 mtu 9000");
        }
        constexpr uint32_t kSent = 3000;
        const uint32_t first = next;
        for (uint32_t i = 0; i < kSent; ++i) injector.put(segment(across(family), next++, kAck, Bytes(size)));
        std::vector<uint32_t> heard;
        for (Heard one; side.hear(one);) heard.push_back(one.seq);
        // Those that came first are there, each once.
        CHECK(!heard.empty() && heard.size() < kSent);
        for (uint32_t i = 0; i < heard.size(); ++i) CHECK(heard[i] == first + i);
        // The kernel says so with the next that finds room.
        const uint32_t last = next++;
        injector.put(segment(across(family), last, kAck, Bytes(size)));
        CHECK(side.hear_one().seq == last);
        CHECK(side.device().take_overruns() == kSent - heard.size());
        CHECK(side.device().take_overruns() == 0);
      }
    }
  });

  on_hosts("a batch that could take more than a ring has reads no packet twice", {}, [] {
    const Host near, far;
    near.link(far, 1);
    near.run("ip link set a1 mtu 20000");
    far.run("ip link set b1 mtu 20000");
    Injector injector(near, "a1");
    Side side(far, {{kFarPort}, {}});
    constexpr uint32_t kSent = 40;
    for (uint32_t i = 0; i < kSent; ++i) injector.put(segment(across(AF_INET), i, kAck, Bytes(17000)));
    std::vector<uint32_t> heard;
    for (Heard one; heard.size() <= kSent && side.hear(one);) heard.push_back(one.seq);
    CHECK(!heard.empty() && heard.size() < kSent);
    for (uint32_t i = 0; i < heard.size(); ++i) CHECK(heard[i] == i);
  });
}

// An address behind both links, the first being the better way there.
struct TwoWays {
  Host near, far;
  UniqueFd ours, theirs;

  TwoWays() {
    near.link(far, 1);
    near.link(far, 2);
    far.run("ip addr add 10.9.9.2/32 dev lo");
    for (const int link : {1, 2}) route("add", link);
    ours = hold_everywhere(near, kNearPort);
    theirs = hold_everywhere(far, kFarPort);
  }
  void route(const std::string& what, int link) const {
    const std::string n = std::to_string(link);
    near.run("ip route " + what + " 10.9.9.2/32 via 10.9." + n + ".2 metric " + n);
    if (families().size() == 1) return;
    if (what == "add" && link == 1) far.run("ip addr add fd09:0:0:9::2/128 nodad dev lo");
    near.run("ip -6 route " + what + " fd09:0:0:9::2/128 via fd09:0:0:" + n + "::2 metric " + n);
  }
  // From the first link's address.
  [[nodiscard]] static Tuple tuple(int family) {
    return {{address(family, 1, 1), kNearPort}, {address(family, 9, 2), kFarPort}};
  }
};

// The interface's number that is in a way.
int interface_of(const LinkGroup& group, Way way) {
  return group.links.has(way.link()) ? group.links.at(way.link()).interface : 0;
}

void route_tests() {
  on_hosts("without a way segments go where the routes lead, with right checksums", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd theirs = hold_everywhere(far, kFarPort);
    for (const int family : families()) {
      Side side(near), other(far, {{kFarPort}, {}});
      other.distrust();
      const Tuple tuple = across(family);
      for (const size_t size : {0, 1, 2, 999, 1000}) {
        const Bytes payload = pattern(size, 3);
        const Written written = side.send({}, tuple, 5, payload, kAck | kPsh);
        CHECK(written.error == 0 && written.writes == 1 && !written.way_lost);
        const Heard heard = other.hear_one();
        CHECK(heard.error == ParseError::kNone && heard.tuple == tuple && heard.seq == 5);
        CHECK(heard.payload == payload && heard.flags == (kAck | kPsh));
      }
      const Bytes bytes = pattern(4123, 4);
      const Written written = side.send_run({}, tuple, 10, bytes, 1000);
      CHECK(written.error == 0 && written.writes == 5 && !written.fell_back);
      Bytes got;
      other.hear_until([&](const Heard& heard) {
        CHECK(heard.error == ParseError::kNone && heard.seq == 10 + got.size());
        CHECK(heard.flags == (got.size() == 4000 ? kAck | kPsh : kAck));
        got.insert(got.end(), heard.payload.begin(), heard.payload.end());
        return got.size() >= bytes.size();
      });
      CHECK(got == bytes);
    }
  });

  on_hosts("a way that was learned is used whatever the routes say, until its interface is down or gone", {}, [] {
    for (const char* end : {"ip link set a1 down", "ip link del a1"}) {
      for (const int family : families()) {
        const TwoWays hosts;
        const auto group = std::make_shared<LinkGroup>();
        Side side(hosts.near, {{kNearPort}, {}}), other(hosts.far, {{kFarPort}, {}}, Side::kOptions, {}, group);
        other.distrust();
        const int first = static_cast<int>(hosts.far.in([] { return ::if_nametoindex("b1"); }));
        const int second = static_cast<int>(hosts.far.in([] { return ::if_nametoindex("b2"); }));
        const Tuple tuple = TwoWays::tuple(family);
        CHECK(side.send({}, tuple, 1).error == 0);
        const Heard call = other.hear_one();
        CHECK(interface_of(*group, call.way) == first);
        CHECK(other.send(call.way, back(tuple), 2).error == 0);
        const Way way = side.hear_one().way;
        CHECK(way.known());

        hosts.route("del", 1);
        CHECK(side.send({}, tuple, 3).error == 0);
        CHECK(interface_of(*group, other.hear_one().way) == second);
        Written written = side.send(way, tuple, 4);
        CHECK(written.error == 0 && !written.way_lost);
        CHECK(interface_of(*group, other.hear_one().way) == first);

        hosts.near.run(end);
        written = side.send(way, tuple, 5, {1, 2, 3});
        CHECK(written.error == 0 && written.way_lost && written.refused == 0);
        Heard heard = other.hear_one();
        CHECK(heard.error == ParseError::kNone && heard.seq == 5 && interface_of(*group, heard.way) == second);
        // A run, too, each datagram of it.
        const Bytes bytes = pattern(2500, 5);
        written = side.send_run(way, tuple, 6, bytes, 1000);
        CHECK(written.error == 0 && written.way_lost && !written.fell_back && written.refused == 0);
        Bytes got;
        other.hear_until([&](const Heard& part) {
          CHECK(interface_of(*group, part.way) == second && part.segment_size == part.payload.size());
          got.insert(got.end(), part.payload.begin(), part.payload.end());
          return got.size() >= bytes.size();
        });
        CHECK(got == bytes);

        hosts.route("del", 2);
        written = side.send(way, tuple, 7);
        CHECK(written.error == -ENETUNREACH && written.way_lost && written.refused == 1);
      }
    }
  });

  on_hosts("a segment that is larger than its link's MTU is refused", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    near.run("ip link set a1 mtu 1400");
    for (const int family : families()) {
      Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
      const Tuple tuple = across(family);
      CHECK(other.send({}, back(tuple), 1).error == 0);
      const Way learned = side.hear_one().way;
      const size_t most = 1400 - SegmentHeader(tuple).size();
      for (const Way way : {Way(), learned}) {
        const Written written = side.send(way, tuple, 1, Bytes(most + 1));
        CHECK(written.error == -EMSGSIZE && written.refused == 1 && !written.way_lost);
        // Not one of a super-segment is sent as something that the link does not carry.
        SegmentRun run(64, 60000);
        const Bytes large(3 * (most + 1));
        CHECK(run.add(large.data(), large.size(), most + 1) == large.size());
        const Written together = side.device().write_run(way, SegmentHeader(tuple), 1, 1, false, run);
        CHECK(together.error == -EMSGSIZE && together.refused == 3 && !together.way_lost);
        CHECK(side.send(way, tuple, 2, Bytes(most)).error == 0);
        const Heard heard = other.hear_one();
        CHECK(heard.seq == 2 && heard.payload.size() == most);
      }
    }
  });

  on_hosts("fragments leave as they are, by a way and by a route", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
    const Tuple tuple = across(AF_INET);
    CHECK(other.send({}, back(tuple), 1).error == 0);
    const Way learned = side.hear_one().way;
    const Bytes payload = pattern(1460, 3);
    Reassembly reassembly({.bytes = 1 << 20, .fragments = 64, .wait4 = 1000, .wait6 = 1000}, 1);
    for (const Way way : {Way(), learned}) {
      const Written written = side.device().write_fragments(way, SegmentHeader(tuple), 7, 1, kAck | kPsh, payload, 600);
      CHECK(written.error == 0 && written.writes == 3 && !written.way_lost);
      size_t fragments = 0;
      Heard whole;
      other.hear_until([&](const Heard& heard) {
        CHECK(heard.packet.size() <= 600);
        const auto fragment = parse_fragment(heard.packet);
        CHECK(fragment.has_value());
        if (!fragment) return true;
        ++fragments;
        const auto joined = reassembly.take(*fragment, 0);
        if (!joined.empty()) whole = to_heard(joined, nullptr, {});
        return fragments == 3;
      });
      CHECK(whole.error == ParseError::kNone && whole.tuple == tuple && whole.seq == 7 && whole.payload == payload);
      reassembly.release();
    }
  });

  on_hosts("the source address is what the routes say at the time", {}, [] {
    const TwoWays hosts;
    Side side(hosts.near);
    for (const int family : families()) {
      Route route;
      CHECK(side.device().route_to({address(family, 9, 2), kFarPort}, 0, route) == 0);
      CHECK(route.source == address(family, 1, 1));
    }
    hosts.route("del", 1);
    for (const int family : families()) {
      Route route;
      CHECK(side.device().route_to({address(family, 9, 2), kFarPort}, 0, route) == 0);
      CHECK(route.source == address(family, 2, 1));
      CHECK(side.device().route_to({address(family, 1, 2), kFarPort}, 0, route) == 0);
      CHECK(route.source == address(family, 1, 1));
    }
    hosts.route("del", 2);
    for (const int family : families()) {
      Route route;
      CHECK(side.device().route_to({address(family, 9, 2), kFarPort}, 0, route) == -ENETUNREACH);
      // Having failed, it can be asked again.
      CHECK(side.device().route_to({address(family, 2, 2), kFarPort}, 0, route) == 0);
      CHECK(route.source == address(family, 2, 1));
    }
    Side four(hosts.near, {}, Side::kOptions, {.ipv6 = false, .mark = 0, .interface = ""});
    Route route;
    CHECK(four.device().route_to({address(AF_INET6, 1, 2), kFarPort}, 0, route) == -EAFNOSUPPORT);
    CHECK(four.send({}, across(AF_INET6), 1).error == -EAFNOSUPPORT);
  });

  on_hosts("a route says what its packets may have: its own MTU, else its link's", {}, [] {
    const TwoWays hosts;
    Side side(hosts.near);
    const auto mtu_of_route = [&](int family, uint8_t link) {
      Route route;
      CHECK(side.device().route_to({address(family, link, 2), kFarPort}, 0, route) == 0);
      return route.mtu;
    };
    for (const int family : families()) CHECK(mtu_of_route(family, 9) == 1500);
    hosts.near.run("ip link set a1 mtu 1400");
    for (const int family : families()) {
      CHECK(mtu_of_route(family, 9) == 1400 && mtu_of_route(family, 1) == 1400 && mtu_of_route(family, 2) == 1500);
    }
    hosts.route("del", 1);
    hosts.near.run("ip route add 10.9.9.2/32 via 10.9.2.2 metric 1 mtu 1300");
    if (families().size() > 1) hosts.near.run("ip -6 route add fd09:0:0:9::2/128 via fd09:0:0:2::2 metric 1 mtu 1300");
    for (const int family : families()) CHECK(mtu_of_route(family, 9) == 1300 && mtu_of_route(family, 2) == 1500);
    // Of the loopback, whose packets are larger than those of IPv4 can be.
    for (const int family : families()) CHECK(mtu_of_route(family, 0) >= 65535);
  });

  on_hosts("what a way carries is what its link does, also when that changes", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd ours = hold_everywhere(near, kNearPort), theirs = hold_everywhere(far, kFarPort);
    Side side(near, {{kNearPort}, {}}), other(far, {{kFarPort}, {}});
    CHECK(side.device().mtu_of({}) == SIZE_MAX);
    CHECK(other.send({}, back(across(AF_INET)), 1).error == 0);
    const Way way = side.hear_one().way;
    CHECK(way.known() && side.device().mtu_of(way) == 1500);
    near.run("ip link set a1 mtu 1400");
    // The kernel is asked once a second.
    const uint64_t begin = coarse_milliseconds();
    while (side.device().mtu_of(way) != 1400 && coarse_milliseconds() - begin < kPatience) ::usleep(10'000);
    CHECK(side.device().mtu_of(way) == 1400);
  });

  on_hosts("an interface and a mark choose the route", {}, [] {
    const TwoWays hosts;
    for (const char* family : {"-4", "-6"}) {
      if (family[1] == '6' && families().size() == 1) continue;
      const std::string ip = std::string("ip ") + family;
      hosts.near.run(ip + " rule add fwmark 7 lookup 77");
      const bool v4 = family[1] == '4';
      hosts.near.run(ip + (v4 ? " route add 10.9.9.2/32 via 10.9.2.2 table 77"
                              : " route add fd09:0:0:9::2/128 via fd09:0:0:2::2 table 77"));
    }
    const int second = static_cast<int>(hosts.far.in([] { return ::if_nametoindex("b2"); }));
    for (const LinkSockets::Options& options : {LinkSockets::Options{.ipv6 = true, .mark = 7, .interface = ""},
                                                LinkSockets::Options{.ipv6 = true, .mark = 0, .interface = "a2"}}) {
      for (const int family : families()) {
        const auto group = std::make_shared<LinkGroup>();
        Side side(hosts.near, {}, Side::kOptions, options);
        Side other(hosts.far, {{kFarPort}, {}}, Side::kOptions, {}, group);
        without_rights([&] {
          // Each time, not the first time only.
          for (int i = 0; i < 2; ++i) {
            Route route;
            CHECK(side.device().route_to({address(family, 9, 2), kFarPort}, 0, route) == 0);
            CHECK(route.source == address(family, 2, 1));
          }
        });
        CHECK(side.send({}, TwoWays::tuple(family), 1).error == 0);
        CHECK(interface_of(*group, other.hear_one().way) == second);
      }
    }
  });
}

void address_tests() {
  on_hosts("addresses that come and go are seen", {}, [] {
    const Host near, far;
    near.link(far, 1);
    std::unique_ptr<LocalAddresses> addresses;
    const char* syscall = "";
    REQUIRE(near.in([&] { return LocalAddresses::create(addresses, syscall); }) == 0);
    const auto change = [&](const std::string& command) {
      near.run(command);
      CHECK(comes(addresses->fd()));
      return near.in([&] { return addresses->refresh(); });
    };
    const uint8_t loopback[] = {127, 1, 2, 3};
    CHECK(addresses->contains(Address::from_v4(loopback)));
    for (const int family : families()) {
      CHECK(addresses->contains(address(family, 0, 1)));
      CHECK(addresses->contains(address(family, 1, 1)));
      CHECK(!addresses->contains(address(family, 1, 2)));
      const Address added = address(family, 1, 9);
      const std::string name = family == AF_INET ? "10.9.1.9/24" : "fd09:0:0:1::9/64 nodad";
      CHECK(!addresses->contains(added));
      CHECK(change("ip addr add " + name + " dev a1"));
      CHECK(addresses->contains(added) && addresses->contains(address(family, 1, 1)));
      CHECK(change("ip addr del " + name.substr(0, name.find(' ')) + " dev a1"));
      CHECK(!addresses->contains(added) && addresses->contains(address(family, 1, 1)));
    }
    // Of a link between two points, the end that is ours.
    CHECK(change("ip addr add 10.9.5.1 peer 10.9.5.2 dev a1"));
    CHECK(addresses->contains(address(AF_INET, 5, 1)) && !addresses->contains(address(AF_INET, 5, 2)));
    CHECK(!near.in([&] { return addresses->refresh(); }));
  });
}

void loopback_tests() {
  on_hosts("both ends on one host exchange segments over its loopback", {}, [] {
    const Host host;
    const UniqueFd ours = hold_everywhere(host, kNearPort), theirs = hold_everywhere(host, kFarPort);
    for (const int family : families()) {
      Side side(host, {{kNearPort}, {}}), other(host, {{kFarPort}, {}});
      const Tuple tuple = across(family, 0);
      CHECK(side.send({}, tuple, 1, {1}, kSyn).error == 0);
      const Heard call = other.hear_one();
      CHECK(call.tuple == tuple && call.seq == 1 && call.flags == kSyn && call.way.known());
      CHECK(other.send(call.way, back(tuple), 2, {2}, kSyn | kAck).error == 0);
      const Heard answer = side.hear_one();
      CHECK(answer.tuple == back(tuple) && answer.seq == 2 && answer.flags == (kSyn | kAck));
      const Bytes bytes = pattern(60 * 1000, 6);
      CHECK(side.send_run(answer.way, tuple, 3, bytes, 1000).writes == 1);
      const Heard heard = other.hear_one();
      CHECK(heard.payload == bytes && heard.segment_size == 1000);
      // Nothing else: the kernel's own TCP has said nothing to all this.
      CHECK(other.send(answer.way, back(tuple), 4).error == 0);
      CHECK(side.hear_one().seq == 4);
      CHECK(side.send(answer.way, tuple, 5).error == 0);
      CHECK(other.hear_one().seq == 5);
    }
  });
}

void tun_tests() {
  constexpr const char* kSentence = "segments that come over a TUN are answered over it";
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) return skip(kSentence, "no /dev/net/tun");
  on_hosts(kSentence, {}, [] {
    const Host host;
    const UniqueFd tun = host.in([] {
      UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
      ifreq request{};
      std::strcpy(request.ifr_name, "t0");
      request.ifr_flags = IFF_TUN | IFF_NO_PI;
      REQUIRE(::ioctl(fd.get(), TUNSETIFF, &request) == 0);
      return fd;
    });
    host.run("ip link set t0 up");
    host.run("ip addr add 10.9.1.2/24 dev t0");
    if (families().size() > 1) host.run("ip addr add fd09:0:0:1::2/64 nodad dev t0");
    const UniqueFd held = hold_everywhere(host, kFarPort);
    // The next segment that leaves over the TUN.
    const auto leaves = [&] {
      for (;;) {
        const bool more = comes(tun.get());
        CHECK(more);
        if (!more) return Heard{};
        uint8_t packet[65536];
        const ssize_t got = ::read(tun.get(), packet, sizeof packet);
        REQUIRE(got > 0);
        Heard heard = to_heard({packet, static_cast<size_t>(got)}, nullptr, {});
        if (heard.error != ParseError::kNotTcp) return heard;  // IPv6 looks for its neighbours
      }
    };
    for (const int family : families()) {
      Side side(host, {{kFarPort}, {}});
      const Tuple tuple = across(family);
      const Bytes call = segment(tuple, 1, kSyn, {1, 2, 3});
      REQUIRE(::write(tun.get(), call.data(), call.size()) == static_cast<ssize_t>(call.size()));
      const Heard heard = side.hear_one();
      CHECK(heard.packet == call && heard.error == ParseError::kNone && heard.way.known());
      // By the way and not by a route: there is none to 10.9.7.1.
      const Tuple elsewhere{{address(family, 1, 2), kFarPort}, {address(family, 7, 1), kNearPort}};
      for (const Tuple& answer : {back(tuple), elsewhere}) {
        CHECK(side.send(heard.way, answer, 2, {4, 5}, kSyn | kAck).error == 0);
        const Heard got = leaves();
        CHECK(got.error == ParseError::kNone && got.tuple == answer && got.seq == 2 && got.payload == Bytes({4, 5}));
      }
      const Bytes bytes = pattern(3500, 7);
      CHECK(side.send_run(heard.way, back(tuple), 10, bytes, 1000).error == 0);
      Bytes sent;
      while (sent.size() < bytes.size()) {
        const Heard part = leaves();
        CHECK(part.error == ParseError::kNone && part.seq == 10 + sent.size() && !part.payload.empty());
        if (part.payload.empty()) break;
        sent.insert(sent.end(), part.payload.begin(), part.payload.end());
      }
      CHECK(sent == bytes);
    }
  });
}

void stranger_tests() {
  on_hosts("frames for other hosts are not taken", {}, [] {
    const Host near, far;
    near.link(far, 1);
    far.run("ip link set b1 promisc on");
    Injector injector(near, "a1");
    for (const int family : families()) {
      Side side(far, {{kFarPort}, {}});
      Sniffer sniffer(far, family);
      // More than a batch, so that one ends within them.
      constexpr uint32_t kOthers = 100;
      for (uint32_t i = 1; i <= kOthers; ++i) injector.put(segment(across(family), i, kAck), {2, 0, 0, 0, 1, 9});
      injector.put(segment(across(family), kOthers + 1, kAck), {0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
      injector.put(segment(across(family), kOthers + 2, kAck));
      CHECK(side.hear_one().seq == kOthers + 2);
      const auto others = sniffer.hear_until([](const Heard& heard) { return heard.seq == kOthers; }, PACKET_OTHERHOST);
      CHECK(others.size() == kOthers);
    }
  });
}

void fanout_tests() {
  on_hosts("devices that share out packets have each flow at one of them only", {}, [] {
    const Host near, far;
    near.link(far, 1);
    const UniqueFd theirs = hold_everywhere(far, kFarPort), ours = hold_everywhere(near, kNearPort);
    LinkDevice::Options options = Side::kOptions;
    options.fanout = true;
    options.ring_bytes = 32 << 20;
    const auto group = std::make_shared<LinkGroup>();
    const SegmentInterests interests{{kFarPort}, {}};
    std::array<Side, 2> sides{Side(far, interests, options, {}, group), Side(far, interests, options, {}, group)};
    for (const int family : families()) {
      Side side(near, {{kNearPort}, {}});
      CHECK(sides[0].send({}, back(across(family)), 1).error == 0);
      const Way way = side.hear_one().way;
      CHECK(way.known());
      constexpr uint16_t kFlows = 64, kEach = 3;
      for (uint16_t flow = 0; flow < kFlows; ++flow) {
        Tuple tuple = across(family);
        tuple.local.port = static_cast<uint16_t>(tuple.local.port + flow);
        for (const size_t segments : {1, 5, 40})
          CHECK(side.send_run(way, tuple, 1, Bytes(segments * 1000), 1000).error == 0);
      }
      // All are there: what a veth carries has arrived when the system call returns, or is behind us on this processor.
      std::map<uint16_t, std::array<size_t, 2>> heard;
      size_t count = 0;
      while (count < size_t{kFlows} * kEach) {
        std::vector<int> descriptors;
        for (Side& one : sides)
          descriptors.insert(descriptors.end(), one.device().descriptors().begin(), one.device().descriptors().end());
        const bool more = comes(descriptors);
        CHECK(more);
        if (!more) return;
        for (size_t i = 0; i < sides.size(); ++i) {
          for (Heard one; sides[i].hear(one); ++count) ++heard[one.tuple.local.port][i];
        }
      }
      CHECK(count == size_t{kFlows} * kEach);
      std::array<size_t, 2> flows{};
      for (const auto& [port, counts] : heard) {
        CHECK(counts[0] + counts[1] == kEach && (counts[0] == 0 || counts[1] == 0));
        ++flows[counts[0] > 0 ? 0 : 1];
      }
      CHECK(flows[0] > 0 && flows[1] > 0 && flows[0] + flows[1] == kFlows);
    }
  });
}

}  // namespace

int main() {
  held_port_tests();
  netfilter_tests();
  segmentation_tests();
  filter_tests();
  ring_tests();
  route_tests();
  address_tests();
  loopback_tests();
  tun_tests();
  stranger_tests();
  fanout_tests();
  return done();
}
