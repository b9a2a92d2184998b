#include "wire/segment.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ip.h"

namespace guise {

ParseError parse_segment(std::span<const uint8_t> packet, const VirtioNetHeader* offload, SegmentView& out) {
  IpView ip;
  const ParseError refused = parse_ip(
      packet, [](uint8_t protocol) { return protocol == kProtocolTcp; }, ip);
  if (refused != ParseError::kNone) return refused;

  const std::span<const uint8_t> segment = ip.payload;
  if (segment.size() < tcp::kHeader) return ParseError::kTruncated;
  const size_t header = size_t{4} * (segment[tcp::kDataOffset] >> 4);
  if (header < tcp::kHeader) return ParseError::kBadHeader;
  if (header > segment.size()) return ParseError::kTruncated;

  const bool trusted = offload && offload->vouches();
  if (!trusted && !is_intact(segment, pseudo_header_sum(ip.source, ip.destination, kProtocolTcp))) {
    return ParseError::kBadChecksum;
  }

  out.tuple = {{ip.destination, read16(&segment[tcp::kDestinationPort])},
               {ip.source, read16(&segment[tcp::kSourcePort])}};
  out.seq = read32(&segment[tcp::kSequence]);
  out.ack = read32(&segment[tcp::kAcknowledgment]);
  out.flags = segment[tcp::kFlags];
  out.hop_limit = ip.hop_limit;
  out.options = segment.subspan(tcp::kHeader, header - tcp::kHeader);
  out.payload = segment.subspan(header);
  out.segment_size = offload ? offload->segment_size_of(out.payload.size()) : out.payload.size();
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
  pseudo_sum_ = pseudo_header_sum(source, destination, kProtocolTcp);
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
