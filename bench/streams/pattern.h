// What test streams carry: every byte follows from its place, so that a stream tells loss, order, doubles and damage.
// The other programs of the netstack race make the same bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace streams {

// Bytes after which it repeats: a prime number, so that no shift by whole segments or super-segments goes unnoticed.
constexpr size_t kPeriod = 65521;

// Checked with memcmp against a copy that stays in the cache: more than 10 GB/s.
class Pattern {
 public:
  // Bytes that can be had in one piece.
  static constexpr size_t kMost = 2 * kPeriod;

  Pattern() : bytes_(kMost + kPeriod) {
    uint32_t state = 1;
    for (size_t i = 0; i < kPeriod; ++i) {
      state = state * 1664525 + 1013904223;  // Numerical Recipes' generator; its high bits are the good ones
      bytes_[i] = static_cast<uint8_t>(state >> 24);
    }
    for (size_t i = kPeriod; i < bytes_.size(); ++i) bytes_[i] = bytes_[i - kPeriod];
  }

  // kMost bytes of the stream from a position on.
  [[nodiscard]] const uint8_t* at(uint64_t position) const { return bytes_.data() + position % kPeriod; }

  [[nodiscard]] bool matches(uint64_t position, const uint8_t* data, size_t size) const {
    while (size > 0) {
      const size_t piece = std::min(size, kMost);
      if (std::memcmp(data, at(position), piece) != 0) return false;
      position += piece;
      data += piece;
      size -= piece;
    }
    return true;
  }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace streams
