// A token bucket: what strangers can make us do must not be worth provoking.
#pragma once

#include <algorithm>
#include <cstdint>

#include "io/clock.h"

namespace guise {

class TokenBucket {
 public:
  // Tokens a second, and how many may be taken at once.
  explicit TokenBucket(uint32_t per_second) : per_second_(per_second), thousandths_(uint64_t{per_second} * 1000) {}

  // Takes a token if there is one. `now` in milliseconds.
  bool take(uint64_t now) {
    thousandths_ = std::min(uint64_t{per_second_} * 1000, thousandths_ + (now - filled_) * per_second_);
    filled_ = now;
    if (thousandths_ < 1000) return false;
    thousandths_ -= 1000;
    return true;
  }

 private:
  const uint32_t per_second_;
  uint64_t thousandths_;
  uint64_t filled_ = coarse_milliseconds();
};

}  // namespace guise
