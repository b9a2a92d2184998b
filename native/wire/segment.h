// IPv4/IPv6 + TCP header codec. No system call, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/bytes.h"
#include "wire/cut.h"
#include "wire/headers.h"
#include "wire/ip.h"
#include "wire/tuple.h"
#include "wire/virtio_net.h"
#include "wire/way.h"

namespace guise {

// TCP flags (RFC 9293 §3.1).
inline constexpr uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10, kCwr = 0x80;

inline constexpr size_t kMaxHeaders = ipv6::kHeader + 60;  // TCP with options
inline constexpr uint16_t kWindow = 0xffff;  // constant, so that GRO may merge; scaled by 14 (phantun-compatible)
// … of a connection whose windows are not scaled: who answered the SYN cannot know what happened to its SYN-ACK, and
// learns it from the first segment with this.
inline constexpr uint16_t kUnscaledWindow = 0xfffe;
inline constexpr uint8_t kHopLimit = 64;

// A parsed segment. The views point into the packet.
struct SegmentView {
  Tuple tuple;  // local = destination
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint8_t flags = 0;
  uint8_t hop_limit = 0;  // what is left of its TTL
  std::span<const uint8_t> options;
  std::span<const uint8_t> payload;
  size_t segment_size = 0;   // bytes of each datagram but the last; = payload.size() unless merged by GRO
  Way way;                   // how it came; not known unless whoever read the packet says so
  bool reassembled = false;  // it came in fragments, which nothing has sorted by ports before

  // The window as it stands in the header, which the options are behind. Few ask for it.
  [[nodiscard]] uint16_t window() const {
    return options.data() ? read16(options.data() - tcp::kHeader + tcp::kWindow) : kWindow;
  }
  // One that neither guise nor phantun sends: something on the way has changed it, or ends connections itself.
  [[nodiscard]] bool has_foreign_window() const { return window() != kWindow && window() != kUnscaledWindow; }
  [[nodiscard]] size_t datagrams() const { return datagrams_in(payload.size(), segment_size); }
};

// Reads one IP packet. `offload` is the header in front of it, or null on a device without.
// Anything that is not a whole, valid TCP segment is refused with the reason.
[[nodiscard]] ParseError parse_segment(std::span<const uint8_t> packet, const VirtioNetHeader* offload,
                                       SegmentView& out);

// The headers of one flow's segments, filled in once; each segment patches lengths, numbers and checksums.
class SegmentHeader {
 public:
  explicit SegmentHeader(const Tuple& tuple, uint16_t window = kWindow);

  [[nodiscard]] size_t ip_size() const { return ip_size_; }
  [[nodiscard]] Address destination() const {
    return ip_size_ == ipv4::kHeader ? Address::from_v4(bytes_ + ipv4::kDestination)
                                     : Address::from_v6(bytes_ + ipv6::kDestination);
  }
  // IP and TCP header without options.
  [[nodiscard]] size_t size() const { return ip_size_ + tcp::kHeader; }

  // Writes IP and TCP header into `out` (size() + options.size() bytes). options.size() is a multiple of 4.
  // The TCP checksum field gets the folded pseudo-header sum, which is what CHECKSUM_PARTIAL wants; a device that
  // computes none needs the final value. Returns the bytes written.
  size_t write(uint8_t* out, uint32_t seq, uint32_t ack, uint8_t flags, std::span<const uint8_t> options,
               size_t payload_size) const;

 private:
  uint8_t bytes_[ipv6::kHeader + tcp::kHeader];
  uint8_t ip_size_;
  uint16_t ip_sum_ = 0;      // folded sum of the IPv4 header with total length 0
  uint16_t pseudo_sum_ = 0;  // folded sum of addresses and protocol
};

}  // namespace guise
