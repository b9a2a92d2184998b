#include "netstack/row_parser.h"

#include <algorithm>
#include <optional>

#include "netstack/ip_options.h"
#include "netstack/row.h"
#include "wire/bytes.h"
#include "wire/ip.h"
#include "wire/tcp_options.h"

namespace guise {
namespace {

using namespace row;

int32_t word(uint32_t value) { return static_cast<int32_t>(value); }
int32_t word(size_t value) { return static_cast<int32_t>(value); }

// NOP NOP timestamps: what nearly every segment of a connection has (RFC 7323, appendix A).
constexpr uint32_t kUsualOptions = 0x0101080a;
constexpr size_t kUsualOptionsSize = 12;

// The blocks of a SACK option (RFC 2018 §3) with `size` bytes of them. How many there are.
size_t read_sack(const uint8_t* blocks, size_t size, int32_t* out) {
  const size_t count = std::min(size / 8, kMostSackBlocks);
  for (size_t i = 0; i < 2 * count; ++i) out[in::kSack + i] = word(read32(blocks + 4 * i));
  return count;
}

// What is behind an option with a length that cannot be is not read; what has a length other than its own says nothing:
// parse_syn_options() says who reads so too.
void read_options(std::span<const uint8_t> options, int32_t* out) {
  using namespace tcp_option;
  if (options.size() == kUsualOptionsSize && read32(options.data()) == kUsualOptions) {
    out[in::kOptions] = option::kTimestamps;
    out[in::kTimestamp] = word(read32(&options[4]));
    out[in::kTimestampEcho] = word(read32(&options[8]));
    return;
  }
  int32_t found = 0;
  size_t sack_blocks = 0;
  uint16_t mss = 0;
  uint8_t scale = 0;
  for (size_t at = 0; at < options.size() && options[at] != kEnd;) {
    const uint8_t kind = options[at];
    if (kind == kNoOperation) {
      ++at;
      continue;
    }
    const size_t length = at + 1 < options.size() ? options[at + 1] : 0;
    if (length < 2 || length > options.size() - at) break;
    const uint8_t* value = options.data() + at + 2;
    if (kind == kMss && length == 4 && read16(value) != 0) {
      mss = found & option::kMss ? std::min(mss, read16(value)) : read16(value);
      found |= option::kMss;
    } else if (kind == kWindowScale && length == 3) {
      scale = *value;
      found |= option::kScale;
    } else if (kind == kSackPermitted && length == 2) {
      found |= option::kSackPermitted;
    } else if (kind == kTimestamps && length == 10) {
      out[in::kTimestamp] = word(read32(value));
      out[in::kTimestampEcho] = word(read32(value + 4));
      found |= option::kTimestamps;
    } else if (kind == kSack && length >= 10 && (length - 2) % 8 == 0) {
      sack_blocks = read_sack(value, length - 2, out);
    }
    at += length;
  }
  out[in::kOptions] = found | word(sack_blocks << option::kSackCountShift);
  out[in::kMss] = mss | scale << kScaleShift;
}

// Where a part of the packet is, in two words.
void place(int32_t* out, std::span<const uint8_t> packet, std::span<const uint8_t> part) {
  out[in::kPayload] = word(static_cast<size_t>(part.data() - packet.data()));
  out[in::kPayloadSize] = word(part.size());
  out[in::kSegmentSize] = word(part.size());
}

void read_ports(const uint8_t* header, int32_t* out, Tuple& tuple) {
  tuple.remote.port = read16(header);
  tuple.local.port = read16(header + 2);
  out[in::kPorts] = word(uint32_t{tuple.local.port} << 16 | tuple.remote.port);
}

Parsed read_tcp(std::span<const uint8_t> packet, const IpView& ip, const VirtioNetHeader* offload, int32_t* out,
                Tuple& tuple) {
  const std::span<const uint8_t> segment = ip.payload;
  if (segment.size() < tcp::kHeader) return Parsed::kDamaged;
  const size_t header = size_t{4} * (segment[tcp::kDataOffset] >> 4);
  if (header < tcp::kHeader || header > segment.size()) return Parsed::kDamaged;
  const bool trusted = offload && offload->vouches();
  if (!trusted && !is_intact(segment, pseudo_header_sum(ip.source, ip.destination, kProtocolTcp))) {
    return Parsed::kDamaged;
  }
  out[in::kKind] = kind::kTcp;
  place(out, packet, segment.subspan(header));
  if (offload) out[in::kSegmentSize] = word(offload->segment_size_of(segment.size() - header));
  read_ports(segment.data(), out, tuple);
  out[in::kFlags] = segment[tcp::kFlags];
  out[in::kSeq] = word(read32(&segment[tcp::kSequence]));
  out[in::kAck] = word(read32(&segment[tcp::kAcknowledgment]));
  out[in::kWindow] = read16(&segment[tcp::kWindow]);
  out[in::kUrgent] = read16(&segment[tcp::kUrgent]);
  read_options(segment.subspan(tcp::kHeader, header - tcp::kHeader), out);
  return Parsed::kRow;
}

Parsed read_udp(std::span<const uint8_t> packet, const IpView& ip, bool trusted, int32_t* out, Tuple& tuple) {
  if (ip.payload.size() < udp::kHeader) return Parsed::kDamaged;
  const size_t length = read16(&ip.payload[udp::kLength]);
  if (length < udp::kHeader || length > ip.payload.size()) return Parsed::kDamaged;
  const std::span<const uint8_t> datagram = ip.payload.first(length);
  // 0: the sender computes none (RFC 768), which IPv6 does not allow (RFC 8200 §8.1).
  const bool none = read16(&datagram[udp::kChecksum]) == 0;
  if (none && !trusted && !ip.source.is_v4()) return Parsed::kDamaged;
  if (!none && !trusted && !is_intact(datagram, pseudo_header_sum(ip.source, ip.destination, kProtocolUdp))) {
    return Parsed::kDamaged;
  }
  out[in::kKind] = kind::kUdp;
  out[in::kFlags] = kProtocolUdp;
  place(out, packet, datagram.subspan(udp::kHeader));
  read_ports(datagram.data(), out, tuple);
  return Parsed::kRow;
}

Parsed read_icmp(std::span<const uint8_t> packet, const IpView& ip, bool trusted, int32_t* out) {
  if (ip.payload.size() < icmp::kHeader) return Parsed::kDamaged;
  if (!trusted) {
    ChecksumSum sum;
    sum.add(ip.payload.data(), ip.payload.size());
    const bool intact = ip.source.is_v4()
                            ? sum.folded() == 0xffff
                            : is_intact(ip.payload, pseudo_header_sum(ip.source, ip.destination, icmp::kProtocol6));
    if (!intact) return Parsed::kDamaged;
  }
  out[in::kKind] = kind::kIcmp;
  out[in::kFlags] = ip.protocol;
  place(out, packet, ip.payload);
  return Parsed::kRow;
}

// What becomes of a packet that its options or extension headers keep from going further.
std::optional<Parsed> stopped_by_options(std::span<const uint8_t> packet, const IpView& ip, int32_t* out) {
  if (ip.source.is_v4()) {
    if (passes_ipv4_options(packet.subspan(ipv4::kHeader, ip.header - ipv4::kHeader))) return std::nullopt;
    return Parsed::kDamaged;
  }
  const ExtensionVerdict verdict = judge_ipv6_extensions(packet.first(ip.header));
  if (verdict.action == ExtensionVerdict::Action::kGoOn) return std::nullopt;
  if (verdict.action == ExtensionVerdict::Action::kDrop) return Parsed::kDamaged;
  out[in::kKind] = kind::kProblem;
  out[in::kFlags] = verdict.code;
  out[in::kSeq] = word(verdict.at);
  place(out, packet, ip.payload);
  return Parsed::kRow;
}

}  // namespace

Parsed parse_row(std::span<const uint8_t> packet, const VirtioNetHeader* offload, int32_t* out, Tuple& tuple) {
  IpView ip;
  const ParseError refused = parse_ip(
      packet, [](uint8_t) { return true; }, ip);
  if (refused != ParseError::kNone) return refused == ParseError::kFragment ? Parsed::kFragment : Parsed::kDamaged;

  const bool v4 = ip.source.is_v4();
  tuple = {{ip.destination, 0}, {ip.source, 0}};
  out[in::kFlow] = -1;
  out[in::kPacket] = 0;
  out[in::kPacketSize] = word(ip.header + ip.payload.size());
  out[in::kPorts] = 0;
  out[in::kFacts] = ecn_of(packet) | (v4 ? 0 : fact::kIpv6) | ip.hop_limit << fact::kHopLimitShift;
  if (ip.header > (v4 ? ipv4::kHeader : ipv6::kHeader)) {
    if (const auto stopped = stopped_by_options(packet, ip, out)) return *stopped;
  }

  const bool trusted = offload && offload->vouches();
  if (ip.protocol == kProtocolTcp) return read_tcp(packet, ip, offload, out, tuple);
  if (ip.protocol == kProtocolUdp) return read_udp(packet, ip, trusted, out, tuple);
  if (ip.protocol == (v4 ? icmp::kProtocol4 : icmp::kProtocol6)) return read_icmp(packet, ip, trusted, out);
  out[in::kKind] = kind::kOther;
  out[in::kFlags] = ip.protocol;
  out[in::kSeq] = word(ip.protocol_at);
  place(out, packet, ip.payload);
  return Parsed::kRow;
}

}  // namespace guise
