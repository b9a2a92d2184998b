#include "wire/icmp.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"

namespace guise {
namespace {

// Of TCP: ports and sequence number, the 8 bytes that every error quotes (RFC 792).
constexpr size_t kQuotedTcp = 8;

bool is_whole(std::span<const uint8_t> message, uint16_t pseudo_sum, const VirtioNetHeader* offload) {
  if (offload && offload->vouches()) return true;
  ChecksumSum sum;
  sum.add_word(pseudo_sum);
  sum.add(message.data(), message.size());
  return sum.folded() == 0xffff;
}

void read_quoted_tcp(const uint8_t* segment, IcmpError& error) {
  error.tuple.local.port = read16(segment + tcp::kSourcePort);
  error.tuple.remote.port = read16(segment + tcp::kDestinationPort);
  error.seq = read32(segment + tcp::kSequence);
}

std::optional<IcmpError> parse_v4(std::span<const uint8_t> packet, const VirtioNetHeader* offload) {
  using namespace ipv4;
  if (packet.size() < kHeader) return std::nullopt;
  const size_t header = size_t{4} * (packet[kVersionAndLength] & 0x0f);
  const size_t total = read16(&packet[kTotalLength]);
  if (header < kHeader || header > total || total > packet.size() || packet[kProtocol] != icmp::kProtocol4)
    return std::nullopt;
  if (read16(&packet[kFragment]) & kMoreOrOffset) return std::nullopt;
  ChecksumSum header_sum;
  header_sum.add(packet.data(), header);
  if (header_sum.folded() != 0xffff) return std::nullopt;
  if (total < header + icmp::kHeader + kHeader + kQuotedTcp) return std::nullopt;
  const auto message = packet.subspan(header, total - header);
  if (message[icmp::kType] != icmp::kUnreachable4 || !is_whole(message, 0, offload)) return std::nullopt;
  const uint8_t* quoted = &message[icmp::kHeader];
  const size_t quoted_header = size_t{4} * (quoted[kVersionAndLength] & 0x0f);
  const bool complete = icmp::kHeader + quoted_header + kQuotedTcp <= message.size();
  const bool first = (read16(quoted + kFragment) & kOffset) == 0;
  if (quoted[kVersionAndLength] >> 4 != 4 || quoted_header < kHeader || !complete || !first) return std::nullopt;
  if (quoted[kProtocol] != kProtocolTcp) return std::nullopt;
  IcmpError error;
  error.code = message[icmp::kCode];
  const bool too_big = error.code == icmp::kFragmentationNeeded;
  error.kind = too_big ? IcmpError::Kind::kTooBig : IcmpError::Kind::kUnreachable;
  error.mtu = too_big ? read16(&message[icmp::kMtu4]) : 0;
  error.from = Address::from_v4(&packet[kSource]);
  error.tuple.local.address = Address::from_v4(quoted + kSource);
  error.tuple.remote.address = Address::from_v4(quoted + kDestination);
  read_quoted_tcp(quoted + quoted_header, error);
  return error;
}

std::optional<IcmpError> parse_v6(std::span<const uint8_t> packet, const VirtioNetHeader* offload) {
  using namespace ipv6;
  if (packet.size() < kHeader || packet[kVersion] >> 4 != 6 || packet[kNextHeader] != icmp::kProtocol6)
    return std::nullopt;
  const size_t size = read16(&packet[kPayloadLength]);
  if (size > packet.size() - kHeader || size < icmp::kHeader + kHeader + kQuotedTcp) return std::nullopt;
  const auto message = packet.subspan(kHeader, size);
  const uint8_t type = message[icmp::kType];
  if (type != icmp::kUnreachable6 && type != icmp::kTooBig6) return std::nullopt;
  ChecksumSum pseudo;
  pseudo.add(&packet[kSource], 32);
  pseudo.add_word(__builtin_bswap16(static_cast<uint16_t>(size)));
  pseudo.add_word(uint16_t{icmp::kProtocol6} << 8);
  if (!is_whole(message, pseudo.folded(), offload)) return std::nullopt;
  const uint8_t* quoted = &message[icmp::kHeader];
  if (quoted[kVersion] >> 4 != 6 || quoted[kNextHeader] != kProtocolTcp) return std::nullopt;
  IcmpError error;
  error.kind = type == icmp::kTooBig6 ? IcmpError::Kind::kTooBig : IcmpError::Kind::kUnreachable;
  error.code = message[icmp::kCode];
  error.mtu = type == icmp::kTooBig6 ? read32(&message[icmp::kMtu6]) : 0;
  error.from = Address::from_v6(&packet[kSource]);
  error.tuple.local.address = Address::from_v6(quoted + kSource);
  error.tuple.remote.address = Address::from_v6(quoted + kDestination);
  if (error.tuple.local.address.is_v4() || error.tuple.remote.address.is_v4()) return std::nullopt;
  read_quoted_tcp(quoted + kHeader, error);
  return error;
}

}  // namespace

std::optional<IcmpError> parse_icmp_error(std::span<const uint8_t> packet, const VirtioNetHeader* offload) {
  if (packet.empty()) return std::nullopt;
  return packet[0] >> 4 == 4 ? parse_v4(packet, offload) : parse_v6(packet, offload);
}

}  // namespace guise
