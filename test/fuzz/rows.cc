// A packet port under packets of any bytes. What a row says lies within its packet; what it makes of a segment or of a
// datagram is written again, read by another port, and has to be the same.
//
// Input: packets. Of each a byte of switches, two of its size, a VirtioNetHeader if the first switch of all says so,
// and its bytes.
#include <algorithm>
#include <array>

#include "../support/port_rig.h"
#include "../support/require.h"
#include "input.h"
#include "wire/headers.h"

using namespace guise;
using namespace guise::row;

namespace {

enum : uint8_t { kVirtio = 1, kMend = 2, kAttach = 4, kSegmentation = 8, kSmallPieces = 16 };

bool within(int32_t offset, int32_t size, int32_t begin, int32_t end) {
  return offset >= begin && size >= 0 && size <= end - offset;
}

void check_row(const rig::Port& port, const int32_t* row) {
  REQUIRE(row[in::kKind] >= kind::kTcp && row[in::kKind] <= kind::kProblem);
  REQUIRE(row[in::kFlow] == -1 || port.port->flow(row[in::kFlow]));
  const int32_t begin = row[in::kPacket], end = begin + row[in::kPacketSize];
  REQUIRE(begin >= 0 && end > begin && static_cast<size_t>(end) <= port.slab.size());
  REQUIRE(within(row[in::kPayload], row[in::kPayloadSize], begin, end));
  REQUIRE(row[in::kSegmentSize] <= row[in::kPayloadSize]);
  REQUIRE((row[in::kSegmentSize] > 0) == (row[in::kPayloadSize] > 0));
  const bool v4 = port.slab[static_cast<size_t>(begin)] >> 4 == 4;
  REQUIRE(v4 == !(row[in::kFacts] & fact::kIpv6));
  if (row[in::kKind] == kind::kTcp) REQUIRE((row[in::kOptions] >> option::kSackCountShift) <= 4);
  if (row[in::kKind] == kind::kOther || row[in::kKind] == kind::kProblem) {
    REQUIRE(row[in::kSeq] >= 0 && row[in::kSeq] < row[in::kPacketSize]);
  }
}

// The tuple of a row, turned round.
Tuple answer_tuple(const rig::Port& port, const int32_t* row) {
  const uint8_t* packet = &port.slab[static_cast<size_t>(row[in::kPacket])];
  const bool v4 = !(row[in::kFacts] & fact::kIpv6);
  const auto ports = static_cast<uint32_t>(row[in::kPorts]);
  const auto address = [&](size_t at4, size_t at6) {
    return v4 ? Address::from_v4(packet + at4) : Address::from_v6(packet + at6);
  };
  return {{address(ipv4::kDestination, ipv6::kDestination), static_cast<uint16_t>(ports >> 16)},
          {address(ipv4::kSource, ipv6::kSource), static_cast<uint16_t>(ports)}};
}

void read_all(rig::Port& port, rig::Device& from) {
  REQUIRE(from.written.size() == 1);
  REQUIRE(port.read(from.written[0], from.offloads[0]));
  from.written.clear();
  from.offloads.clear();
}

// Sends what a segment said back by a row of its own.
void check_segment(rig::Port& port, rig::Port& other, const int32_t* row, uint8_t switches) {
  int32_t* to = port.out();
  to[out::kFlow] = row[in::kFlow];
  to[out::kSeq] = row[in::kSeq];
  to[out::kAck] = row[in::kAck];
  to[out::kFlags] = row[in::kFlags] | (row[in::kFacts] & fact::kEcnMask) << kEcnShift;
  to[out::kWindow] = row[in::kWindow];
  to[out::kOptions] = row[in::kOptions];
  to[out::kMss] = row[in::kMss];
  to[out::kTimestamp] = row[in::kTimestamp];
  to[out::kTimestampEcho] = row[in::kTimestampEcho];
  std::copy_n(row + in::kSack, 8, to + out::kSack);
  REQUIRE(port.port->answer(0) == 0);
  read_all(other, *port.device);
  const int32_t* back = other.row(0);
  for (const size_t same : {in::kSeq, in::kAck, in::kFlags, in::kWindow}) REQUIRE(back[same] == row[same]);
  REQUIRE((back[in::kFacts] & fact::kEcnMask) == (row[in::kFacts] & fact::kEcnMask));
  // Blocks that have no room are left out.
  const int32_t kinds = (1 << option::kSackCountShift) - 1;
  REQUIRE((back[in::kOptions] & kinds) == (row[in::kOptions] & kinds) && back[in::kOptions] <= row[in::kOptions]);
  if (row[in::kFlow] < 0 || row[in::kPayloadSize] == 0) return;

  const auto payload = port.payload(row);
  const rig::Bytes bytes(payload.begin(), payload.end());
  std::vector<rig::Bytes> chunks;
  const size_t piece = switches & kSmallPieces ? 7 : 1000;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const size_t end = std::min(at + piece, bytes.size());
    chunks.emplace_back(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(end));
  }
  rig::Chunks source(chunks);
  const auto segment_size = static_cast<size_t>(row[in::kSegmentSize]);
  const int64_t left = port.port->write_data(0, source, bytes.size(), segment_size);
  // With options of ours it may be too long for a packet.
  REQUIRE(left == static_cast<int64_t>(bytes.size()) || (left == -EMSGSIZE && segment_size > 60'000));
  rig::Bytes joined;
  for (size_t i = 0; i < port.device->written.size(); ++i) {
    back = other.read(port.device->written[i], port.device->offloads[i]);
    REQUIRE(back && back[in::kSeq] == static_cast<int32_t>(static_cast<uint32_t>(row[in::kSeq]) + joined.size()));
    const auto part = other.payload(back);
    joined.insert(joined.end(), part.begin(), part.end());
  }
  REQUIRE(left < 0 || joined == bytes);
  port.device->written.clear();
  port.device->offloads.clear();
}

void check_datagram(rig::Port& port, rig::Port& other, const int32_t* row) {
  const auto payload = port.payload(row);
  const rig::Bytes bytes(payload.begin(), payload.end());
  REQUIRE(port.port->write_udp(answer_tuple(port, row), bytes, 576) == 0);
  const int32_t* back = nullptr;
  for (size_t i = 0; i < port.device->written.size(); ++i) {
    REQUIRE(!back && port.device->written[i].size() <= 576);
    back = other.read(port.device->written[i], port.device->offloads[i]);
  }
  REQUIRE(back && back[in::kKind] == kind::kUdp && std::ranges::equal(other.payload(back), bytes));
  port.device->written.clear();
  port.device->offloads.clear();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const uint8_t all = size > 0 ? data[0] : 0;
  rig::Port port(all & kVirtio, all & kSegmentation), other(all & kVirtio);
  while (!input.empty()) {
    const uint8_t switches = input.byte();
    const auto bytes = input.value<uint16_t>();
    const auto offload = all & kVirtio ? input.value<VirtioNetHeader>() : VirtioNetHeader{};
    const auto given = input.bytes(bytes);
    rig::Bytes packet(given.begin(), given.end());
    if ((switches & kMend) && !packet.empty()) rig::mend(packet);
    const int32_t* row = port.read(packet, offload);
    if (!row) continue;
    check_row(port, row);
    if (switches & kAttach) (void)port.port->attach_row(0);
    if (row[in::kKind] == kind::kTcp) check_segment(port, other, row, switches);
    if (row[in::kKind] == kind::kUdp) check_datagram(port, other, row);
    if (row[in::kFlow] >= 0 && !(switches & kAttach)) port.port->detach(row[in::kFlow]);
  }
  const Counters& counters = port.counters();
  REQUIRE(counters.damaged <= counters.received && counters.fragments <= counters.received && counters.refused == 0);
  return 0;
}
