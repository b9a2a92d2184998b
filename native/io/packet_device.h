// Any file descriptor that carries one raw IP packet a read and a write: a TUN queue, a socketpair in a test.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "io/segment_run.h"
#include "io/unique_fd.h"
#include "wire/segment.h"

namespace guise {

// A packet that was read.
struct Packet {
  std::span<const uint8_t> bytes;  // without what precedes the IP header; may be empty
  VirtioNetHeader offload;
  bool has_offload = false;  // `offload` came with it

  [[nodiscard]] const VirtioNetHeader* offload_or_null() const { return has_offload ? &offload : nullptr; }
};

// Where packets are read into: they stay valid from one begin() to the next.
class PacketBuffer {
 public:
  static constexpr size_t kLargest = sizeof(VirtioNetHeader) + kMaxPacket;

  // Takes `most_packets` and `size` bytes, at least kLargest, between two calls of begin().
  PacketBuffer(size_t size, size_t most_packets)
      : size_(size), most_packets_(most_packets), bytes_(new uint8_t[size]) {}

  void begin() { used_ = packets_ = 0; }

 private:
  friend class PacketDevice;
  [[nodiscard]] bool full() const { return packets_ == most_packets_ || used_ + kLargest > size_; }

  const size_t size_, most_packets_;
  const std::unique_ptr<uint8_t[]> bytes_;
  size_t used_ = 0, packets_ = 0;
};

// What a write did.
struct Written {
  int error = 0;           // 0, or the last -errno
  uint32_t writes = 0;     // system calls
  uint32_t refused = 0;    // segments that did not leave
  bool fell_back = false;  // the kernel has refused a super-segment: from now on segments leave one by one
};

class PacketDevice {
 public:
  enum class Read : uint8_t {
    kPacket,
    kNone,  // no packet waits
    kFull,  // the buffer takes no more
    kGone,  // the interface was deleted, or the other end of a socketpair closed
  };

  // `virtio_header`: each packet has a VirtioNetHeader in front. `segmentation`: the kernel cuts super-segments.
  PacketDevice(UniqueFd fd, bool virtio_header, bool segmentation)
      : fd_(std::move(fd)), virtio_header_(virtio_header), segmentation_(segmentation) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] size_t prefix() const { return virtio_header_ ? sizeof(VirtioNetHeader) : 0; }

  // Reads the next packet into the buffer. One thread.
  [[nodiscard]] Read read(PacketBuffer& buffer, Packet& packet);

  // Writes the run's datagrams as segments from `seq` on: as one super-segment where the kernel cuts them,
  // else one by one. `push` sets PSH on the last. Any thread may call it.
  [[nodiscard]] Written write_run(const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push, SegmentRun& run);

  // Writes one segment; `payload` may be empty. Any thread may call it.
  [[nodiscard]] Written write_segment(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                      std::span<const uint8_t> options, std::span<const uint8_t> payload);

 private:
  int write_parts(uint8_t* headers, size_t ip_size, size_t header_size, iovec* vectors, size_t count,
                  size_t segment_size);
  int write_one(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                std::span<const uint8_t> options, std::span<const uint8_t> payload);

  const UniqueFd fd_;
  const bool virtio_header_;
  std::atomic<bool> segmentation_;  // any thread turns it off, none on
};

}  // namespace guise
