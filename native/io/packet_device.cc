#include "io/packet_device.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "wire/checksum.h"

namespace guise {
namespace {

// Turns the pseudo-header sum in the checksum field into the checksum of the whole segment.
void complete_checksum(uint8_t* segment, size_t tcp_header, const iovec* vectors, size_t count) {
  ChecksumSum sum;
  sum.add(segment, tcp_header);  // the field holds the pseudo-header sum: adding it is what is wanted
  size_t offset = 0;
  for (size_t i = 0; i < count; ++i) {
    sum.add_at(offset, static_cast<const uint8_t*>(vectors[i].iov_base), vectors[i].iov_len);
    offset += vectors[i].iov_len;
  }
  const uint16_t checksum = sum.checksum();
  std::memcpy(segment + tcp::kChecksum, &checksum, 2);
}

}  // namespace

PacketDevice::Read PacketDevice::read(PacketBuffer& buffer, Packet& packet) {
  if (buffer.full()) return Read::kFull;
  uint8_t* at = &buffer.bytes_[buffer.used_];
  const ssize_t got = ::read(fd_.get(), at, prefix() + kMaxPacket);
  // 0: the other end of a socketpair closed. EBADFD: the interface was deleted.
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR) ? Read::kNone : Read::kGone;
  const auto size = static_cast<size_t>(got);
  ++buffer.packets_;
  buffer.used_ += (size + 63) & ~size_t{63};
  packet.has_offload = virtio_header_;
  packet.bytes = {};
  if (size <= prefix()) return Read::kPacket;
  if (virtio_header_) std::memcpy(&packet.offload, at, sizeof packet.offload);
  packet.bytes = {at + prefix(), size - prefix()};
  return Read::kPacket;
}

Written PacketDevice::write_segment(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                    std::span<const uint8_t> options, std::span<const uint8_t> payload) {
  const int error = write_one(header, seq, ack, flags, options, payload);
  return {.error = error, .writes = 1, .refused = error ? 1u : 0u};
}

Written PacketDevice::write_run(const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push, SegmentRun& run) {
  const uint8_t last_flags = push ? kAck | kPsh : kAck;
  Written written;
  if (run.segments() == 1 || segmentation_.load(std::memory_order_relaxed)) {
    uint8_t headers[sizeof(VirtioNetHeader) + kMaxHeaders];
    const size_t size = header.write(headers + sizeof(VirtioNetHeader), seq, ack, last_flags, {}, run.bytes());
    iovec vectors[65];
    std::memcpy(vectors + 1, run.vectors(), run.vector_count() * sizeof(iovec));
    const size_t segment_size = run.segments() > 1 ? run.segment_size() : 0;
    written.error = write_parts(headers, header.ip_size(), size, vectors, run.vector_count() + 1, segment_size);
    written.writes = 1;
    if (written.error == 0) return written;
    // Some kernels refuse super-segments on a TUN (6.6.44 and other stables): cut them here from now on.
    if (written.error != -EINVAL || run.segments() == 1) {
      written.refused = static_cast<uint32_t>(run.segments());
      return written;
    }
    written.fell_back = segmentation_.exchange(false, std::memory_order_relaxed);
    written.error = 0;
  }
  size_t left = run.segments();
  run.each([&](std::span<const uint8_t> datagram) {
    const int error = write_one(header, seq, ack, --left == 0 ? last_flags : kAck, {}, datagram);
    ++written.writes;
    if (error) {
      written.error = error;
      ++written.refused;
    }
    seq += static_cast<uint32_t>(datagram.size());
  });
  return written;
}

int PacketDevice::write_one(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                            std::span<const uint8_t> options, std::span<const uint8_t> payload) {
  uint8_t headers[sizeof(VirtioNetHeader) + kMaxHeaders];
  const size_t size = header.write(headers + sizeof(VirtioNetHeader), seq, ack, flags, options, payload.size());
  iovec vectors[2] = {{}, {const_cast<uint8_t*>(payload.data()), payload.size()}};
  return write_parts(headers, header.ip_size(), size, vectors, payload.empty() ? 1 : 2, 0);
}

// Writes the headers and vectors[1] …; vectors[0] is for the headers. 0 or -errno.
int PacketDevice::write_parts(uint8_t* headers, size_t ip_size, size_t header_size, iovec* vectors, size_t vector_count,
                              size_t segment_size) {
  uint8_t* ip = headers + sizeof(VirtioNetHeader);
  if (virtio_header_) {
    VirtioNetHeader offload;
    offload.flags = VirtioNetHeader::kNeedsChecksum;
    offload.checksum_start = static_cast<uint16_t>(ip_size);
    offload.checksum_offset = tcp::kChecksum;
    if (segment_size > 0) {
      offload.gso_type = ip_size == ipv4::kHeader ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
      offload.gso_size = static_cast<uint16_t>(segment_size);
      offload.header_length = static_cast<uint16_t>(header_size);
    }
    std::memcpy(headers, &offload, sizeof offload);
    vectors[0] = {headers, sizeof offload + header_size};
  } else {
    complete_checksum(ip + ip_size, header_size - ip_size, vectors + 1, vector_count - 1);
    vectors[0] = {ip, header_size};
  }
  ssize_t written;
  do {
    written = ::writev(fd_.get(), vectors, static_cast<int>(vector_count));
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : 0;
}

}  // namespace guise
