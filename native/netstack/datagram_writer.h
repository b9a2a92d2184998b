// Writes packets that are no segments: datagrams and messages, in fragments where they are larger than what the path
// carries. One thread's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "netstack/packet_sink.h"
#include "wire/tuple.h"

namespace guise {

// A packet to write. Both addresses are of one version.
struct OutgoingDatagram {
  const Address& source;
  const Address& destination;
  uint8_t protocol;
  uint8_t hop_limit;
  uint32_t identification;  // over IPv4 the lower half of it
  // What the packet carries, in two parts; the first is at most kMostHead bytes, of an even number.
  std::span<const uint8_t> head, payload;
  // Where in `head` a checksum goes, whose field holds the pseudo-header's sum.
  size_t checksum_at = PacketSink::kNoChecksum;

  static constexpr size_t kMostHead = 8;
  [[nodiscard]] size_t size() const { return head.size() + payload.size(); }
};

// Writes it in packets of at most `mtu` bytes. 0 or -errno.
[[nodiscard]] int write_datagram(PacketSink& sink, const OutgoingDatagram& datagram, size_t mtu);

}  // namespace guise
