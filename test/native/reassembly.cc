// Fragments: put together alone, and in a worker whose device is shared; built with AddressSanitizer and UBSan.
#include <malloc.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <new>
#include <random>
#include <vector>

#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"
#include "wire/bytes.h"
#include "wire/reassembly.h"

namespace {

// Of this program, as the allocator has it.
size_t memory_in_use = 0, allocations = 0;

}  // namespace

void* operator new(size_t size) {
  void* memory = std::malloc(size);
  if (!memory) throw std::bad_alloc();
  memory_in_use += ::malloc_usable_size(memory);
  ++allocations;
  return memory;
}
void operator delete(void* memory) noexcept {
  memory_in_use -= ::malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }

using namespace guise;

namespace {

using Bytes = std::vector<uint8_t>;
std::mt19937 random_source(20261125);

constexpr Reassembly::Limits kLimits{.bytes = 4 << 20, .fragments = 64, .wait4 = 30'000, .wait6 = 60'000};
constexpr uint64_t kNow = 1'000'000;

uint32_t random_below(size_t limit) { return static_cast<uint32_t>(random_source() % limit); }

Bytes random_bytes(size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_source());
  return bytes;
}

Tuple tuple_of(bool four, uint8_t host = 1) {
  const uint8_t here4[] = {127, 0, 0, 1}, there4[] = {203, 0, 113, host};
  const uint8_t here6[16] = {0xfd, 1}, there6[16] = {0xfd, 2, host};
  if (four) return {{Address::from_v4(here4), 443}, {Address::from_v4(there4), 5000}};
  return {{Address::from_v6(here6), 443}, {Address::from_v6(there6), 5000}};
}

void write_ipv4_checksum(Bytes& packet) {
  const size_t header = (packet[0] & 0x0f) * size_t{4};
  std::memset(&packet[ipv4::kChecksum], 0, 2);
  ChecksumSum sum;
  sum.add(packet.data(), header);
  const uint16_t checksum = sum.checksum();
  std::memcpy(&packet[ipv4::kChecksum], &checksum, 2);
}

// A segment from `tuple.remote`, whole. IPv4: without DF, and with `options` bytes of options.
Bytes segment_of(const Tuple& tuple, const Bytes& payload, uint32_t seq = 1, uint8_t options = 0) {
  const SegmentHeader header({tuple.remote, tuple.local});
  Bytes packet(header.size() + payload.size());
  header.write(packet.data(), seq, 1, kAck, {}, payload.size());
  std::ranges::copy(payload, packet.begin() + static_cast<ptrdiff_t>(header.size()));
  ChecksumSum sum;
  sum.add(packet.data() + header.ip_size(), packet.size() - header.ip_size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(packet.data() + header.ip_size() + tcp::kChecksum, &checksum, 2);
  if (!tuple.local.address.is_v4()) return packet;
  packet.insert(packet.begin() + ipv4::kHeader, options, 1);  // no operation
  packet[0] = static_cast<uint8_t>(4 << 4 | (ipv4::kHeader + options) / 4);
  write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size()));
  write16(&packet[ipv4::kFragment], 0);
  write_ipv4_checksum(packet);
  return packet;
}

size_t header_size(const Bytes& packet) { return packet[0] >> 4 == 6 ? ipv6::kHeader : (packet[0] & 0x0f) * size_t{4}; }

// `size` bytes of the packet's data from `offset` on, as a fragment whose header says what it is told.
Bytes fragment_of(const Bytes& packet, size_t offset, size_t size, bool more, uint32_t identification) {
  const size_t header = header_size(packet);
  Bytes fragment(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(header));
  if (packet[0] >> 4 == 6) {
    fragment.resize(header + ipv6::kFragmentHeader);
    fragment[header] = fragment[ipv6::kNextHeader];
    fragment[ipv6::kNextHeader] = ipv6::kFragment;
    write16(&fragment[ipv6::kPayloadLength], static_cast<uint16_t>(ipv6::kFragmentHeader + size));
    write16(&fragment[header + ipv6::kPlace], static_cast<uint16_t>(offset | (more ? ipv6::kMoreFragments : 0)));
    write32(&fragment[header + ipv6::kIdentification], identification);
  } else {
    // Options that are not copied are in the first fragment only.
    if (offset > 0) {
      fragment.resize(ipv4::kHeader);
      fragment[0] = 4 << 4 | ipv4::kHeader / 4;
    }
    write16(&fragment[ipv4::kTotalLength], static_cast<uint16_t>(fragment.size() + size));
    write16(&fragment[ipv4::kIdentification], static_cast<uint16_t>(identification));
    write16(&fragment[ipv4::kFragment], static_cast<uint16_t>(offset / 8 | (more ? ipv4::kMoreFragments : 0)));
    write_ipv4_checksum(fragment);
  }
  const auto data = packet.begin() + static_cast<ptrdiff_t>(header + offset);
  fragment.insert(fragment.end(), data, data + static_cast<ptrdiff_t>(size));
  return fragment;
}

// The packet cut at these offsets of its data.
std::vector<Bytes> split(const Bytes& packet, std::vector<size_t> cuts, uint32_t identification) {
  const size_t size = packet.size() - header_size(packet);
  std::vector<Bytes> fragments;
  size_t at = 0;
  cuts.push_back(size);
  for (const size_t cut : cuts) {
    fragments.push_back(fragment_of(packet, at, cut - at, cut < size, identification));
    at = cut;
  }
  return fragments;
}

// With the identification that its fragments had, which is of no use any more.
Bytes identified(Bytes packet, uint32_t identification) {
  if (packet[0] >> 4 == 6) return packet;
  write16(&packet[ipv4::kIdentification], static_cast<uint16_t>(identification));
  write_ipv4_checksum(packet);
  return packet;
}

struct Rig {
  explicit Rig(const Reassembly::Limits& limits = kLimits) : reassembly(limits, 42) {}

  // The packet that this fragment completes, or none.
  Bytes take(const Bytes& bytes, uint64_t now = kNow) {
    const Bytes exact(bytes);  // so that ASan sees the end, and that nothing is kept of it
    const auto fragment = parse_fragment(exact);
    CHECK(fragment.has_value());
    if (!fragment) return {};
    const auto whole = reassembly.take(*fragment, now);
    return {whole.begin(), whole.end()};
  }
  bool lost(uint64_t overlapping, uint64_t late, uint64_t crowded) {
    const Reassembly::Lost lost = reassembly.take_lost();
    return lost.overlapping == overlapping && lost.late == late && lost.crowded == crowded;
  }

  Reassembly reassembly;
};

void order_tests() {
  test("fragments make the packet in whatever order they come, IPv4 and IPv6", [] {
    for (const bool four : {true, false}) {
      const Bytes packet = segment_of(tuple_of(four), random_bytes(1400));
      std::vector<size_t> order{0, 1, 2, 3};
      do {
        Rig rig;
        const auto fragments = split(packet, {8, 504, 1000}, 7);
        for (size_t i = 0; i < order.size(); ++i) {
          const Bytes whole = rig.take(fragments[order[i]]);
          CHECK(whole == (i == 3 ? identified(packet, 7) : Bytes()));
        }
        SegmentView view;
        CHECK(rig.reassembly.bytes() > 0);
        rig.reassembly.release();
        CHECK(rig.reassembly.bytes() == 0 && rig.lost(0, 0, 0));
      } while (std::ranges::next_permutation(order).found);
    }
  });

  test("packets do not mix that differ in source, destination or identification only", [] {
    for (const bool four : {true, false}) {
      Rig rig;
      struct Case {
        Bytes packet;
        std::vector<Bytes> fragments;
        uint32_t identification;
      };
      std::vector<Case> cases;
      for (const uint32_t identification : {0, 1, 0xffff}) {
        Tuple tuple = tuple_of(four);
        const Tuple from = tuple_of(four, 2);
        for (const Tuple& each :
             {tuple, Tuple{tuple.local, from.remote}, Tuple{{from.remote.address, 443}, tuple.remote}}) {
          const Bytes packet = segment_of(each, random_bytes(100));
          cases.push_back({packet, split(packet, {64}, identification), identification});
        }
      }
      for (const Case& each : cases) CHECK(rig.take(each.fragments[1]).empty());
      for (const Case& each : cases) CHECK(rig.take(each.fragments[0]) == identified(each.packet, each.identification));
      CHECK(rig.lost(0, 0, 0));
    }
  });

  test("any packet, cut anywhere, mixed with others and in part repeated, comes out as it was", [] {
    for (int round = 0; round < 300; ++round) {
      struct Sent {
        Bytes packet;
        size_t left;
      };
      Rig rig;
      std::vector<Sent> sent;
      std::vector<std::pair<size_t, Bytes>> wire;
      for (uint32_t id = 0; id < 8; ++id) {
        const bool four = random_below(2) == 0;
        const size_t most = random_below(4) == 0 ? kMaxPacket - 100 : 3000;
        const auto options = static_cast<uint8_t>(random_below(11) * 4);
        const Bytes packet = segment_of(tuple_of(four), random_bytes(1 + random_below(most)), id, four ? options : 0);
        std::vector<size_t> cuts;
        const size_t units = (packet.size() - header_size(packet) - 1) / 8;
        for (uint32_t i = random_below(std::min<size_t>(units, 63)) + 1; i > 0; --i)
          cuts.push_back(8 * (1 + random_below(units)));
        std::ranges::sort(cuts);
        const auto again = std::ranges::unique(cuts);
        cuts.erase(again.begin(), again.end());
        const auto fragments = split(packet, cuts, id);
        sent.push_back({identified(packet, id), fragments.size()});
        for (const Bytes& fragment : fragments) wire.emplace_back(id, fragment);
      }
      std::ranges::shuffle(wire, random_source);
      for (const auto& [id, fragment] : wire) {
        const Bytes whole = rig.take(fragment);
        const bool complete = --sent[id].left == 0;
        CHECK(whole == (complete ? sent[id].packet : Bytes()));
        SegmentView view;
        CHECK(!complete || parse_segment(whole, nullptr, view) == ParseError::kNone);
        if (!complete && random_below(3) == 0) CHECK(rig.take(fragment).empty());
      }
      rig.reassembly.release();
      CHECK(rig.lost(0, 0, 0) && rig.reassembly.bytes() == 0);
    }
  });

  test("an IPv6 fragment that is the whole packet is taken by itself, whatever waits", [] {
    Rig rig;
    const Bytes other = segment_of(tuple_of(false), random_bytes(100)), packet = segment_of(tuple_of(false), {1, 2, 3});
    const auto waiting = split(other, {64}, 5);
    CHECK(rig.take(waiting[0]).empty());
    CHECK(rig.take(split(packet, {}, 5)[0]) == packet);
    CHECK(rig.take(waiting[1]) == other);
    rig.reassembly.release();
    CHECK(rig.lost(0, 0, 0) && rig.reassembly.bytes() == 0);
  });

  test("packets that are complete stay until they are released", [] {
    Rig rig;
    std::vector<std::span<const uint8_t>> views;
    std::vector<Bytes> packets;
    for (uint32_t id = 0; id < 40; ++id) {
      packets.push_back(segment_of(tuple_of(false), random_bytes(1000)));
      const auto fragments = split(packets.back(), {512}, id);
      CHECK(rig.take(fragments[0]).empty());
      views.push_back(rig.reassembly.take(*parse_fragment(fragments[1]), kNow));
    }
    for (size_t i = 0; i < views.size(); ++i) CHECK(std::ranges::equal(views[i], packets[i]));
  });
}

void contradiction_tests() {
  const auto each_family = [](const auto& body) {
    for (const bool four : {true, false}) body(segment_of(tuple_of(four), random_bytes(1004)));
  };

  test("a fragment that overlaps another discards the whole packet", [&] {
    struct Case {
      size_t offset, size;
      bool more;
    };
    each_family([](const Bytes& packet) {
      // Against [0, 64), [256, 512) and the last, [768, 1024).
      for (const auto& [offset, size, more] :
           {Case{0, 72, true}, Case{0, 56, true}, Case{56, 64, true}, Case{8, 8, true}, Case{128, 136, true},
            Case{128, 512, true}, Case{504, 16, true}, Case{760, 264, false}, Case{512, 504, false},
            Case{512, 504, true}, Case{1016, 16, true}, Case{1024, 8, true}, Case{1024, 8, false}}) {
        Bytes longer = packet;
        longer.resize(packet.size() + 100);
        Rig rig;
        CHECK(rig.take(fragment_of(packet, 0, 64, true, 1)).empty());
        CHECK(rig.take(fragment_of(packet, 768, 256, false, 1)).empty());
        CHECK(rig.take(fragment_of(packet, 256, 256, true, 1)).empty());
        CHECK(rig.take(fragment_of(longer, offset, size, more, 1)).empty());
        CHECK(rig.reassembly.bytes() == 0 && rig.lost(4, 0, 0));
      }
    });
  });

  test("a last fragment in front of one that is there already discards the whole packet", [&] {
    each_family([](const Bytes& packet) {
      Rig rig;
      CHECK(rig.take(fragment_of(packet, 256, 256, true, 1)).empty());
      CHECK(rig.take(fragment_of(packet, 64, 60, false, 1)).empty());
      CHECK(rig.reassembly.bytes() == 0 && rig.lost(2, 0, 0));
    });
  });

  test("a fragment in the place of another that differs begins the next packet of that identification", [&] {
    each_family([](const Bytes& packet) {
      const size_t header = header_size(packet);
      const Bytes next = segment_of(packet[0] >> 4 == 6 ? tuple_of(false) : tuple_of(true), random_bytes(1004), 2);
      const auto old = split(packet, {512, 768}, 1), fresh = split(next, {512, 768}, 1);
      Rig rig;
      CHECK(rig.take(old[0]).empty());
      CHECK(rig.take(old[1]).empty());
      CHECK(rig.take(fresh[0]).empty());
      CHECK(rig.lost(2, 0, 0));
      CHECK(rig.take(fresh[2]).empty());
      CHECK(rig.take(fresh[1]) == identified(next, 1));
      // The last of another packet is no duplicate of one in its place that is not the last.
      CHECK(rig.take(fragment_of(packet, 768, 256, true, 2)).empty());
      CHECK(rig.take(fragment_of(packet, 768, 256, false, 2)).empty());
      CHECK(rig.lost(1, 0, 0));
      CHECK(rig.take(fragment_of(packet, 0, 768, true, 2)).size() == header + 1024);
    });
  });

  test("taken once more, what completes a mixture begins the next packet", [&] {
    each_family([](const Bytes& packet) {
      const Bytes next = segment_of(packet[0] >> 4 == 6 ? tuple_of(false) : tuple_of(true), random_bytes(1004), 2);
      const auto old = split(packet, {512}, 1), fresh = split(next, {512}, 1);
      Rig rig;
      CHECK(rig.take(old[1]).empty());
      SegmentView view;
      CHECK(parse_segment(rig.take(fresh[0]), nullptr, view) == ParseError::kBadChecksum);
      CHECK(rig.take(fresh[0]).empty());
      CHECK(rig.take(fresh[1]) == identified(next, 1));
    });
  });
}

void limit_tests() {
  test("what waits for too long is forgotten: 30 s for IPv4, 60 s for IPv6, from the first that came", [] {
    for (const bool four : {true, false}) {
      const uint64_t wait = four ? 30'000 : 60'000;
      const Bytes packet = segment_of(tuple_of(four), random_bytes(1000));
      const auto fragments = split(packet, {256, 512}, 1);
      Rig rig;
      CHECK(rig.take(fragments[0]).empty());
      CHECK(rig.take(fragments[1], kNow + wait - 1).empty());
      CHECK(rig.take(fragments[2], kNow + wait).empty());
      CHECK(rig.lost(0, 2, 0));
      CHECK(rig.take(fragments[0], kNow + wait).empty());
      CHECK(rig.take(fragments[1], kNow + 2 * wait - 1) == identified(packet, 1));
      rig.reassembly.release();
      CHECK(rig.take(fragments[1], kNow + 3 * wait).empty());
      rig.reassembly.expire(kNow + 4 * wait);
      CHECK(rig.lost(0, 1, 0) && rig.reassembly.bytes() == 0);
    }
  });

  test("IPv4 does not wait behind IPv6", [] {
    Rig rig;
    CHECK(rig.take(split(segment_of(tuple_of(false), random_bytes(100)), {64}, 1)[0]).empty());
    CHECK(rig.take(split(segment_of(tuple_of(true), random_bytes(100)), {64}, 1)[0], kNow + 1).empty());
    rig.reassembly.expire(kNow + 30'001);
    CHECK(rig.lost(0, 1, 0));
  });

  test("a flood of fragments takes no more memory than allowed, and as many steps a fragment", [] {
    for (const size_t size : {8, 600, 1400, 65000}) {
      for (const bool first : {true, false}) {
        const size_t before = memory_in_use;
        Rig rig;
        size_t most = 0, most_allocations = 0;
        const size_t count = size > 10'000 ? 2000 : 50'000;
        for (size_t i = 0; i < count; ++i) {
          most = std::max(most, memory_in_use - before);
          const bool four = random_below(2) == 0;
          const Bytes packet = segment_of(tuple_of(four, static_cast<uint8_t>(random_source())), Bytes(size + 8));
          const Bytes bytes = fragment_of(packet, first ? 0 : 8, size, true, static_cast<uint32_t>(i));
          const auto fragment = parse_fragment(bytes);
          if (!fragment) continue;
          const size_t made = allocations;
          CHECK(rig.reassembly.take(*fragment, kNow).empty());
          CHECK(rig.reassembly.bytes() <= kLimits.bytes);
          most_allocations = std::max(most_allocations, allocations - made);
        }
        CHECK(most <= kLimits.bytes);
        CHECK(most > kLimits.bytes / 4);
        CHECK(most_allocations <= 8);
        CHECK(rig.reassembly.take_lost().crowded > 0);
      }
    }
  });

  test("where memory is full the oldest packet goes first, of either family", [] {
    const auto first_of = [](bool four, uint32_t id) {
      return fragment_of(segment_of(tuple_of(four), Bytes(1400)), 0, 1400, true, id);
    };
    const auto rest_of = [](bool four, uint32_t id) {
      return fragment_of(segment_of(tuple_of(four), Bytes(1400)), 1400, 20, false, id);
    };
    Reassembly::Limits limits = kLimits;
    limits.bytes = 20'000;
    for (const bool four : {true, false}) {
      Rig rig(limits);
      uint32_t count = 0;
      while (rig.reassembly.take_lost().crowded == 0) {
        CHECK(rig.take(first_of(count % 2 == 0 ? four : !four, count), kNow + count).empty());
        ++count;
      }
      CHECK(count > 8);
      for (uint32_t id = count - 1; id >= 4; --id) {
        CHECK(!rig.take(rest_of(id % 2 == 0 ? four : !four, id), kNow + count).empty());
        rig.reassembly.release();
      }
      CHECK(rig.take(rest_of(four, 0), kNow + count).empty());
    }
  });

  test("packets that are complete and not released leave no more room than there is", [] {
    for (uint32_t bytes = 8000; bytes < 12'000; bytes += 100) {
      Reassembly::Limits limits = kLimits;
      limits.bytes = bytes;
      Rig rig(limits);
      size_t complete = 0;
      for (uint32_t id = 0; id < 20; ++id) {
        const Bytes packet = segment_of(tuple_of(true), random_bytes(1400));
        for (const Bytes& fragment : split(packet, {704}, id)) complete += !rig.take(fragment).empty();
        CHECK(rig.reassembly.bytes() <= limits.bytes);
      }
      CHECK(complete > 2 && complete < 8);
      CHECK(rig.reassembly.take_lost().crowded > 0);
      rig.reassembly.release();
      rig.reassembly.expire(kNow + 60'000);
      CHECK(rig.reassembly.bytes() == 0);
    }
  });

  test("a packet in more fragments than allowed is discarded", [] {
    for (const bool four : {true, false}) {
      const Bytes packet = segment_of(tuple_of(four), random_bytes(8 * 65 - 20));
      std::vector<size_t> cuts;
      for (size_t at = 8; at < 8 * 65; at += 8) cuts.push_back(at);
      Rig rig;
      const auto fragments = split(packet, cuts, 1);
      CHECK(fragments.size() == 65);
      for (const Bytes& fragment : fragments) CHECK(rig.take(fragment).empty());
      CHECK(rig.reassembly.bytes() == 0 && rig.lost(0, 0, 65));
    }
  });

  test("a packet that its first header makes too large is discarded", [] {
    // Without options in the later fragments, each by itself is within the largest packet.
    const Bytes packet = segment_of(tuple_of(true), Bytes(64'000), 1, 40);
    Bytes longer = packet;
    longer.resize(60 + 65'504 + 11);
    Rig rig;
    CHECK(rig.take(fragment_of(longer, 0, 64'000, true, 1)).empty());
    CHECK(rig.take(fragment_of(longer, 64'000, 1504 + 11, false, 1)).empty());
    CHECK(rig.reassembly.bytes() == 0 && rig.lost(0, 0, 2));
  });
}

void refusal_tests() {
  test("what no honest host sends is no fragment", [] {
    for (const bool four : {true, false}) {
      const Bytes packet = segment_of(tuple_of(four), Bytes(65'000));
      const size_t overhead = four ? 0 : ipv6::kFragmentHeader;
      CHECK(parse_fragment(fragment_of(packet, 8, 16, true, 1)).has_value());
      CHECK(!parse_fragment(fragment_of(packet, 8, 0, true, 1)));
      CHECK(!parse_fragment(fragment_of(packet, 8, 0, false, 1)));
      CHECK(!parse_fragment(fragment_of(packet, 8, 15, true, 1)));
      CHECK(parse_fragment(fragment_of(packet, 8, 15, false, 1)).has_value());

      // The largest packet has 65535 bytes with its IP header.
      Bytes longer = packet;
      longer.resize(kMaxPacket + 8);
      const size_t most = kMaxPacket - header_size(packet) - 65'000;
      CHECK(parse_fragment(fragment_of(longer, 65'000, most, false, 1)).has_value());
      CHECK(!parse_fragment(fragment_of(longer, 65'000, most + 1, false, 1)));

      Bytes bytes = fragment_of(packet, 8, 16, true, 1);
      for (size_t size = 0; size < bytes.size(); ++size) {
        CHECK(!parse_fragment(Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size))));
      }
      Bytes padded = bytes;
      padded.resize(60 + overhead);
      CHECK(parse_fragment(padded)->data.size() == 16);
      bytes[0] = 5 << 4 | 5;
      CHECK(!parse_fragment(bytes));
    }
    Bytes udp = fragment_of(segment_of(tuple_of(true), Bytes(100)), 8, 16, true, 1);
    udp[ipv4::kProtocol] = 17;
    write_ipv4_checksum(udp);
    CHECK(!parse_fragment(udp));
    Bytes damaged = fragment_of(segment_of(tuple_of(true), Bytes(100)), 8, 16, true, 1);
    damaged[ipv4::kTimeToLive] ^= 1;
    CHECK(!parse_fragment(damaged));

    const Bytes six = fragment_of(segment_of(tuple_of(false), Bytes(100)), 8, 16, true, 1);
    Bytes udp6 = six, mapped = six, extended = six;
    udp6[ipv6::kHeader] = 17;
    CHECK(!parse_fragment(udp6));
    std::ranges::copy(tuple_of(true).remote.address.bytes, mapped.begin() + ipv6::kSource);
    CHECK(!parse_fragment(mapped));
    extended[ipv6::kNextHeader] = ipv6::kHopByHop;
    CHECK(!parse_fragment(extended));
  });

  test("no bytes lead the parser out of the fragment", [] {
    const Bytes seeds[] = {fragment_of(segment_of(tuple_of(true), Bytes(100)), 8, 16, true, 1),
                           fragment_of(segment_of(tuple_of(false), Bytes(100)), 8, 16, true, 1)};
    size_t read = 0;
    for (int round = 0; round < 200'000; ++round) {
      Bytes packet = seeds[round & 1];
      for (uint32_t i = random_below(4); i > 0; --i)
        packet[random_below(packet.size())] = static_cast<uint8_t>(random_source());
      packet.resize(random_below(packet.size() + 1));
      if (random_below(2) == 0 && packet.size() > ipv4::kHeader && packet[0] >> 4 == 4 &&
          (packet[0] & 0x0f) * size_t{4} <= packet.size())
        write_ipv4_checksum(packet);
      const Bytes exact(packet.begin(), packet.end());
      const auto fragment = parse_fragment(exact);
      if (!fragment) continue;
      ++read;
      CHECK(!fragment->data.empty());
      CHECK(fragment->data.data() + fragment->data.size() <= exact.data() + exact.size());
    }
    CHECK(read > 100);
  });
}

// A device that carries others' packets too, as packet sockets do: the test puts them into a queue.
class SharedDevice final : public PacketDevice {
 public:
  SharedDevice() : PacketDevice(false) {}
  [[nodiscard]] std::span<const int> descriptors() const override { return {&number_, 1}; }
  void begin() override { read_.clear(); }
  [[nodiscard]] Read read(Packet& packet) override {
    if (queue_.empty()) {
      uint64_t value;
      (void)!::read(number_, &value, sizeof value);
      return Read::kNone;
    }
    read_.push_back(std::move(queue_.front()));
    queue_.pop_front();
    packet = {.bytes = read_.back(), .offload = {}, .has_offload = true, .way = {}};
    packet.offload.flags = VirtioNetHeader::kDataValid;  // of a fragment it says nothing about the segment
    return Read::kPacket;
  }
  [[nodiscard]] bool is_shared() const override { return true; }

  void put(Bytes packet) {
    queue_.push_back(std::move(packet));
    const uint64_t one = 1;
    (void)!::write(number_, &one, sizeof one);
  }

 protected:
  [[nodiscard]] int write(const Outgoing&) override { return 0; }
  [[nodiscard]] bool cuts(Way) const override { return false; }
  [[nodiscard]] bool is_lost(Way, int) const override { return false; }

 private:
  const UniqueFd ready_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  const int number_ = ready_.get();
  std::deque<Bytes> queue_, read_;
};

// An engine on such a device.
struct SharedRig {
  explicit SharedRig(uint32_t wait4 = test_policy().fragment_wait4) {
    auto shared = std::make_unique<SharedDevice>();
    device = shared.get();
    Engine::Options options;
    options.max_flows = 8;
    options.policy = test_policy();
    options.policy.fragment_bytes = 100'000;
    options.policy.fragment_wait4 = wait4;
    options.devices.push_back(std::move(shared));
    options.wake = {[](void*) {}, nullptr};
    const char* syscall = "";
    REQUIRE(Engine::create(std::move(options), engine, syscall) == 0);
  }

  uint32_t open(const Tuple& tuple) {
    Flow::Options options;
    options.tuple = tuple;
    options.send_next = options.receive_next = 1;
    options.max_payload = 1460;
    const int id = engine->open_flow(options);
    REQUIRE(id > 0);
    return static_cast<uint32_t>(id);
  }
  void put(const std::vector<Bytes>& packets) {
    for (const Bytes& packet : packets) device->put(packet);
  }
  void settle() {
    while (engine->turn(0) > 0)
      ;
  }
  [[nodiscard]] uint64_t dropped(DropReason reason) const {
    return read_counter(engine->counters()->engine().dropped[static_cast<size_t>(reason)]);
  }
  [[nodiscard]] uint64_t all_dropped() const {
    uint64_t all = 0;
    for (uint64_t& each : engine->counters()->engine().dropped) all += read_counter(each);
    return all;
  }

  SharedDevice* device;
  std::unique_ptr<Engine> engine;
};

void engine_tests() {
  test("datagrams that come in fragments arrive, many in a batch, in one run with whole ones", [] {
    LoopbackSocket backend;
    SharedRig rig;
    const Tuple tuple = tuple_of(true);
    const uint32_t id = rig.open(tuple);
    const char* syscall = "";
    CHECK(rig.engine->splice_udp(id, backend.endpoint(), {}, syscall) == 0);
    rig.settle();
    std::vector<Bytes> sent;
    uint32_t seq = 1;
    for (uint32_t i = 0; i < 30; ++i) {
      sent.push_back(random_bytes(1200));
      const Bytes packet = segment_of(tuple, sent.back(), seq);
      rig.put(i % 3 == 0 ? std::vector<Bytes>{packet} : split(packet, {400}, i));
      seq += 1200;
    }
    rig.settle();
    for (const Bytes& datagram : sent) {
      uint16_t from;
      CHECK(std::ranges::equal(backend.receive(from), datagram));
    }
    CHECK(rig.all_dropped() == 0);
  });

  test("packets that were put together take no memory when they have been delivered", [] {
    LoopbackSocket backend;
    SharedRig rig;
    const Tuple tuple = tuple_of(true);
    const char* syscall = "";
    CHECK(rig.engine->splice_udp(rig.open(tuple), backend.endpoint(), {}, syscall) == 0);
    rig.settle();
    for (uint32_t i = 0; i < 200; ++i) {
      rig.put(split(segment_of(tuple, random_bytes(1200), 1 + 1200 * i), {400}, i));
      rig.settle();
      uint16_t from;
      CHECK(backend.receive(from).size() == 1200);
    }
    CHECK(rig.all_dropped() == 0);
  });

  test("a fragment whose rest does not come is counted with the next packet of any kind", [] {
    SharedRig rig(1);
    rig.put({fragment_of(segment_of(tuple_of(true), Bytes(100)), 0, 64, true, 1)});
    rig.settle();
    while (rig.dropped(DropReason::kFragmentLate) == 0) {
      rig.put({segment_of(tuple_of(true), {})});
      rig.settle();
    }
    CHECK(rig.dropped(DropReason::kFragmentLate) == 1);
  });

  test("after the loss of any fragment, packets of one identification find together again", [] {
    LoopbackSocket backend;
    for (size_t gone = 0; gone < 3; ++gone) {
      SharedRig rig;
      const Tuple tuple = tuple_of(true);
      const char* syscall = "";
      CHECK(rig.engine->splice_udp(rig.open(tuple), backend.endpoint(), {}, syscall) == 0);
      for (uint32_t i = 0; i < 20; ++i) {
        auto fragments = split(segment_of(tuple, random_bytes(1200), 1 + 1200 * i), {400, 800}, 0);
        if (i == 5) fragments.erase(fragments.begin() + static_cast<ptrdiff_t>(gone));
        rig.put(fragments);
      }
      rig.settle();
      size_t received = 0;
      uint16_t from;
      while (!backend.receive(from).empty()) ++received;
      CHECK(received >= 18);
    }
  });

  test("fragments for others, of nobody's connection and malformed ones are dropped and counted", [] {
    SharedRig rig;
    const uint8_t elsewhere[] = {198, 51, 100, 1};
    Tuple foreign = tuple_of(true);
    foreign.local.address = Address::from_v4(elsewhere);
    rig.put(split(segment_of(foreign, Bytes(100)), {64}, 1));
    rig.put({fragment_of(segment_of(tuple_of(true), Bytes(100)), 8, 7, true, 1)});
    rig.put(split(segment_of(tuple_of(true), Bytes(100)), {64}, 1));
    Bytes damaged = segment_of(tuple_of(true), Bytes(100));
    damaged.back() ^= 1;
    rig.put(split(damaged, {64}, 2));
    rig.put({fragment_of(damaged, 0, 64, true, 3), fragment_of(damaged, 8, 8, true, 3)});
    rig.settle();
    CHECK(rig.dropped(DropReason::kNotLocal) == 2);
    CHECK(rig.dropped(DropReason::kFragment) == 1);
    CHECK(rig.dropped(DropReason::kStranger) == 1);
    CHECK(rig.dropped(DropReason::kBadChecksum) == 1);
    CHECK(rig.dropped(DropReason::kFragmentOverlap) == 2);
    CHECK(rig.all_dropped() == 7);
    CHECK(!rig.engine->events(0)->swap().size);
  });

  test("on a device of our own fragments are put together too: the kernel cuts what its links do not carry", [] {
    EngineRig rig;
    CHECK(rig.open(5000, true) != 0);
    for (const Bytes& fragment : split(segment_of(EngineRig::tuple(5000), Bytes(100)), {64}, 1)) {
      CHECK(::send(rig.wires[0].get(), fragment.data(), fragment.size(), 0) > 0);
    }
    rig.settle();
    size_t datagrams = 0;
    for (const auto& event : rig.events()) {
      if (event.record.type != EventType::kDatagram) continue;
      ++datagrams;
      CHECK(event.payload == Bytes(100));
    }
    CHECK(datagrams == 1);
  });
}

}  // namespace

int main() {
  order_tests();
  contradiction_tests();
  limit_tests();
  refusal_tests();
  engine_tests();
  return done();
}
