#include "io/packet_device.h"

#include <cerrno>
#include <cstring>

#include "wire/checksum.h"

namespace guise {

VirtioNetHeader PacketDevice::Outgoing::offload(size_t in_front) const {
  VirtioNetHeader offload;
  offload.flags = VirtioNetHeader::kNeedsChecksum;
  offload.checksum_start = static_cast<uint16_t>(in_front + ip_size());
  offload.checksum_offset = tcp::kChecksum;
  if (segment_size > 0) {
    offload.gso_type = ip_size() == ipv4::kHeader ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
    offload.gso_size = static_cast<uint16_t>(segment_size);
    offload.header_length = static_cast<uint16_t>(in_front + header_size);
  }
  return offload;
}

void PacketDevice::Outgoing::complete_checksum() const {
  uint8_t* segment = ip + ip_size();
  ChecksumSum sum;
  sum.add(segment, header_size - ip_size());  // the field holds the pseudo-header sum: adding it is what is wanted
  size_t offset = 0;
  for (size_t i = 1; i < vector_count; ++i) {
    sum.add_at(offset, static_cast<const uint8_t*>(vectors[i].iov_base), vectors[i].iov_len);
    offset += vectors[i].iov_len;
  }
  const uint16_t checksum = sum.checksum();
  std::memcpy(segment + tcp::kChecksum, &checksum, 2);
}

Written PacketDevice::write_segment(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                    std::span<const uint8_t> options, std::span<const uint8_t> payload) {
  Written written;
  written.error = write_one(way, header, seq, ack, flags, options, payload, written);
  written.refused = written.error ? 1 : 0;
  return written;
}

Written PacketDevice::write_run(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push,
                                SegmentRun& run) {
  const uint8_t last_flags = push ? kAck | kPsh : kAck;
  Written written;
  if (run.segments() == 1 || (segmentation_.load(std::memory_order_relaxed) && cuts(way))) {
    uint8_t headers[kRoom + kMaxHeaders];
    const size_t size = header.write(headers + kRoom, seq, ack, last_flags, {}, run.bytes());
    iovec vectors[65];
    std::memcpy(vectors + 1, run.vectors(), run.vector_count() * sizeof(iovec));
    written.error = write({.way = way,
                           .header = header,
                           .ip = headers + kRoom,
                           .header_size = size,
                           .vectors = vectors,
                           .vector_count = run.vector_count() + 1,
                           .segment_size = run.segments() > 1 ? run.segment_size() : 0});
    written.writes = 1;
    if (written.error == 0) return written;
    if (is_lost(way, written.error)) {
      written.way_lost = true;
      way = {};
    } else if (written.error == -EINVAL && run.segments() > 1) {
      // Some kernels refuse super-segments on a TUN (6.6.44 and other stables): cut them here from now on.
      written.fell_back = segmentation_.exchange(false, std::memory_order_relaxed);
    } else {
      written.refused = static_cast<uint32_t>(run.segments());
      return written;
    }
    written.error = 0;
  }
  size_t left = run.segments();
  run.each([&](std::span<const uint8_t> datagram) {
    const int error = write_one(way, header, seq, ack, --left == 0 ? last_flags : kAck, {}, datagram, written);
    if (error) {
      written.error = error;
      ++written.refused;
    }
    seq += static_cast<uint32_t>(datagram.size());
  });
  return written;
}

// 0 or -errno. `way` is not known any more when it has turned out to be lost.
int PacketDevice::write_one(Way& way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                            std::span<const uint8_t> options, std::span<const uint8_t> payload, Written& written) {
  for (;;) {
    uint8_t headers[kRoom + kMaxHeaders];
    const size_t size = header.write(headers + kRoom, seq, ack, flags, options, payload.size());
    iovec vectors[2] = {{}, {const_cast<uint8_t*>(payload.data()), payload.size()}};
    const int error = write({.way = way,
                             .header = header,
                             .ip = headers + kRoom,
                             .header_size = size,
                             .vectors = vectors,
                             .vector_count = payload.empty() ? 1u : 2u,
                             .segment_size = 0});
    ++written.writes;
    if (error == 0 || !is_lost(way, error)) return error;
    written.way_lost = true;
    way = {};
  }
}

}  // namespace guise
