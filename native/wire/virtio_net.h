// The header in front of every packet of a TUN with IFF_VNET_HDR (virtio 1.2 §5.1.6, linux/virtio_net.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace guise {

struct VirtioNetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;
  static constexpr uint8_t kDataValid = 2;
  static constexpr uint8_t kGsoNone = 0;
  static constexpr uint8_t kGsoTcp4 = 1;
  static constexpr uint8_t kGsoTcp6 = 4;
  static constexpr uint8_t kGsoEcn = 0x80;

  uint8_t flags = 0;
  uint8_t gso_type = kGsoNone;
  uint16_t header_length = 0;
  uint16_t gso_size = 0;
  uint16_t checksum_start = 0;
  uint16_t checksum_offset = 0;

  // Whether the kernel answers for the checksum of what the packet carries.
  [[nodiscard]] bool vouches() const { return (flags & (kNeedsChecksum | kDataValid)) != 0; }
  // Bytes of payload of each segment that `size` bytes were merged from, but the last; all of them where they were not.
  [[nodiscard]] size_t segment_size_of(size_t size) const {
    const uint8_t type = gso_type & ~kGsoEcn;
    const bool merged = type == kGsoTcp4 || type == kGsoTcp6;
    return merged && gso_size > 0 && gso_size < size ? gso_size : size;
  }
};
static_assert(sizeof(VirtioNetHeader) == 10);

}  // namespace guise
