#include "netstack/port_device.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace guise {

ssize_t DescriptorPort::read(uint8_t* at) {
  const ssize_t got = ::read(fd_.get(), at, prefix() + kMaxPacket);
  if (got > 0) return got;
  if (got == 0) return -ENODEV;  // the other end of a socketpair closed
  return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

int DescriptorPort::write(const iovec* vectors, size_t count) {
  ssize_t written;
  do {
    written = ::writev(fd_.get(), vectors, static_cast<int>(count));
  } while (written < 0 && errno == EINTR);
  return written < 0 ? -errno : 0;
}

std::span<uint8_t> MemoryPort::Queue::push(size_t size) {
  if (bytes_ + size + kPacketCost > most_bytes_) return {};
  bytes_ += size + kPacketCost;
  return packets_.emplace_back(size);
}

void MemoryPort::Queue::pop() {
  bytes_ -= packets_.front().size() + kPacketCost;
  packets_.pop_front();
}

ssize_t MemoryPort::read(uint8_t* at) {
  if (fed_.size() == 0) return 0;
  const std::span<const uint8_t> packet = fed_.front();
  const size_t size = packet.size();
  std::ranges::copy(packet, at);
  fed_.pop();
  return static_cast<ssize_t>(size);
}

int MemoryPort::write(const iovec* vectors, size_t count) {
  const std::span all(vectors, count);
  size_t size = 0;
  for (const iovec& part : all) size += part.iov_len;
  std::span<uint8_t> room = written_.push(size);
  if (room.empty()) return -ENOBUFS;
  for (const iovec& part : all) {
    std::memcpy(room.data(), part.iov_base, part.iov_len);
    room = room.subspan(part.iov_len);
  }
  return 0;
}

bool MemoryPort::feed(std::span<const uint8_t> packet) {
  if (packet.empty() || packet.size() > kMaxPacket) return false;
  const std::span<uint8_t> room = fed_.push(packet.size());
  if (room.empty()) return false;
  std::ranges::copy(packet, room.begin());
  return true;
}

}  // namespace guise
