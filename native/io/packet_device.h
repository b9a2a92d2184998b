// Any file descriptor that carries one raw IP packet a read and a write: a TUN queue, a socketpair in a test.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "io/segment_run.h"
#include "io/unique_fd.h"
#include "plane/counters.h"
#include "wire/segment.h"

namespace guise {

class PacketDevice {
 public:
  // `virtio_header`: each packet has a VirtioNetHeader in front. `segmentation`: the kernel cuts super-segments.
  PacketDevice(UniqueFd fd, bool virtio_header, bool segmentation, const CounterSlab& counters)
      : fd_(std::move(fd)), virtio_header_(virtio_header), segmentation_(segmentation), counters_(counters) {}

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] size_t prefix() const { return virtio_header_ ? sizeof(VirtioNetHeader) : 0; }

  // Bytes read, 0 at the end of file, -errno.
  [[nodiscard]] ssize_t read(uint8_t* buffer, size_t size);

  // Writes the run's datagrams as segments from `seq` on: as one super-segment where the kernel cuts them,
  // else one by one. `push` sets PSH on the last. Returns 0 or the last -errno. Any thread may call it.
  int write_run(const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push, SegmentRun& run);

  // Writes one segment; `payload` may be empty.
  int write_segment(const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                    std::span<const uint8_t> options, std::span<const uint8_t> payload);

 private:
  int write_parts(uint8_t* headers, size_t ip_size, size_t header_size, iovec* vectors, size_t count, size_t payload,
                  size_t segment_size);

  UniqueFd fd_;
  const bool virtio_header_;
  std::atomic<bool> segmentation_;
  const CounterSlab& counters_;
};

}  // namespace guise
