// Packets as rows: what is read, and what is refused; built with AddressSanitizer and UBSan.
#include <algorithm>
#include <random>

#include "../support/port_rig.h"
#include "check.h"
#include "wire/headers.h"

using namespace guise;
using namespace guise::row;
using rig::Bytes;

namespace {

std::mt19937 random_source(20261127);

uint32_t word(const int32_t* row, size_t index) { return static_cast<uint32_t>(row[index]); }

Bytes with_options(const Bytes& options) {
  return rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of(options, {}));
}

const Bytes kTimestamps = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};

void tcp_tests() {
  for (const bool v4 : {true, false}) {
    const char* name = v4 ? "a row has all that an IPv4 segment says" : "a row has all that an IPv6 segment says";
    test(name, [&] {
      rig::Port port;
      Bytes packet = rig::packet_of(rig::tuple_of(v4), kProtocolTcp, rig::tcp_of(kTimestamps, {1, 2, 3}, 0xd8));
      if (v4)
        packet[ipv4::kTypeOfService] = 3;
      else
        packet[ipv6::kTrafficClass] = 3 << 4;
      rig::mend(packet);
      const int32_t* row = port.read(packet);
      CHECK(row);
      if (!row) return;
      CHECK(row[in::kKind] == kind::kTcp && row[in::kFlow] == -1);
      CHECK(row[in::kPacketSize] == static_cast<int32_t>(packet.size()));
      CHECK(std::ranges::equal(std::span(port.slab).subspan(word(row, in::kPacket), packet.size()), packet));
      CHECK(std::ranges::equal(port.payload(row), Bytes{1, 2, 3}) && row[in::kSegmentSize] == 3);
      CHECK(word(row, in::kPorts) == (443u << 16 | 50'000));
      CHECK(row[in::kFacts] == (3 | (v4 ? 0 : fact::kIpv6) | 61 << fact::kHopLimitShift));
      CHECK(row[in::kFlags] == 0xd8 && row[in::kWindow] == 0xf00d && row[in::kUrgent] == 7);
      CHECK(word(row, in::kSeq) == 0x89abcdef && word(row, in::kAck) == 0xfedcba98);
      CHECK(row[in::kOptions] == option::kTimestamps);
      CHECK(word(row, in::kTimestamp) == 0x01020304 && word(row, in::kTimestampEcho) == 0x05060708);
      CHECK(port.port->memory()->state.used % 64 == 0);
    });

    test(v4 ? "a bit that is wrong damages an IPv4 segment" : "a bit that is wrong damages an IPv6 segment", [&] {
      rig::Port port;
      const Bytes packet = rig::packet_of(rig::tuple_of(v4), kProtocolTcp, rig::tcp_of(kTimestamps, {1, 2, 3}));
      for (size_t bit = 0; bit < packet.size() * 8; ++bit) {
        // What no checksum covers: traffic class, flow label and hop limit.
        if (!v4 && (bit / 8 == ipv6::kHopLimit || (bit >= 4 && bit < 32))) continue;
        Bytes wrong = packet;
        wrong[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
        const int32_t* row = port.read(wrong);
        // Of IPv6 it may be a packet of another protocol.
        CHECK(!row || (!v4 && row[in::kKind] == kind::kOther && bit / 8 == ipv6::kNextHeader));
      }
      CHECK(port.counters().damaged > 0 && port.port->read(port.slab, 0) == 0);
      for (size_t size = 0; size < packet.size(); ++size)
        CHECK(!port.read(Bytes(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size))));
    });
  }

  test("what the kernel vouches for is not summed, and super-segments say their parts", [] {
    rig::Port port(true);
    Bytes packet = rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of({}, Bytes(3000)));
    packet[packet.size() - 1] ^= 1;
    CHECK(!port.read(packet));
    const VirtioNetHeader offload{.flags = VirtioNetHeader::kNeedsChecksum,
                                  .gso_type = VirtioNetHeader::kGsoTcp4 | VirtioNetHeader::kGsoEcn,
                                  .gso_size = 1448};
    const int32_t* row = port.read(packet, offload);
    CHECK(row && row[in::kPayloadSize] == 3000 && row[in::kSegmentSize] == 1448);
  });

  test("the options of a SYN", [] {
    rig::Port port;
    const int32_t* row = port.read(with_options({2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7}));
    CHECK(row && row[in::kOptions] == (option::kMss | option::kScale | option::kSackPermitted | option::kTimestamps));
    CHECK(row && row[in::kMss] == (1460 | 7 << kScaleShift) && row[in::kTimestamp] == 9);
    row = port.read(with_options({2, 4, 5, 180, 2, 4, 2, 24, 2, 4, 0, 0}));
    CHECK(row && row[in::kOptions] == option::kMss && row[in::kMss] == 536);
    row = port.read(with_options({}));
    CHECK(row && row[in::kOptions] == 0 && row[in::kMss] == 0);
  });

  test("SACK blocks, up to four, beside timestamps or not", [] {
    rig::Port port;
    for (uint8_t blocks = 1; blocks <= 4; ++blocks) {
      Bytes options = {1, 1, 5, static_cast<uint8_t>(2 + 8 * blocks)};
      for (uint8_t i = 0; i < 2 * blocks; ++i) options.insert(options.end(), {i, 0, 0, 1});
      const int32_t* row = port.read(with_options(options));
      CHECK(row && row[in::kOptions] == blocks << option::kSackCountShift);
      for (uint32_t i = 0; row && i < 2u * blocks; ++i) CHECK(word(row, in::kSack + i) == (i << 24 | 1));
    }
    Bytes both = kTimestamps;
    both.insert(both.end(), {1, 1, 5, 10, 0, 0, 0, 5, 0, 0, 0, 6});
    const int32_t* row = port.read(with_options(both));
    CHECK(row && row[in::kOptions] == (option::kTimestamps | 1 << option::kSackCountShift) && row[in::kSack + 1] == 6);
  });

  test("options that contradict themselves say nothing, and those behind them neither", [] {
    rig::Port port;
    for (const Bytes& options :
         {Bytes{2, 0, 0, 0}, Bytes{2, 1, 2, 4}, Bytes{8, 11, 1, 2}, Bytes{5, 6, 1, 1, 1, 1, 0, 0}, Bytes{3, 4, 7, 7},
          Bytes{4, 3, 1, 0}, Bytes{0, 2, 4, 2}, Bytes{1, 1, 1, 2}}) {
      const int32_t* row = port.read(with_options(options));
      CHECK(row && row[in::kOptions] == 0);
    }
    for (int i = 0; i < 20'000; ++i) {
      Bytes options(4 * (random_source() % 11));
      for (uint8_t& byte : options) byte = static_cast<uint8_t>(random_source() % 12);
      const int32_t* row = port.read(with_options(options));
      CHECK(row && (row[in::kOptions] >> option::kSackCountShift) <= 4);
    }
  });
}

void other_tests() {
  for (const bool v4 : {true, false}) {
    test(v4 ? "UDP over IPv4" : "UDP over IPv6", [&] {
      rig::Port port;
      const auto tuple = rig::tuple_of(v4);
      Bytes packet = rig::packet_of(tuple, kProtocolUdp, rig::udp_of({1, 2, 3}));
      const int32_t* row = port.read(packet);
      CHECK(row && row[in::kKind] == kind::kUdp && row[in::kFlags] == kProtocolUdp);
      CHECK(row && word(row, in::kPorts) == (443u << 16 | 50'000) && row[in::kSegmentSize] == 3);
      CHECK(row && std::ranges::equal(port.payload(row), Bytes{1, 2, 3}));
      packet.back() ^= 1;
      CHECK(!port.read(packet));
      // No checksum.
      const size_t at = (v4 ? ipv4::kHeader : ipv6::kHeader);
      packet[at + udp::kChecksum] = packet[at + udp::kChecksum + 1] = 0;
      CHECK((port.read(packet) != nullptr) == v4);
      // What is behind the datagram in the packet is none of it.
      Bytes longer = rig::udp_of({1, 2, 3});
      longer.insert(longer.end(), {4, 5, 6});
      longer[udp::kChecksum] = longer[udp::kChecksum + 1] = 0;
      row = v4 ? port.read([&] {
        Bytes all = rig::packet_of(tuple, kProtocolUdp, longer);
        all[at + udp::kChecksum] = all[at + udp::kChecksum + 1] = 0;
        return all;
      }())
               : nullptr;
      CHECK(!v4 || (row && row[in::kPayloadSize] == 3));
      for (const uint16_t length : {0, 7, 12}) {
        Bytes wrong = rig::udp_of({1, 2, 3});
        write16(&wrong[udp::kLength], length);
        CHECK(!port.read(rig::packet_of(tuple, kProtocolUdp, wrong)));
      }
      CHECK(!port.read(rig::packet_of(tuple, kProtocolUdp, Bytes(7))));
    });

    test(v4 ? "ICMP" : "ICMPv6", [&] {
      rig::Port port;
      const uint8_t protocol = v4 ? icmp::kProtocol4 : icmp::kProtocol6;
      Bytes packet = rig::packet_of(rig::tuple_of(v4), protocol, {8, 0, 0, 0, 0, 1, 0, 2, 9});
      const int32_t* row = port.read(packet);
      CHECK(row && row[in::kKind] == kind::kIcmp && row[in::kFlags] == protocol && row[in::kPayloadSize] == 9);
      CHECK(row && row[in::kPorts] == 0 && row[in::kFlow] == -1);
      packet.back() ^= 1;
      CHECK(!port.read(packet));
      CHECK(!port.read(rig::packet_of(rig::tuple_of(v4), protocol, Bytes(7))));
      // That of the other family is any protocol.
      const uint8_t other = v4 ? icmp::kProtocol6 : icmp::kProtocol4;
      row = port.read(rig::packet_of(rig::tuple_of(v4), other, Bytes(9)));
      CHECK(row && row[in::kKind] == kind::kOther && row[in::kFlags] == other);
      CHECK(row && row[in::kSeq] == static_cast<int32_t>(v4 ? ipv4::kProtocol : ipv6::kNextHeader));
    });
  }

  test("IPv4 options are passed over, but for routes that lead elsewhere", [] {
    rig::Port port;
    const auto read = [&](const Bytes& options) {
      return port.read(rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of({}, {1}), options));
    };
    const int32_t* row = read({7, 7, 4, 0, 0, 0, 0, 0});
    CHECK(row && row[in::kPayloadSize] == 1);
    CHECK(read({1, 1, 1, 0}) && read({0, 9, 9, 9}) && read({148, 4, 0, 0}));
    CHECK(read({131, 7, 8, 1, 2, 3, 4, 0}));
    CHECK(!read({131, 7, 4, 1, 2, 3, 4, 0}) && !read({1, 137, 7, 4, 1, 2, 3, 4}));
    CHECK(!read({7, 1, 0, 0}) && !read({7, 5, 0, 0}) && !read({131, 2, 0, 0}) && !read({1, 1, 1, 7}));
  });

  test("IPv6 extension headers are passed over, or answered for", [] {
    rig::Port port;
    constexpr uint8_t kTcp = kProtocolTcp;
    const auto tuple = rig::tuple_of(false);
    const auto read = [&](uint8_t first, const Bytes& between, const Tuple& to) {
      return port.read(rig::packet_of(to, kTcp, rig::tcp_of({}, {1}), between, first));
    };
    const auto passes = [&](uint8_t first, const Bytes& between) {
      const int32_t* row = read(first, between, tuple);
      return row && row[in::kKind] == kind::kTcp && row[in::kPayloadSize] == 1;
    };
    const auto problem = [&](uint8_t first, const Bytes& between, int32_t code, int32_t at) {
      const int32_t* row = read(first, between, tuple);
      return row && row[in::kKind] == kind::kProblem && row[in::kFlags] == code && row[in::kSeq] == at;
    };
    enum : uint8_t { kHop = ipv6::kHopByHop, kRoute = ipv6::kRouting, kDest = ipv6::kDestinationOptions };
    CHECK(passes(kHop, {kTcp, 0, 5, 2, 0, 0, 1, 0}) && passes(kDest, {kTcp, 0, 1, 4, 0, 0, 0, 0}));
    CHECK(passes(kHop, {kDest, 0, 1, 4, 0, 0, 0, 0, kTcp, 0, 0x1e, 4, 0, 0, 0, 0}));
    CHECK(passes(ipv6::kAuthentication, {kTcp, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
    CHECK(passes(kRoute, {kTcp, 0, 0, 0, 0, 0, 0, 0}));
    // A route that is not at its end, an option to tell of, hop-by-hop options that are not in front.
    CHECK(problem(kRoute, {kTcp, 0, 0, 1, 0, 0, 0, 0}, 0, 42));
    CHECK(problem(kDest, {kTcp, 0, 0, 0x80, 0, 0, 0, 0}, 2, 43) &&
          problem(kDest, {kTcp, 0, 0xc1, 4, 0, 0, 0, 0}, 2, 42));
    CHECK(problem(kDest, {kHop, 0, 1, 4, 0, 0, 0, 0, kTcp, 0, 1, 4, 0, 0, 0, 0}, 1, 40));
    // Options to be silent of, one to a group, and one that reaches beyond its header.
    CHECK(!read(kDest, {kTcp, 0, 0x41, 4, 0, 0, 0, 0}, tuple));
    Tuple group = tuple;
    group.local.address.bytes[0] = 0xff;
    CHECK(!read(kDest, {kTcp, 0, 0xc1, 4, 0, 0, 0, 0}, group) && read(kDest, {kTcp, 0, 0x81, 4, 0, 0, 0, 0}, group));
    CHECK(!read(kDest, {kTcp, 0, 1, 5, 0, 0, 0, 0}, tuple) && !read(kDest, {kTcp, 0, 0, 0, 0, 0, 0, 1}, tuple));
    // One that reaches beyond the packet.
    CHECK(!read(kDest, {kTcp, 200, 1, 4, 0, 0, 0, 0}, tuple));
    // A protocol that nobody knows is named where it stands.
    const int32_t* row = port.read(rig::packet_of(tuple, 253, {1}, {253, 0, 1, 4, 0, 0, 0, 0}, kDest));
    CHECK(row && row[in::kKind] == kind::kOther && row[in::kFlags] == 253 && row[in::kSeq] == 40);
  });
}

// An IPv4 or IPv6 packet cut into fragments of `each` bytes of data.
std::vector<Bytes> fragments_of(const Bytes& packet, size_t header, uint8_t first_after, size_t each, uint32_t id) {
  const bool v4 = packet[0] >> 4 == 4;
  std::vector<Bytes> all;
  for (size_t at = header; at < packet.size(); at += each) {
    const size_t end = std::min(at + each, packet.size());
    Bytes one(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header));
    const auto place = static_cast<uint16_t>(at - header);
    const bool more = end < packet.size();
    if (v4) {
      write16(&one[ipv4::kIdentification], static_cast<uint16_t>(id));
      write16(&one[ipv4::kFragment], static_cast<uint16_t>(place / 8 | (more ? ipv4::kMoreFragments : 0)));
    } else {
      // Only the first fragment's word on what follows counts (RFC 8200 §4.5).
      one.insert(one.end(), {at == header ? first_after : uint8_t{59}, 0, 0, 0, 0, 0, 0, 0});
      write16(&one[header + ipv6::kPlace], static_cast<uint16_t>(place | (more ? 1 : 0)));
      write32(&one[header + ipv6::kIdentification], id);
    }
    one.insert(one.end(), packet.begin() + static_cast<ptrdiff_t>(at), packet.begin() + static_cast<ptrdiff_t>(end));
    rig::mend(one, false);
    all.push_back(one);
  }
  return all;
}

void fragment_tests() {
  for (const bool v4 : {true, false}) {
    for (const uint8_t protocol : {kProtocolUdp, kProtocolTcp, v4 ? icmp::kProtocol4 : icmp::kProtocol6, uint8_t{99}}) {
      const std::string name = "fragments of protocol " + std::to_string(protocol) +
                               (v4 ? " over IPv4" : " over IPv6") + " are put together in any order";
      test(name.c_str(), [&] {
        rig::Port port;
        const auto tuple = rig::tuple_of(v4);
        const Bytes payload = rig::random_bytes(5000);
        Bytes upper = protocol == kProtocolUdp ? rig::udp_of(payload) : rig::tcp_of({}, payload);
        // In front of the header of fragments: options of IPv4, or a header of destination options.
        const Bytes between = v4 ? Bytes{1, 1, 1, 0} : Bytes{protocol, 0, 1, 4, 0, 0, 0, 0};
        Bytes packet = rig::packet_of(tuple, protocol, upper, between, ipv6::kDestinationOptions);
        const size_t header = (v4 ? ipv4::kHeader : ipv6::kHeader) + between.size();
        const Bytes whole(packet.begin() + static_cast<ptrdiff_t>(header), packet.end());
        if (!v4) packet[ipv6::kHeader] = ipv6::kFragment;
        for (uint32_t round = 0; round < 20; ++round) {
          auto fragments = fragments_of(packet, header, protocol, 8 + 8 * (round * 7 + 3), round);
          if (fragments.size() > 128) continue;
          std::ranges::shuffle(fragments, random_source);
          for (const Bytes& fragment : fragments) {
            const int32_t* row = port.read(fragment);
            const bool last = &fragment == &fragments.back();
            CHECK((row != nullptr) == last);
            if (!row) continue;
            CHECK(row[in::kFacts] & fact::kReassembled);
            const auto all = std::span(port.slab).subspan(word(row, in::kPacket) + header, whole.size());
            CHECK(std::ranges::equal(all, whole));
            CHECK(row[in::kPacketSize] == static_cast<int32_t>(header + whole.size()));
          }
        }
        CHECK(port.counters().damaged == 0 && port.counters().reassembled > 0);
      });
    }
  }

  test("fragments that overlap are dropped, and so is what they damage", [] {
    rig::Port port;
    const Bytes packet = rig::packet_of(rig::tuple_of(true), kProtocolUdp, rig::udp_of(rig::random_bytes(100)));
    const auto first = fragments_of(packet, ipv4::kHeader, 0, 64, 1);
    const auto second = fragments_of(packet, ipv4::kHeader, 0, 48, 1);
    CHECK(!port.read(first[0]) && !port.read(second[1]) && !port.read(first[1]));
    CHECK(port.counters().overlapping == 2 && port.counters().fragments == 3 && port.counters().reassembled == 0);
    Bytes other = packet;
    other[40] ^= 1;
    const auto wrong = fragments_of(other, ipv4::kHeader, 0, 64, 2),
               right = fragments_of(packet, ipv4::kHeader, 0, 64, 2);
    CHECK(!port.read(wrong[0]) && !port.read(right[1]) && port.counters().damaged == 1);
    // The second began a packet anew.
    CHECK(port.read(right[0]));
  });

  test("two protocols with one identification are two packets over IPv4", [] {
    rig::Port port;
    const Bytes udp = rig::packet_of(rig::tuple_of(true), kProtocolUdp, rig::udp_of(rig::random_bytes(100)));
    const Bytes tcp = rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of({}, rig::random_bytes(100)));
    const auto a = fragments_of(udp, ipv4::kHeader, 0, 64, 1), b = fragments_of(tcp, ipv4::kHeader, 0, 64, 1);
    CHECK(!port.read(a[0]) && !port.read(b[0]) && port.read(a[1]) && port.read(b[1]));
  });
}

}  // namespace

int main() {
  tcp_tests();
  other_tests();
  fragment_tests();
  return done();
}
