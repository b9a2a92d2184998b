// A run of datagrams of one flow that can leave in one system call: all of one size, the last may be shorter.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/cut.h"

namespace guise {

class SegmentRun {
 public:
  // At most `max_segments` datagrams and `max_bytes` bytes of payload.
  SegmentRun(size_t max_segments, size_t max_bytes) : max_segments_(max_segments), max_bytes_(max_bytes) {}

  void limit_bytes(size_t max_bytes) { max_bytes_ = max_bytes; }
  [[nodiscard]] bool empty() const { return segments_ == 0; }
  [[nodiscard]] size_t segments() const { return segments_; }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  [[nodiscard]] size_t segment_size() const { return segment_size_; }
  [[nodiscard]] iovec* vectors() { return vectors_.data(); }
  [[nodiscard]] size_t vector_count() const { return vector_count_; }

  // Takes as many whole datagrams as fit from `size` > 0 bytes that are cut every `segment_size` bytes.
  // Returns the bytes taken: 0 says that the run must leave first. `data` must live until then.
  size_t add(const uint8_t* data, size_t size, size_t segment_size) {
    if (closed_ || vector_count_ == vectors_.size()) return 0;
    const size_t first = std::min(size, segment_size);
    if (empty()) {
      segment_size_ = first;
    } else if (first > segment_size_ || (first < segment_size_ && size > first)) {
      return 0;
    }
    size_t room = std::min((max_segments_ - segments_) * segment_size_, max_bytes_ - bytes_);
    if (size > room) room -= room % segment_size_;
    const size_t taken = std::min(size, room);
    if (taken == 0) return 0;
    vectors_[vector_count_++] = {const_cast<uint8_t*>(data), taken};
    segments_ += (taken + segment_size_ - 1) / segment_size_;
    bytes_ += taken;
    closed_ = taken % segment_size_ != 0;
    return taken;
  }

  // Takes all of `bytes`; calls `leave`, which has to send the run and clear it, whenever nothing more fits.
  template <typename Leave>
  void add_all(std::span<const uint8_t> bytes, size_t segment_size, Leave leave) {
    while (!bytes.empty()) {
      const size_t taken = add(bytes.data(), bytes.size(), segment_size);
      bytes = bytes.subspan(taken);
      if (taken == 0) leave();
    }
  }

  // Calls `take` with each datagram in order.
  template <typename Take>
  void each(Take take) const {
    for (const iovec& part : std::span(vectors_).first(vector_count_)) {
      each_datagram({static_cast<const uint8_t*>(part.iov_base), part.iov_len}, segment_size_, take);
    }
  }

  void clear() {
    segments_ = bytes_ = vector_count_ = 0;
    closed_ = false;
  }

 private:
  const size_t max_segments_;
  size_t max_bytes_;
  size_t segment_size_ = 0;
  size_t segments_ = 0;
  size_t bytes_ = 0;
  size_t vector_count_ = 0;
  bool closed_ = false;  // the last datagram was a shorter one
  std::array<iovec, 64> vectors_;
};

}  // namespace guise
