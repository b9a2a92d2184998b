#include "netstack/datagram_writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"

namespace guise {
namespace {

constexpr size_t kMostIpHeader = ipv6::kHeader + ipv6::kFragmentHeader;
constexpr size_t kUnit = 8;  // what offsets of fragments count

// A part of what a packet carries.
struct Part {
  size_t begin, end;
  bool more;         // others follow
  bool is_fragment;  // it is not all
};

size_t write_ipv4(uint8_t* ip, const OutgoingDatagram& datagram, const Part& part) {
  using namespace ipv4;
  std::memset(ip, 0, kHeader);
  ip[kVersionAndLength] = 4 << 4 | kHeader / 4;
  write16(ip + kTotalLength, static_cast<uint16_t>(kHeader + part.end - part.begin));
  write16(ip + kIdentification, static_cast<uint16_t>(datagram.identification));
  // It may be cut again on the way.
  write16(ip + kFragment, static_cast<uint16_t>(part.begin / kUnit | (part.more ? kMoreFragments : 0)));
  ip[kTimeToLive] = datagram.hop_limit;
  ip[kProtocol] = datagram.protocol;
  std::memcpy(ip + kSource, datagram.source.v4(), 4);
  std::memcpy(ip + kDestination, datagram.destination.v4(), 4);
  ChecksumSum sum;
  sum.add(ip, kHeader);
  const uint16_t checksum = sum.checksum();
  std::memcpy(ip + kChecksum, &checksum, sizeof checksum);
  return kHeader;
}

size_t write_ipv6(uint8_t* ip, const OutgoingDatagram& datagram, const Part& part) {
  using namespace ipv6;
  const size_t header = kHeader + (part.is_fragment ? kFragmentHeader : 0);
  std::memset(ip, 0, header);
  ip[kVersion] = 6 << 4;
  write16(ip + kPayloadLength, static_cast<uint16_t>(header - kHeader + part.end - part.begin));
  ip[kNextHeader] = part.is_fragment ? uint8_t{kFragment} : datagram.protocol;
  ip[ipv6::kHopLimit] = datagram.hop_limit;
  std::memcpy(ip + kSource, datagram.source.bytes.data(), 16);
  std::memcpy(ip + kDestination, datagram.destination.bytes.data(), 16);
  if (!part.is_fragment) return header;
  uint8_t* fragment = ip + kHeader;
  fragment[kExtensionNext] = datagram.protocol;
  write16(fragment + kPlace, static_cast<uint16_t>(part.begin | (part.more ? kMoreFragments : 0)));
  write32(fragment + ipv6::kIdentification, datagram.identification);
  return header;
}

int write_part(PacketSink& sink, const OutgoingDatagram& datagram, const Part& part) {
  uint8_t headers[PacketSink::kRoom + kMostIpHeader + OutgoingDatagram::kMostHead];
  uint8_t* ip = headers + PacketSink::kRoom;
  const bool v4 = datagram.source.is_v4();
  const size_t ip_size = v4 ? write_ipv4(ip, datagram, part) : write_ipv6(ip, datagram, part);
  // All of the head is in the first: fragments are longer.
  const size_t head = part.begin == 0 ? datagram.head.size() : 0;
  std::ranges::copy(datagram.head.first(head), ip + ip_size);
  const size_t before = datagram.head.size() - head;
  const auto payload = datagram.payload.subspan(part.begin - before, part.end - part.begin - head);
  iovec vectors[2];
  vectors[1] = {const_cast<uint8_t*>(payload.data()), payload.size()};
  const int error = sink.write({.ip = ip,
                                .header_size = ip_size + head,
                                .ip_size = ip_size,
                                .vectors = vectors,
                                .vector_count = payload.empty() ? 1u : 2u,
                                .checksum_at = datagram.checksum_at});
  return error ? sink.refuse(error) : 0;
}

}  // namespace

int write_datagram(PacketSink& sink, const OutgoingDatagram& datagram, size_t mtu) {
  const bool v4 = datagram.source.is_v4();
  const size_t size = datagram.size();
  const size_t most = v4 ? kMaxPacket - ipv4::kHeader : kMaxPacket;
  if (size > most) return -EMSGSIZE;
  const size_t header = v4 ? ipv4::kHeader : ipv6::kHeader;
  if (header + size <= mtu) {
    return write_part(sink, datagram, {.begin = 0, .end = size, .more = false, .is_fragment = false});
  }

  const size_t fragment_header = v4 ? header : header + ipv6::kFragmentHeader;
  const size_t room = mtu > fragment_header ? (mtu - fragment_header) & ~(kUnit - 1) : 0;
  if (room == 0) return -EMSGSIZE;
  // A fragment has no checksum of its own: that of the whole is made here.
  OutgoingDatagram whole = datagram;
  uint8_t head[OutgoingDatagram::kMostHead];
  if (datagram.checksum_at != PacketSink::kNoChecksum) {
    std::ranges::copy(datagram.head, head);
    const iovec rest{const_cast<uint8_t*>(datagram.payload.data()), datagram.payload.size()};
    complete_checksum({head, datagram.head.size()}, {&rest, 1}, datagram.checksum_at);
    whole.head = {head, datagram.head.size()};
    whole.checksum_at = PacketSink::kNoChecksum;
  }
  for (size_t begin = 0; begin < size; begin += room) {
    const size_t end = std::min(begin + room, size);
    const int error = write_part(sink, whole, {.begin = begin, .end = end, .more = end < size, .is_fragment = true});
    if (error) return error;
  }
  return 0;
}

}  // namespace guise
