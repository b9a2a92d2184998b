// Bytes that were merged on their way, cut into the datagrams that they were.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace guise {

// How many datagrams `size` bytes are that are cut every `segment_size`.
[[nodiscard]] inline size_t datagrams_in(size_t size, size_t segment_size) {
  return size == 0 ? 0 : (size + segment_size - 1) / segment_size;
}

// Calls `take` with each datagram of `bytes`, which are cut every `segment_size`; the last may be shorter.
template <typename Take>
void each_datagram(std::span<const uint8_t> bytes, size_t segment_size, Take take) {
  while (!bytes.empty()) {
    const auto one = bytes.first(std::min(segment_size, bytes.size()));
    bytes = bytes.subspan(one.size());
    take(one);
  }
}

}  // namespace guise
