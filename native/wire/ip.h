// IP packets: IPv4, and IPv6 with its extension headers. No system call, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"
#include "wire/tuple.h"

namespace guise {

inline constexpr size_t kMaxPacket = 65535;  // IP total length is 16 bits

// Why a packet is not what it is read for.
enum class ParseError : uint8_t {
  kNone,
  kTruncated,    // shorter than its headers say
  kNotIp,        // neither IPv4 nor IPv6
  kNotTcp,       // ICMP, UDP, …
  kFragment,     // an IP fragment: see reassembly.h
  kBadHeader,    // header lengths that contradict each other, IPv4 addresses in an IPv6 header
  kBadChecksum,  // of IP, or of what it carries
};

// A packet's headers, and what is behind all of them.
struct IpView {
  Address source, destination;
  uint8_t protocol;
  uint8_t hop_limit;
  size_t header;                     // bytes of all headers
  size_t protocol_at;                // where in them the protocol is named
  std::span<const uint8_t> payload;  // cut to what the IP header says
};

// Whether an IPv6 header of this number has what follows in its first byte, and its length in the second. That of
// fragments is another.
[[nodiscard]] constexpr bool is_ipv6_extension(uint8_t number) {
  constexpr uint64_t kAll = uint64_t{1} << ipv6::kHopByHop | uint64_t{1} << ipv6::kRouting |
                            uint64_t{1} << ipv6::kAuthentication | uint64_t{1} << ipv6::kDestinationOptions;
  return number < 64 && (kAll >> number & 1) != 0;
}

// Bytes of an extension header.
[[nodiscard]] inline size_t ipv6_extension_size(uint8_t number, const uint8_t* extension) {
  const size_t units = extension[ipv6::kExtensionLength];
  return number == ipv6::kAuthentication ? (units + 2) * 4 : (units + 1) * 8;
}

// `wanted` says of a protocol whether the packet is read further; else it is kNotTcp.
template <typename Wanted>
[[nodiscard]] ParseError parse_ipv4(std::span<const uint8_t> packet, Wanted wanted, IpView& out) {
  using namespace ipv4;
  if (packet.size() < kHeader) return ParseError::kTruncated;
  const size_t header = size_t{4} * (packet[kVersionAndLength] & 0x0f);
  const size_t total = read16(&packet[kTotalLength]);
  if (header < kHeader || total < header) return ParseError::kBadHeader;
  if (total > packet.size()) return ParseError::kTruncated;
  if ((read16(&packet[kFragment]) & kMoreOrOffset) != 0) return ParseError::kFragment;
  if (!wanted(packet[kProtocol])) return ParseError::kNotTcp;
  ChecksumSum sum;
  sum.add(packet.data(), header);
  if (sum.folded() != 0xffff) return ParseError::kBadChecksum;
  out.source = Address::from_v4(&packet[kSource]);
  out.destination = Address::from_v4(&packet[kDestination]);
  out.protocol = packet[kProtocol];
  out.hop_limit = packet[kTimeToLive];
  out.header = header;
  out.protocol_at = kProtocol;
  out.payload = packet.subspan(header, total - header);
  return ParseError::kNone;
}

template <typename Wanted>
[[nodiscard]] ParseError parse_ipv6(std::span<const uint8_t> packet, Wanted wanted, IpView& out) {
  using namespace ipv6;
  if (packet.size() < kHeader) return ParseError::kTruncated;
  const size_t total = kHeader + read16(&packet[kPayloadLength]);
  if (total > packet.size()) return ParseError::kTruncated;
  size_t next_at = kNextHeader;
  size_t at = kHeader;
  while (is_ipv6_extension(packet[next_at])) {
    if (at + kExtensionLeast > total) return ParseError::kTruncated;
    const size_t size = ipv6_extension_size(packet[next_at], &packet[at]);
    next_at = at + kExtensionNext;
    at += size;
    if (at > total) return ParseError::kTruncated;
  }
  const uint8_t next = packet[next_at];
  if (next == kFragment) return ParseError::kFragment;
  if (!wanted(next)) return ParseError::kNotTcp;
  out.source = Address::from_v6(&packet[kSource]);
  out.destination = Address::from_v6(&packet[kDestination]);
  // Mapped addresses stand for IPv4 inside a host, never on the wire: a table of flows takes them for IPv4.
  if (out.source.is_v4() || out.destination.is_v4()) return ParseError::kBadHeader;
  out.protocol = next;
  out.hop_limit = packet[ipv6::kHopLimit];
  out.header = at;
  out.protocol_at = next_at;
  out.payload = packet.subspan(at, total - at);
  return ParseError::kNone;
}

// Reads a packet of either version. What extension headers and options say is not looked at.
template <typename Wanted>
[[nodiscard]] ParseError parse_ip(std::span<const uint8_t> packet, Wanted wanted, IpView& out) {
  if (packet.empty()) return ParseError::kTruncated;
  const uint8_t version = packet[0] >> 4;
  if (version == 4) return parse_ipv4(packet, wanted, out);
  return version == 6 ? parse_ipv6(packet, wanted, out) : ParseError::kNotIp;
}

// The ECN field (RFC 3168 §5) of a packet that parse_ip() has read.
[[nodiscard]] inline uint8_t ecn_of(std::span<const uint8_t> packet) {
  return (packet[0] >> 4 == 4 ? packet[ipv4::kTypeOfService] : packet[ipv6::kTrafficClass] >> 4) & 3;
}

// The sum of what stands in front of a checksummed payload that does not: addresses and protocol, without the length.
[[nodiscard]] inline uint16_t pseudo_header_sum(const Address& source, const Address& destination, uint8_t protocol) {
  ChecksumSum sum;
  if (source.is_v4()) {
    sum.add(source.v4(), 4);
    sum.add(destination.v4(), 4);
  } else {
    sum.add(source.bytes.data(), 16);
    sum.add(destination.bytes.data(), 16);
  }
  sum.add_word(static_cast<uint16_t>(protocol << 8));
  return sum.folded();
}

// Whether a payload with its checksum and its pseudo-header is what was sent.
[[nodiscard]] inline bool is_intact(std::span<const uint8_t> payload, uint16_t pseudo_sum) {
  ChecksumSum sum;
  sum.add_word(pseudo_sum);
  sum.add_word(__builtin_bswap16(static_cast<uint16_t>(payload.size())));
  sum.add(payload.data(), payload.size());
  return sum.folded() == 0xffff;
}

}  // namespace guise
