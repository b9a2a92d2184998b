// The time for limits, and for what is looked at now and then.
#pragma once

#include <cstdint>
#include <ctime>

namespace guise {

// Milliseconds of a steady clock, as coarse as the kernel's tick and as cheap as reading memory.
inline uint64_t coarse_milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace guise
