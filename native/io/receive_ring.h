// A ring of memory that the kernel puts packets of all links into: no system call a packet (packet(7), PACKET_RX_RING,
// TPACKET_V2; Documentation/networking/packet_mmap.rst).
#pragma once

#include <linux/if_packet.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "io/unique_fd.h"
#include "wire/virtio_net.h"

namespace guise {

class ReceiveRing {
 public:
  struct Shape {
    uint32_t frame_size;  // bytes of a packet and of what the kernel puts in front of it; a multiple of 16
    uint32_t frames;
  };
  // Bytes in front of the IP header in a frame: the kernel's header, the address, room for a link's and the virtio
  // header.
  static constexpr uint32_t kFrameHead =
      TPACKET_ALIGN(TPACKET2_HDRLEN + 16) + static_cast<uint32_t>(sizeof(VirtioNetHeader));

  ReceiveRing() = default;
  ReceiveRing(ReceiveRing&& other) noexcept { *this = static_cast<ReceiveRing&&>(other); }
  ReceiveRing& operator=(ReceiveRing&& other) noexcept;
  ReceiveRing(const ReceiveRing&) = delete;
  ReceiveRing& operator=(const ReceiveRing&) = delete;
  ~ReceiveRing();

  // Takes a packet socket (SOCK_RAW) that is bound to nothing yet. 0, or -errno and the call that failed.
  [[nodiscard]] static int create(UniqueFd fd, const Shape& shape, ReceiveRing& out, const char*& syscall);
  // Begins to receive packets of a protocol, ETH_P_IP or ETH_P_IPV6, from all links. 0 or -errno.
  [[nodiscard]] int bind(uint16_t protocol, const char*& syscall) const;

  // One packet in the ring.
  struct Frame {
    std::span<const uint8_t> packet;  // from the IP header on
    const uint8_t* link_header;       // in front of it
    size_t link_header_size;
    const sockaddr_ll* address;
    VirtioNetHeader offload;
    bool losing;  // the kernel has dropped packets since overruns() was asked
  };

  [[nodiscard]] int fd() const { return fd_.get(); }
  // Whether a packet waits behind those that are taken.
  [[nodiscard]] bool waits() const {
    // When all are taken, the head is the first of them again.
    return taken_ < frames_ && (status(head_).load(std::memory_order_acquire) & TP_STATUS_USER) != 0;
  }
  // When it came; only where one waits.
  [[nodiscard]] uint64_t time() const;
  // Takes it; it stays until release(). Only where one waits.
  [[nodiscard]] Frame take();
  // Gives the frames that were taken back to the kernel.
  void release();
  // Packets dropped since the last call, because the ring was full.
  [[nodiscard]] uint64_t overruns() const;

 private:
  [[nodiscard]] uint8_t* frame(uint32_t number) const;
  [[nodiscard]] std::atomic_ref<uint32_t> status(uint32_t number) const;

  UniqueFd fd_;
  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
  uint32_t frame_size_ = 0, frames_ = 0, frames_in_block_ = 0;
  uint32_t head_ = 0;   // the next to take
  uint32_t taken_ = 0;  // behind it, not given back
};

}  // namespace guise
