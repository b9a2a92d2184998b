// Reassembly under a script of fragments: of few packets, so that they meet. Nothing comes out that was not put in,
// memory keeps to its limit, and each fragment is in a packet, lost and counted, repeated, or waits.
//
// Input: steps of a byte each, whose lowest two bits say what it is; their arguments follow.
#include <algorithm>
#include <vector>

#include "../support/require.h"
#include "input.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/reassembly.h"
#include "wire/segment.h"

using namespace guise;

namespace {

constexpr Reassembly::Limits kLimits{.bytes = 16'000, .fragments = 8, .wait4 = 300, .wait6 = 600};

enum Step : uint8_t { kFragment, kSleep, kRelease, kBytes };

// What the data of a packet is: by its version, identification and place.
uint8_t data_at(uint8_t version, uint8_t identification, size_t offset) {
  return static_cast<uint8_t>(offset * 7 + identification * 31 + (offset >> 8) + version * 128);
}

std::vector<uint8_t> fragment_of(bool four, uint8_t identification, uint16_t offset, uint16_t size, bool more,
                                 uint8_t version) {
  std::vector<uint8_t> packet;
  if (four) {
    packet.resize(ipv4::kHeader);
    packet[0] = 4 << 4 | 5;
    write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size() + size));
    packet[ipv4::kIdentification] = identification;
    write16(&packet[ipv4::kFragment], static_cast<uint16_t>(offset / 8 | (more ? ipv4::kMoreFragments : 0)));
    packet[ipv4::kProtocol] = kProtocolTcp;
    ChecksumSum sum;
    sum.add(packet.data(), packet.size());
    const uint16_t checksum = sum.checksum();
    std::memcpy(&packet[ipv4::kChecksum], &checksum, 2);
  } else {
    packet.resize(ipv6::kHeader + ipv6::kFragmentHeader);
    packet[0] = 6 << 4;
    write16(&packet[ipv6::kPayloadLength], static_cast<uint16_t>(ipv6::kFragmentHeader + size));
    packet[ipv6::kNextHeader] = ipv6::kFragment;
    packet[ipv6::kSource] = packet[ipv6::kDestination] = 0xfd;
    packet[ipv6::kHeader] = kProtocolTcp;
    write16(&packet[ipv6::kHeader + ipv6::kPlace], static_cast<uint16_t>(offset | (more ? ipv6::kMoreFragments : 0)));
    packet[ipv6::kHeader + ipv6::kIdentification] = identification;
  }
  for (size_t i = 0; i < size; ++i) packet.push_back(data_at(version, identification, offset + i));
  return packet;
}

// What came out is a packet that is no fragment, with lengths and header checksum that hold.
void check_whole(std::span<const uint8_t> whole) {
  const bool four = whole[0] >> 4 == 4;
  REQUIRE(whole.size() <= kMaxPacket);
  REQUIRE(whole.size() ==
          (four ? read16(&whole[ipv4::kTotalLength]) : ipv6::kHeader + size_t{read16(&whole[ipv6::kPayloadLength])}));
  SegmentView segment;
  const ParseError refused = parse_segment(whole, nullptr, segment);
  REQUIRE(refused == ParseError::kNone || refused == ParseError::kBadChecksum || refused == ParseError::kTruncated ||
          refused == ParseError::kBadHeader);
  if (!four) return;
  ChecksumSum sum;
  sum.add(whole.data(), (whole[0] & 0x0f) * size_t{4});
  REQUIRE(sum.folded() == 0xffff);
}

// Of one version or the other, each byte in its place.
void check_data(std::span<const uint8_t> whole, bool four, uint8_t identification) {
  const auto data = whole.subspan(four ? ipv4::kHeader : ipv6::kHeader);
  for (size_t i = 0; i < data.size(); ++i) {
    REQUIRE(((data[i] ^ data_at(0, identification, i)) & 0x7f) == 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Reassembly reassembly(kLimits, 42);
  uint64_t now = 1000;
  uint64_t lost = 0, taken = 0;
  const auto count_lost = [&] {
    const Reassembly::Lost more = reassembly.take_lost();
    lost += more.overlapping + more.late + more.crowded;
    REQUIRE(lost <= taken);
    REQUIRE(reassembly.bytes() <= kLimits.bytes);
  };
  std::vector<std::vector<uint8_t>> expected;
  std::vector<std::span<const uint8_t>> whole;
  const auto take = [&](const Fragment& fragment) {
    ++taken;
    const auto packet = reassembly.take(fragment, now);
    count_lost();
    if (packet.empty()) return packet;
    check_whole(packet);
    expected.emplace_back(packet.begin(), packet.end());
    whole.push_back(packet);
    return packet;
  };
  while (!input.empty()) {
    const uint8_t step = input.byte();
    switch (step & 3) {
      case kFragment: {
        const bool four = step & 4, more = step & 8;
        const uint8_t identification = step >> 6, version = step >> 5 & 1;
        const uint16_t offset = input.byte() * 8;
        const auto bytes = fragment_of(four, identification, offset, input.byte() * (more ? 8 : 1), more, version);
        const auto fragment = parse_fragment(bytes);
        if (!fragment) break;
        REQUIRE(fragment->offset == offset && fragment->more == more);
        const auto packet = take(*fragment);
        if (!packet.empty()) check_data(packet, four, identification);
        break;
      }
      case kSleep:
        now += (step >> 2) * 10;
        reassembly.expire(now);
        count_lost();
        break;
      case kRelease:
        for (size_t i = 0; i < whole.size(); ++i) REQUIRE(std::ranges::equal(whole[i], expected[i]));
        whole.clear();
        expected.clear();
        reassembly.release();
        count_lost();
        break;
      default: {
        const auto bytes = input.bytes(input.byte());
        if (const auto fragment = parse_fragment(bytes)) {
          REQUIRE(!fragment->data.empty());
          REQUIRE(fragment->data.data() + fragment->data.size() <= bytes.data() + bytes.size());
          (void)take(*fragment);
        }
      }
    }
  }
  reassembly.release();
  reassembly.expire(now + kLimits.wait6);
  count_lost();
  REQUIRE(reassembly.bytes() == 0);
  return 0;
}
