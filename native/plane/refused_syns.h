// Remembers SYNs that were refused, so that one that comes again is known: who waits for an answer asks again after a
// second, a flood with forged addresses does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace guise {

class RefusedSyns {
 public:
  // `cookie`: what the SYN would have been answered with.
  void add(uint32_t cookie) {
    if (tags_.empty()) tags_.resize(kSlots);
    tags_[slot(cookie)] = tag(cookie);
  }

  [[nodiscard]] bool contains(uint32_t cookie) const { return !tags_.empty() && tags_[slot(cookie)] == tag(cookie); }

 private:
  // 1 MiB, from the first refusal on. Of SYNs that are refused at 100 000 a second, 9 in 10 are still known a second
  // later; 1 in 256 that never came is taken for known.
  static constexpr size_t kSlots = 1 << 20;

  // A cookie's lowest bit is not random. A tag of 0 is no other than an empty slot's: one more that is taken for known.
  static size_t slot(uint32_t cookie) { return (cookie >> 1) % kSlots; }
  static uint8_t tag(uint32_t cookie) { return static_cast<uint8_t>(cookie >> 21); }

  std::vector<uint8_t> tags_;
};

}  // namespace guise
