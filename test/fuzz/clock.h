// Time that passes when a script says so. In this program a timerfd is an eventfd that pass() makes readable once its
// time has come, and the coarse clock stands still in between.
#pragma once

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <map>

class Clock {
 public:
  static void pass(uint32_t milliseconds) {
    milliseconds_ += milliseconds;
    std::erase_if(armed_, [](const auto& armed) {
      constexpr uint64_t kOnce = 1;
      if (armed.second > milliseconds_) return false;
      (void)!::write(armed.first, &kOnce, sizeof kOnce);
      return true;
    });
  }
  // Another program begins: its timers are not those of the last.
  static void reset() {
    milliseconds_ = 0;
    armed_.clear();
  }

  // In whole milliseconds from now.
  static void arm(int fd, const timespec& in) {
    armed_[fd] =
        milliseconds_ + static_cast<uint64_t>(in.tv_sec) * 1000 + static_cast<uint64_t>(in.tv_nsec) / 1'000'000;
  }
  static timespec now() {
    return {static_cast<time_t>(milliseconds_ / 1000), static_cast<long>(milliseconds_ % 1000 * 1'000'000)};
  }

 private:
  static inline uint64_t milliseconds_ = 0;
  static inline std::map<int, uint64_t> armed_;  // by descriptor: when its time comes
};

extern "C" int timerfd_create(clockid_t, int) noexcept { return ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

extern "C" int timerfd_settime(int fd, int, const itimerspec* in, itimerspec*) noexcept {
  Clock::arm(fd, in->it_value);
  return 0;
}

extern "C" int clock_gettime(clockid_t clock, timespec* out) noexcept {
  if (clock != CLOCK_MONOTONIC_COARSE) return static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
  *out = Clock::now();
  return 0;
}
