#include "wire/segment.h"

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace guise {
namespace {

constexpr uint8_t kProtocolTcp = 6;

// IPv6 extension headers that carry no upper layer of their own (RFC 8200 §4.1, RFC 4302).
enum : uint8_t { kHopByHop = 0, kRouting = 43, kFragmentHeader = 44, kAuthentication = 51, kDestination = 60 };

struct IpView {
  Address source, destination;
  std::span<const uint8_t> tcp;  // TCP header and payload, cut to what the IP header says
};

DropReason parse_ipv4(std::span<const uint8_t> packet, IpView& out) {
  if (packet.size() < 20) return DropReason::kTruncated;
  const size_t header = (packet[0] & 0x0f) * 4u;
  const size_t total = read16(&packet[2]);
  if (header < 20 || total < header) return DropReason::kBadHeader;
  if (total > packet.size()) return DropReason::kTruncated;
  if ((read16(&packet[6]) & 0x3fff) != 0) return DropReason::kFragment;
  if (packet[9] != kProtocolTcp) return DropReason::kNotTcp;
  ChecksumSum sum;
  sum.add(packet.data(), header);
  if (sum.folded() != 0xffff) return DropReason::kBadChecksum;
  out.source = Address::from_v4(&packet[12]);
  out.destination = Address::from_v4(&packet[16]);
  out.tcp = packet.subspan(header, total - header);
  return DropReason::kNone;
}

DropReason parse_ipv6(std::span<const uint8_t> packet, IpView& out) {
  if (packet.size() < 40) return DropReason::kTruncated;
  const size_t total = 40u + read16(&packet[4]);
  if (total > packet.size()) return DropReason::kTruncated;
  uint8_t next = packet[6];
  size_t at = 40;
  while (next != kProtocolTcp) {
    if (next == kFragmentHeader) return DropReason::kFragment;
    const bool skippable = next == kHopByHop || next == kRouting || next == kDestination || next == kAuthentication;
    if (!skippable) return DropReason::kNotTcp;
    if (at + 8 > total) return DropReason::kTruncated;
    const size_t units = packet[at + 1];
    const size_t length = next == kAuthentication ? (units + 2) * 4 : (units + 1) * 8;
    next = packet[at];
    at += length;
    if (at > total) return DropReason::kTruncated;
  }
  out.source = Address::from_v6(&packet[8]);
  out.destination = Address::from_v6(&packet[24]);
  // Mapped addresses stand for IPv4 inside a host, never on the wire: the flow table takes them for IPv4.
  if (out.source.is_v4() || out.destination.is_v4()) return DropReason::kBadHeader;
  out.tcp = packet.subspan(at, total - at);
  return DropReason::kNone;
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

DropReason parse_segment(std::span<const uint8_t> packet, const VirtioNetHeader* offload, SegmentView& out) {
  if (packet.empty()) return DropReason::kTruncated;
  IpView ip;
  const uint8_t version = packet[0] >> 4;
  if (version != 4 && version != 6) return DropReason::kNotIp;
  const DropReason refused = version == 4 ? parse_ipv4(packet, ip) : parse_ipv6(packet, ip);
  if (refused != DropReason::kNone) return refused;

  const std::span<const uint8_t> tcp = ip.tcp;
  if (tcp.size() < 20) return DropReason::kTruncated;
  const size_t header = (tcp[12] >> 4) * 4u;
  if (header < 20) return DropReason::kBadHeader;
  if (header > tcp.size()) return DropReason::kTruncated;

  const bool trusted = offload && (offload->flags & (VirtioNetHeader::kNeedsChecksum | VirtioNetHeader::kDataValid));
  if (!trusted) {
    ChecksumSum sum;
    sum.add_word(pseudo_header_sum(ip.source, ip.destination));
    sum.add_word(__builtin_bswap16(static_cast<uint16_t>(tcp.size())));
    sum.add(tcp.data(), tcp.size());
    if (sum.folded() != 0xffff) return DropReason::kBadChecksum;
  }

  out.tuple = {{ip.destination, read16(&tcp[2])}, {ip.source, read16(&tcp[0])}};
  out.seq = read32(&tcp[4]);
  out.ack = read32(&tcp[8]);
  out.flags = tcp[13];
  out.options = tcp.subspan(20, header - 20);
  out.payload = tcp.subspan(header);
  out.segment_size = out.payload.size();
  if (offload) {
    const uint8_t type = offload->gso_type & ~VirtioNetHeader::kGsoEcn;
    const bool merged = type == VirtioNetHeader::kGsoTcp4 || type == VirtioNetHeader::kGsoTcp6;
    if (merged && offload->gso_size > 0 && offload->gso_size < out.payload.size()) {
      out.segment_size = offload->gso_size;
    }
  }
  return DropReason::kNone;
}

SegmentHeader::SegmentHeader(const Tuple& tuple) {
  std::memset(bytes_, 0, sizeof bytes_);
  const Address& source = tuple.local.address;
  const Address& destination = tuple.remote.address;
  if (source.is_v4()) {
    ip_size_ = 20;
    bytes_[0] = 0x45;
    bytes_[6] = 0x40;  // DF: one datagram is one segment, never a fragment
    bytes_[8] = kHopLimit;
    bytes_[9] = kProtocolTcp;
    std::memcpy(bytes_ + 12, source.v4(), 4);
    std::memcpy(bytes_ + 16, destination.v4(), 4);
    ChecksumSum sum;
    sum.add(bytes_, 20);
    ip_sum_ = sum.folded();
  } else {
    ip_size_ = 40;
    bytes_[0] = 0x60;
    bytes_[6] = kProtocolTcp;
    bytes_[7] = kHopLimit;
    std::memcpy(bytes_ + 8, source.bytes.data(), 16);
    std::memcpy(bytes_ + 24, destination.bytes.data(), 16);
  }
  uint8_t* tcp = bytes_ + ip_size_;
  write16(tcp, tuple.local.port);
  write16(tcp + 2, tuple.remote.port);
  write16(tcp + 14, kWindow);
  pseudo_sum_ = pseudo_header_sum(source, destination);
}

size_t SegmentHeader::write(uint8_t* out, uint32_t seq, uint32_t ack, uint8_t flags, std::span<const uint8_t> options,
                            size_t payload_size) const {
  std::memcpy(out, bytes_, size());
  const size_t tcp_header = 20 + options.size();
  const size_t tcp_size = tcp_header + payload_size;
  if (ip_size_ == 20) {
    write16(out + 2, static_cast<uint16_t>(20 + tcp_size));
    ChecksumSum sum;
    sum.add_word(ip_sum_);
    sum.add(out + 2, 2);
    const uint16_t checksum = sum.checksum();
    std::memcpy(out + 10, &checksum, 2);
  } else {
    write16(out + 4, static_cast<uint16_t>(tcp_size));
  }
  uint8_t* tcp = out + ip_size_;
  write32(tcp + 4, seq);
  write32(tcp + 8, ack);
  tcp[12] = static_cast<uint8_t>(tcp_header / 4 << 4);
  tcp[13] = flags;
  if (!options.empty()) std::memcpy(tcp + 20, options.data(), options.size());
  ChecksumSum pseudo;
  pseudo.add_word(pseudo_sum_);
  pseudo.add_word(__builtin_bswap16(static_cast<uint16_t>(tcp_size)));
  const uint16_t folded = pseudo.folded();
  std::memcpy(tcp + 16, &folded, 2);
  return ip_size_ + tcp_header;
}

}  // namespace guise
