// What a packet port reads and writes: a descriptor that carries one packet a call, or memory. One thread's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "io/unique_fd.h"
#include "wire/ip.h"
#include "wire/virtio_net.h"

namespace guise {

class PortDevice {
 public:
  // `virtio_header`: each packet has a VirtioNetHeader in front.
  explicit PortDevice(bool virtio_header) : virtio_header_(virtio_header) {}
  PortDevice(const PortDevice&) = delete;
  PortDevice& operator=(const PortDevice&) = delete;
  virtual ~PortDevice() = default;

  [[nodiscard]] bool virtio_header() const { return virtio_header_; }
  [[nodiscard]] size_t prefix() const { return virtio_header_ ? sizeof(VirtioNetHeader) : 0; }

  // Reads the next packet, with what precedes it, to where prefix() + kMaxPacket bytes are free. Its bytes; 0 when none
  // waits; -errno when the device is gone.
  [[nodiscard]] virtual ssize_t read(uint8_t* at) = 0;
  // Writes one, with what precedes it. 0 or -errno.
  [[nodiscard]] virtual int write(const iovec* vectors, size_t count) = 0;

 private:
  const bool virtio_header_;
};

class DescriptorPort final : public PortDevice {
 public:
  DescriptorPort(UniqueFd fd, bool virtio_header) : PortDevice(virtio_header), fd_(std::move(fd)) {}

  [[nodiscard]] ssize_t read(uint8_t* at) override;
  [[nodiscard]] int write(const iovec* vectors, size_t count) override;

 private:
  const UniqueFd fd_;
};

// Packets that the caller feeds, and takes.
class MemoryPort final : public PortDevice {
 public:
  // `most_bytes`: of what waits, each way, with what it takes to keep it.
  explicit MemoryPort(size_t most_bytes) : PortDevice(false), fed_(most_bytes), written_(most_bytes) {}

  [[nodiscard]] ssize_t read(uint8_t* at) override;
  [[nodiscard]] int write(const iovec* vectors, size_t count) override;

  // False when there is no room, or the packet is larger than any.
  [[nodiscard]] bool feed(std::span<const uint8_t> packet);
  // The oldest of those that were written, good until pop().
  [[nodiscard]] std::span<const uint8_t> front() const { return written_.front(); }
  void pop() { written_.pop(); }

  [[nodiscard]] size_t fed() const { return fed_.size(); }
  [[nodiscard]] size_t written() const { return written_.size(); }

 private:
  class Queue {
   public:
    explicit Queue(size_t most_bytes) : most_bytes_(most_bytes) {}
    // Room for a packet of `size` bytes behind the others; empty when there is none.
    [[nodiscard]] std::span<uint8_t> push(size_t size);
    [[nodiscard]] std::span<const uint8_t> front() const { return packets_.front(); }
    void pop();
    [[nodiscard]] size_t size() const { return packets_.size(); }

   private:
    static constexpr size_t kPacketCost = sizeof(std::vector<uint8_t>) + 16;

    const size_t most_bytes_;
    std::deque<std::vector<uint8_t>> packets_;
    size_t bytes_ = 0;
  };

  Queue fed_, written_;
};

}  // namespace guise
