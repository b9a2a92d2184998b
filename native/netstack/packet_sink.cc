#include "netstack/packet_sink.h"

#include <cstring>

#include "wire/checksum.h"
#include "wire/segment.h"

namespace guise {
namespace {

// What asks the kernel for the checksum, and to cut.
VirtioNetHeader offload_of(const PacketSink::Packet& packet) {
  VirtioNetHeader offload;
  if (packet.checksum_at == PacketSink::kNoChecksum) return offload;
  offload.flags = VirtioNetHeader::kNeedsChecksum;
  offload.checksum_start = static_cast<uint16_t>(packet.ip_size);
  offload.checksum_offset = static_cast<uint16_t>(packet.checksum_at);
  if (packet.segment_size == 0) return offload;
  const bool reduced = (packet.ip[packet.ip_size + tcp::kFlags] & kCwr) != 0;
  offload.gso_type = packet.ip_size == ipv4::kHeader ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
  if (reduced) offload.gso_type |= VirtioNetHeader::kGsoEcn;
  offload.gso_size = static_cast<uint16_t>(packet.segment_size);
  offload.header_length = static_cast<uint16_t>(packet.header_size);
  return offload;
}

}  // namespace

void complete_checksum(std::span<uint8_t> head, std::span<const iovec> rest, size_t at) {
  ChecksumSum sum;
  size_t offset = head.size();
  sum.add(head.data(), offset);  // the field holds the pseudo-header's sum: adding it is what is wanted
  for (const iovec& part : rest) {
    sum.add_at(offset, static_cast<const uint8_t*>(part.iov_base), part.iov_len);
    offset += part.iov_len;
  }
  uint16_t checksum = sum.checksum();
  // In UDP 0 says that there is none; 0xffff is the same number (RFC 768).
  if (checksum == 0 && at == udp::kChecksum) checksum = 0xffff;
  std::memcpy(&head[at], &checksum, sizeof checksum);
}

int PacketSink::write(const Packet& packet) {
  uint8_t* begin = packet.ip;
  if (device_.virtio_header()) {
    const VirtioNetHeader offload = offload_of(packet);
    begin -= sizeof offload;
    std::memcpy(begin, &offload, sizeof offload);
  } else if (packet.checksum_at != kNoChecksum) {
    const std::span rest(packet.vectors + 1, packet.vector_count - 1);
    complete_checksum({packet.ip + packet.ip_size, packet.header_size - packet.ip_size}, rest, packet.checksum_at);
  }
  packet.vectors[0] = {begin, static_cast<size_t>(packet.ip - begin) + packet.header_size};
  const int error = device_.write(packet.vectors, packet.vector_count);
  if (error == 0) ++counters_.sent;
  return error;
}

}  // namespace guise
