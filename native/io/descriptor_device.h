// Any file descriptor that carries one raw IP packet a read and a write: a TUN queue, a socketpair in a test.
#pragma once

#include <memory>

#include "io/packet_device.h"
#include "io/unique_fd.h"

namespace guise {

class DescriptorDevice final : public PacketDevice {
 public:
  // `virtio_header`: each packet has a VirtioNetHeader in front. `segmentation`: the kernel cuts super-segments.
  DescriptorDevice(UniqueFd fd, bool virtio_header, bool segmentation, BatchLimits limits);

  [[nodiscard]] std::span<const int> descriptors() const override { return {&number_, 1}; }
  void begin() override { used_ = packets_ = 0; }
  [[nodiscard]] Read read(Packet& packet) override;

 protected:
  [[nodiscard]] int write(const Outgoing& packet) override;
  [[nodiscard]] bool cuts(Way) const override { return virtio_header_; }
  [[nodiscard]] bool is_lost(Way, int) const override { return false; }

 private:
  [[nodiscard]] size_t prefix() const { return virtio_header_ ? sizeof(VirtioNetHeader) : 0; }

  const UniqueFd fd_;
  const int number_ = fd_.get();
  const bool virtio_header_;
  const BatchLimits limits_;
  const std::unique_ptr<uint8_t[]> buffer_;  // of limits_.bytes
  size_t used_ = 0, packets_ = 0;
};

}  // namespace guise
