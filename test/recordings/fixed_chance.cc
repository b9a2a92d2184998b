// Preloaded into a process, it makes chance and the coarse clock the same in every run, so that what guise puts onto
// the wire is the same too.
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <random>

unsigned int std::random_device::_M_getval() {
  static uint32_t state = 20261125;
  return state = state * 1664525 + 1013904223;
}

extern "C" int clock_gettime(clockid_t clock, timespec* now) {
  static const auto real = reinterpret_cast<int (*)(clockid_t, timespec*)>(dlsym(RTLD_NEXT, "clock_gettime"));
  if (clock != CLOCK_MONOTONIC_COARSE) return real(clock, now);
  *now = {1000, 0};  // a cookie is made for a slot of this clock
  return 0;
}
