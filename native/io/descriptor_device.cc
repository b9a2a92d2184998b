#include "io/descriptor_device.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace guise {

DescriptorDevice::DescriptorDevice(UniqueFd fd, bool virtio_header, bool segmentation, BatchLimits limits)
    : PacketDevice(virtio_header && segmentation),
      fd_(std::move(fd)),
      virtio_header_(virtio_header),
      limits_(limits),
      buffer_(new uint8_t[limits.bytes]) {}

PacketDevice::Read DescriptorDevice::read(Packet& packet) {
  if (packets_ == limits_.packets || used_ + kLargestRead > limits_.bytes) return Read::kFull;
  uint8_t* at = &buffer_[used_];
  const ssize_t got = ::read(fd_.get(), at, prefix() + kMaxPacket);
  // 0: the other end of a socketpair closed. EBADFD: the interface was deleted.
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR) ? Read::kNone : Read::kGone;
  const auto size = static_cast<size_t>(got);
  ++packets_;
  used_ += (size + 63) & ~size_t{63};
  packet.has_offload = virtio_header_;
  packet.bytes = {};
  if (size <= prefix()) return Read::kPacket;
  if (virtio_header_) std::memcpy(&packet.offload, at, sizeof packet.offload);
  packet.bytes = {at + prefix(), size - prefix()};
  return Read::kPacket;
}

int DescriptorDevice::write(const Outgoing& packet) {
  uint8_t* begin = packet.ip;
  if (virtio_header_) {
    const VirtioNetHeader offload = packet.offload(0);
    begin -= sizeof offload;
    std::memcpy(begin, &offload, sizeof offload);
  } else {
    packet.complete_checksum();
  }
  packet.vectors[0] = {begin, static_cast<size_t>(packet.ip - begin) + packet.header_size};
  ssize_t written;
  do {
    written = ::writev(fd_.get(), packet.vectors, static_cast<int>(packet.vector_count));
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : 0;
}

}  // namespace guise
