// A test program that speaks TAP: test() runs a case, CHECK() asserts in it.
#pragma once

#include <cstdio>
#include <functional>

inline int failed_checks = 0;
inline int tests_run = 0;
inline int tests_failed = 0;

inline void check_at(bool good, const char* what, const char* file, int line) {
  if (good) return;
  ++failed_checks;
  std::printf("# %s:%d: %s\n", file, line, what);
}
#define CHECK(condition) check_at((condition), #condition, __FILE__, __LINE__)

inline void test(const char* sentence, const std::function<void()>& body) {
  failed_checks = 0;
  body();
  ++tests_run;
  if (failed_checks > 0) ++tests_failed;
  std::printf("%s %d - %s\n", failed_checks > 0 ? "not ok" : "ok", tests_run, sentence);
}

// A case that this host cannot run.
inline void skip(const char* sentence, const char* reason) {
  ++tests_run;
  std::printf("ok %d - %s # SKIP %s\n", tests_run, sentence, reason);
}

inline int done() {
  std::printf("1..%d\n", tests_run);
  return tests_failed > 0 ? 1 : 0;
}
