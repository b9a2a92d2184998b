// Payload on its way out: the application's own chunks as vectors, small ones copied together.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "wire/ip.h"

namespace guise {

// Where the bytes come from, in order.
class ChunkSource {
 public:
  ChunkSource() = default;
  ChunkSource(const ChunkSource&) = delete;
  ChunkSource& operator=(const ChunkSource&) = delete;
  virtual ~ChunkSource() = default;
  // The next chunk, which may be empty; it stays where it is until the write ends. Nothing when there is none.
  [[nodiscard]] virtual bool next(std::span<const uint8_t>& chunk) = 0;
};

// What one packet carries, or the segments of one super-segment.
class Payload {
 public:
  // Vectors of the largest packet: parts of kLeastPart bytes, with what was copied in between.
  static constexpr size_t kLeastPart = 256;
  static constexpr size_t kMostVectors = 2 * (kMaxPacket / kLeastPart) + 4;

  void clear() { count_ = copied_ = bytes_ = at_ = taken_ = 0; }
  [[nodiscard]] size_t bytes() const { return bytes_; }

  // A vector costs the kernel more than copying so few bytes costs us. At most kMaxPacket bytes in all; `part` stays
  // where it is until clear().
  void add(std::span<const uint8_t> part) {
    bytes_ += part.size();
    if (part.size() >= kLeastPart) {
      vectors_[count_++] = {const_cast<uint8_t*>(part.data()), part.size()};
      return;
    }
    uint8_t* copy = &copies_[copied_];
    std::memcpy(copy, part.data(), part.size());
    copied_ += part.size();
    iovec* last = count_ > 0 ? &vectors_[count_ - 1] : nullptr;
    if (last && static_cast<uint8_t*>(last->iov_base) + last->iov_len == copy) {
      last->iov_len += part.size();
    } else {
      vectors_[count_++] = {copy, part.size()};
    }
  }

  // The next `size` bytes, as vectors. How many of these there are.
  size_t take(size_t size, iovec* out) {
    size_t count = 0;
    while (size > 0) {
      const iovec& from = vectors_[at_];
      const size_t part = std::min(size, from.iov_len - taken_);
      out[count++] = {static_cast<uint8_t*>(from.iov_base) + taken_, part};
      size -= part;
      taken_ += part;
      if (taken_ == from.iov_len) {
        ++at_;
        taken_ = 0;
      }
    }
    return count;
  }

  // From the first byte again.
  void rewind() { at_ = taken_ = 0; }

 private:
  std::array<iovec, kMostVectors> vectors_;
  const std::unique_ptr<uint8_t[]> copies_{new uint8_t[kMaxPacket]};
  size_t count_ = 0, copied_ = 0, bytes_ = 0;
  size_t at_ = 0, taken_ = 0;  // the vector to take from, and what of it was taken
};

}  // namespace guise
