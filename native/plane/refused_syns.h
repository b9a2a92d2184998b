// Remembers SYNs that were refused, so that one that comes again is known: who waits for an answer asks again after a
// second, a flood with forged addresses does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace guise {

class RefusedSyns {
 public:
  // `slots` bytes, from the first refusal on.
  explicit RefusedSyns(size_t slots) : slots_(slots) {}

  // `cookie`: what the SYN would have been answered with.
  void add(uint32_t cookie) {
    if (tags_.empty()) tags_.resize(slots_);
    tags_[slot(cookie)] = tag(cookie);
  }

  [[nodiscard]] bool contains(uint32_t cookie) const { return !tags_.empty() && tags_[slot(cookie)] == tag(cookie); }

 private:
  // A cookie's lowest bit is not random. A tag of 0 is no other than an empty slot's: one more that is taken for known.
  [[nodiscard]] size_t slot(uint32_t cookie) const { return (cookie >> 1) % slots_; }
  static uint8_t tag(uint32_t cookie) { return static_cast<uint8_t>(cookie >> 21); }

  const size_t slots_;
  std::vector<uint8_t> tags_;
};

}  // namespace guise
