// Rows: what TypeScript sees of a packet, and what it says of a segment, in 32-bit words. src/native/packet_port.ts
// says what each is; the layout is exported with the addon, and a test compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guise::row {

inline constexpr size_t kWords = 32;
inline constexpr size_t kOutgoingRows = 128;
inline constexpr size_t kMostSackBlocks = 4;  // as many as 40 bytes of options have room for (RFC 2018 §3)

namespace in {
inline constexpr size_t kKind = 0, kFlow = 1, kPacket = 2, kPacketSize = 3, kPayload = 4, kPayloadSize = 5,
                        kSegmentSize = 6, kPorts = 7, kFacts = 8, kFlags = 9, kSeq = 10, kAck = 11, kWindow = 12,
                        kOptions = 13, kMss = 14, kTimestamp = 15, kTimestampEcho = 16, kSack = 17,
                        kUrgent = kSack + 2 * kMostSackBlocks;
}  // namespace in
static_assert(in::kUrgent < kWords);

namespace out {
inline constexpr size_t kFlow = 0, kSeq = 1, kAck = 2, kFlags = 3, kWindow = 4, kOptions = 5, kMss = 6, kTimestamp = 7,
                        kTimestampEcho = 8, kSack = 9;
}  // namespace out

namespace kind {
inline constexpr int32_t kTcp = 1, kUdp = 2, kIcmp = 3, kOther = 4, kProblem = 5;
}  // namespace kind

// Of in::kFacts, beside the ECN field in the lowest two bits.
namespace fact {
inline constexpr int32_t kEcnMask = 3, kIpv6 = 4, kReassembled = 8;
inline constexpr int kHopLimitShift = 8;
}  // namespace fact

// Of both kOptions.
namespace option {
inline constexpr int32_t kMss = 1, kScale = 2, kSackPermitted = 4, kTimestamps = 8;
inline constexpr int kSackCountShift = 8;
}  // namespace option

// Of both kMss: the scale is behind the MSS. Of out::kFlags: the ECN field is behind the flags.
inline constexpr int kScaleShift = 16, kEcnShift = 16;

// What a port shares beside its rows.
struct State {
  int32_t used = 0;     // offset behind the last packet in the slab that was read into
  int32_t mtu = 0;      // bytes
  int32_t fed = 0;      // packets that wait to be read, of a port without a device
  int32_t written = 0;  // … to be taken
};

// Packets, unless said.
struct Counters {
  uint64_t received = 0;                // whatever they were
  uint64_t sent = 0;                    // super-segments count once
  uint64_t damaged = 0;                 // no row was made of them
  uint64_t refused = 0;                 // the device did not take them
  uint64_t segmentation_fallbacks = 0;  // times that the kernel has refused a super-segment and was given no more
  uint64_t fragments = 0;               // that have come
  uint64_t reassembled = 0;             // packets that were put together
  uint64_t late_fragments = 0, overlapping = 0, crowded = 0;  // fragments: see Reassembly::Lost
  uint64_t overrun = 0;                                       // fed and dropped, because too much waited
};

}  // namespace guise::row
