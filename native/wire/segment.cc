#include "wire/segment.h"

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace guise {
namespace {

struct IpView {
  Address source, destination;
  uint8_t hop_limit;
  std::span<const uint8_t> tcp;  // TCP header and payload, cut to what the IP header says
};

ParseError parse_ipv4(std::span<const uint8_t> packet, IpView& out) {
  using namespace ipv4;
  if (packet.size() < kHeader) return ParseError::kTruncated;
  const size_t header = size_t{4} * (packet[kVersionAndLength] & 0x0f);
  const size_t total = read16(&packet[kTotalLength]);
  if (header < kHeader || total < header) return ParseError::kBadHeader;
  if (total > packet.size()) return ParseError::kTruncated;
  if ((read16(&packet[kFragment]) & kMoreOrOffset) != 0) return ParseError::kFragment;
  if (packet[kProtocol] != kProtocolTcp) return ParseError::kNotTcp;
  ChecksumSum sum;
  sum.add(packet.data(), header);
  if (sum.folded() != 0xffff) return ParseError::kBadChecksum;
  out.source = Address::from_v4(&packet[kSource]);
  out.destination = Address::from_v4(&packet[kDestination]);
  out.hop_limit = packet[kTimeToLive];
  out.tcp = packet.subspan(header, total - header);
  return ParseError::kNone;
}

ParseError parse_ipv6(std::span<const uint8_t> packet, IpView& out) {
  using namespace ipv6;
  if (packet.size() < kHeader) return ParseError::kTruncated;
  const size_t total = kHeader + read16(&packet[kPayloadLength]);
  if (total > packet.size()) return ParseError::kTruncated;
  uint8_t next = packet[kNextHeader];
  size_t at = kHeader;
  while (next != kProtocolTcp) {
    if (next == kFragment) return ParseError::kFragment;
    const bool skippable =
        next == kHopByHop || next == kRouting || next == kDestinationOptions || next == kAuthentication;
    if (!skippable) return ParseError::kNotTcp;
    if (at + kExtensionLeast > total) return ParseError::kTruncated;
    const size_t units = packet[at + kExtensionLength];
    const size_t length = next == kAuthentication ? (units + 2) * 4 : (units + 1) * 8;
    next = packet[at + kExtensionNext];
    at += length;
    if (at > total) return ParseError::kTruncated;
  }
  out.source = Address::from_v6(&packet[kSource]);
  out.destination = Address::from_v6(&packet[kDestination]);
  out.hop_limit = packet[ipv6::kHopLimit];
  // Mapped addresses stand for IPv4 inside a host, never on the wire: the flow table takes them for IPv4.
  if (out.source.is_v4() || out.destination.is_v4()) return ParseError::kBadHeader;
  out.tcp = packet.subspan(at, total - at);
  return ParseError::kNone;
}

uint16_t pseudo_header_sum(const Address& source, const Address& destination) {
  ChecksumSum sum;
  if (source.is_v4()) {
    sum.add(source.v4(), 4);
    sum.add(destination.v4(), 4);
  } else {
    sum.add(source.bytes.data(), 16);
    sum.add(destination.bytes.data(), 16);
  }
  sum.add_word(uint16_t{kProtocolTcp} << 8);
  return sum.folded();
}

}  // namespace

ParseError parse_segment(std::span<const uint8_t> packet, const VirtioNetHeader* offload, SegmentView& out) {
  if (packet.empty()) return ParseError::kTruncated;
  IpView ip;
  const uint8_t version = packet[0] >> 4;
  if (version != 4 && version != 6) return ParseError::kNotIp;
  const ParseError refused = version == 4 ? parse_ipv4(packet, ip) : parse_ipv6(packet, ip);
  if (refused != ParseError::kNone) return refused;

  const std::span<const uint8_t> segment = ip.tcp;
  if (segment.size() < tcp::kHeader) return ParseError::kTruncated;
  const size_t header = size_t{4} * (segment[tcp::kDataOffset] >> 4);
  if (header < tcp::kHeader) return ParseError::kBadHeader;
  if (header > segment.size()) return ParseError::kTruncated;

  const bool trusted = offload && (offload->flags & (VirtioNetHeader::kNeedsChecksum | VirtioNetHeader::kDataValid));
  if (!trusted) {
    ChecksumSum sum;
    sum.add_word(pseudo_header_sum(ip.source, ip.destination));
    sum.add_word(__builtin_bswap16(static_cast<uint16_t>(segment.size())));
    sum.add(segment.data(), segment.size());
    if (sum.folded() != 0xffff) return ParseError::kBadChecksum;
  }

  out.tuple = {{ip.destination, read16(&segment[tcp::kDestinationPort])},
               {ip.source, read16(&segment[tcp::kSourcePort])}};
  out.seq = read32(&segment[tcp::kSequence]);
  out.ack = read32(&segment[tcp::kAcknowledgment]);
  out.flags = segment[tcp::kFlags];
  out.hop_limit = ip.hop_limit;
  out.options = segment.subspan(tcp::kHeader, header - tcp::kHeader);
  out.payload = segment.subspan(header);
  out.segment_size = out.payload.size();
  if (offload) {
    const uint8_t type = offload->gso_type & ~VirtioNetHeader::kGsoEcn;
    const bool merged = type == VirtioNetHeader::kGsoTcp4 || type == VirtioNetHeader::kGsoTcp6;
    if (merged && offload->gso_size > 0 && offload->gso_size < out.payload.size()) {
      out.segment_size = offload->gso_size;
    }
  }
  return ParseError::kNone;
}

SegmentHeader::SegmentHeader(const Tuple& tuple, uint16_t window) {
  std::memset(bytes_, 0, sizeof bytes_);
  const Address& source = tuple.local.address;
  const Address& destination = tuple.remote.address;
  if (source.is_v4()) {
    ip_size_ = ipv4::kHeader;
    bytes_[ipv4::kVersionAndLength] = 4 << 4 | ipv4::kHeader / 4;
    write16(bytes_ + ipv4::kFragment, ipv4::kDontFragment);  // one datagram is one segment, never a fragment
    bytes_[ipv4::kTimeToLive] = kHopLimit;
    bytes_[ipv4::kProtocol] = kProtocolTcp;
    std::memcpy(bytes_ + ipv4::kSource, source.v4(), 4);
    std::memcpy(bytes_ + ipv4::kDestination, destination.v4(), 4);
    ChecksumSum sum;
    sum.add(bytes_, ipv4::kHeader);
    ip_sum_ = sum.folded();
  } else {
    ip_size_ = ipv6::kHeader;
    bytes_[ipv6::kVersion] = 6 << 4;
    bytes_[ipv6::kNextHeader] = kProtocolTcp;
    bytes_[ipv6::kHopLimit] = kHopLimit;
    std::memcpy(bytes_ + ipv6::kSource, source.bytes.data(), 16);
    std::memcpy(bytes_ + ipv6::kDestination, destination.bytes.data(), 16);
  }
  uint8_t* segment = bytes_ + ip_size_;
  write16(segment + tcp::kSourcePort, tuple.local.port);
  write16(segment + tcp::kDestinationPort, tuple.remote.port);
  write16(segment + tcp::kWindow, window);
  pseudo_sum_ = pseudo_header_sum(source, destination);
}

size_t SegmentHeader::write(uint8_t* out, uint32_t seq, uint32_t ack, uint8_t flags, std::span<const uint8_t> options,
                            size_t payload_size) const {
  std::memcpy(out, bytes_, size());
  const size_t tcp_header = tcp::kHeader + options.size();
  const size_t tcp_size = tcp_header + payload_size;
  if (ip_size_ == ipv4::kHeader) {
    write16(out + ipv4::kTotalLength, static_cast<uint16_t>(ipv4::kHeader + tcp_size));
    ChecksumSum sum;
    sum.add_word(ip_sum_);
    sum.add(out + ipv4::kTotalLength, 2);
    const uint16_t checksum = sum.checksum();
    std::memcpy(out + ipv4::kChecksum, &checksum, 2);
  } else {
    write16(out + ipv6::kPayloadLength, static_cast<uint16_t>(tcp_size));
  }
  uint8_t* segment = out + ip_size_;
  write32(segment + tcp::kSequence, seq);
  write32(segment + tcp::kAcknowledgment, ack);
  segment[tcp::kDataOffset] = static_cast<uint8_t>(tcp_header / 4 << 4);
  segment[tcp::kFlags] = flags;
  if (!options.empty()) std::memcpy(segment + tcp::kHeader, options.data(), options.size());
  ChecksumSum pseudo;
  pseudo.add_word(pseudo_sum_);
  pseudo.add_word(__builtin_bswap16(static_cast<uint16_t>(tcp_size)));
  const uint16_t folded = pseudo.folded();
  std::memcpy(segment + tcp::kChecksum, &folded, 2);
  return ip_size_ + tcp_header;
}

}  // namespace guise
