#include "io/packet_device.h"

#include <cerrno>
#include <cstring>

#include "wire/checksum.h"

namespace guise {
namespace {

// Turns the pseudo-header sum in the checksum field into the checksum of the whole segment.
void complete_checksum(uint8_t* tcp, size_t tcp_header, const iovec* vectors, size_t count) {
  ChecksumSum sum;
  sum.add(tcp, tcp_header);  // the field holds the pseudo-header sum: adding it is what is wanted
  size_t offset = 0;
  for (size_t i = 0; i < count; ++i) {
    sum.add_at(offset, static_cast<const uint8_t*>(vectors[i].iov_base), vectors[i].iov_len);
    offset += vectors[i].iov_len;
  }
  const uint16_t checksum = sum.checksum();
  std::memcpy(tcp + 16, &checksum, 2);
}

}  // namespace

ssize_t PacketDevice::read(uint8_t* buffer, size_t size) {
  const ssize_t got = ::read(fd_.get(), buffer, size);
  if (got > 0) count(counters_.engine().device_reads);
  return got < 0 ? -errno : got;
}

int PacketDevice::write_segment(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                std::span<const uint8_t> options, std::span<const uint8_t> payload) {
  uint8_t headers[sizeof(VirtioNetHeader) + kMaxHeaders];
  const size_t size = header.write(headers + sizeof(VirtioNetHeader), seq, ack, flags, options, payload.size());
  iovec vectors[2] = {{}, {const_cast<uint8_t*>(payload.data()), payload.size()}};
  return write_parts(headers, header.ip_size(), size, vectors, payload.empty() ? 1 : 2, payload.size(), 0);
}

int PacketDevice::write_run(const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push, SegmentRun& run) {
  const uint8_t last_flags = push ? kAck | kPsh : kAck;
  if (run.segments() == 1 || segmentation_.load(std::memory_order_relaxed)) {
    uint8_t headers[sizeof(VirtioNetHeader) + kMaxHeaders];
    const size_t size = header.write(headers + sizeof(VirtioNetHeader), seq, ack, last_flags, {}, run.bytes());
    iovec vectors[65];
    std::memcpy(vectors + 1, run.vectors(), run.vector_count() * sizeof(iovec));
    const size_t segment_size = run.segments() > 1 ? run.segment_size() : 0;
    const int result =
        write_parts(headers, header.ip_size(), size, vectors, run.vector_count() + 1, run.bytes(), segment_size);
    // Some kernels refuse super-segments on a TUN (6.6.44 and other stables): cut them here from now on.
    if (result != -EINVAL || run.segments() == 1) return result;
    segmentation_.store(false, std::memory_order_relaxed);
    count(counters_.engine().segmentation_fallbacks);
  }
  int result = 0;
  for (size_t i = 0, left = run.segments(); i < run.vector_count(); ++i) {
    const auto* data = static_cast<const uint8_t*>(run.vectors()[i].iov_base);
    for (size_t at = 0; at < run.vectors()[i].iov_len; at += run.segment_size(), --left) {
      const size_t size = std::min(run.segment_size(), run.vectors()[i].iov_len - at);
      const int error = write_segment(header, seq, ack, left == 1 ? last_flags : kAck, {}, {data + at, size});
      if (error) result = error;
      seq += static_cast<uint32_t>(size);
    }
  }
  return result;
}

int PacketDevice::write_parts(uint8_t* headers, size_t ip_size, size_t header_size, iovec* vectors, size_t vector_count,
                              size_t payload, size_t segment_size) {
  uint8_t* ip = headers + sizeof(VirtioNetHeader);
  if (virtio_header_) {
    VirtioNetHeader offload;
    offload.flags = VirtioNetHeader::kNeedsChecksum;
    offload.checksum_start = static_cast<uint16_t>(ip_size);
    offload.checksum_offset = 16;
    if (segment_size > 0) {
      offload.gso_type = ip_size == 20 ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
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
  count(counters_.engine().device_writes);
  if (written >= 0) return 0;
  const int error = errno;
  // A super-segment that a kernel refuses is sent again in parts: not a drop.
  if (!(segment_size > 0 && error == EINVAL)) {
    counters_.drop(DropReason::kDeviceRefused, segment_size > 0 ? (payload + segment_size - 1) / segment_size : 1);
  }
  return -error;
}

}  // namespace guise
