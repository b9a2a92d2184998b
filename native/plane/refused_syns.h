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

  // `hash`: of the SYN's tuple, with all bits random. A cookie has too few that are: what the SYN said is in it.
  void add(uint64_t hash) {
    if (tags_.empty()) tags_.resize(slots_);
    tags_[slot(hash)] = tag(hash);
  }

  [[nodiscard]] bool contains(uint64_t hash) const { return !tags_.empty() && tags_[slot(hash)] == tag(hash); }

 private:
  // A tag of 0 is no other than an empty slot's: one more that is taken for known.
  [[nodiscard]] size_t slot(uint64_t hash) const { return hash % slots_; }
  static uint8_t tag(uint64_t hash) { return static_cast<uint8_t>(hash >> 56); }

  const size_t slots_;
  std::vector<uint8_t> tags_;
};

}  // namespace guise
