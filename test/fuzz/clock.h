// Time that passes when a script says so. In this program a timerfd is an eventfd that pass() makes readable, and the
// coarse clock stands still in between.
#pragma once

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <vector>

class Clock {
 public:
  static void pass(uint32_t milliseconds) {
    milliseconds_ += milliseconds;
    constexpr uint64_t kOnce = 1;
    for (const int fd : armed_) (void)!::write(fd, &kOnce, sizeof kOnce);
    armed_.clear();
  }
  // Another program begins: its timers are not those of the last.
  static void reset() {
    milliseconds_ = 0;
    armed_.clear();
  }

  static void arm(int fd) {
    if (std::ranges::find(armed_, fd) == armed_.end()) armed_.push_back(fd);
  }
  static timespec now() {
    return {static_cast<time_t>(milliseconds_ / 1000), static_cast<long>(milliseconds_ % 1000 * 1'000'000)};
  }

 private:
  static inline uint64_t milliseconds_ = 0;
  static inline std::vector<int> armed_;
};

extern "C" int timerfd_create(clockid_t, int) noexcept { return ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

extern "C" int timerfd_settime(int fd, int, const itimerspec*, itimerspec*) noexcept {
  Clock::arm(fd);
  return 0;
}

extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  if (clock != CLOCK_MONOTONIC_COARSE) return static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
  *out = Clock::now();
  return 0;
}
