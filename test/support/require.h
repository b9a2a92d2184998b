// For what a test program cannot go on without.
#pragma once

#include <cstdio>
#include <cstdlib>

inline void require_at(bool good, const char* what, const char* file, int line) {
  if (good) return;
  std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  std::abort();
}
#define REQUIRE(condition) require_at(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
