// Watches a descriptor from Node's event loop (uv_poll), while it is readable. On the JavaScript thread.
#pragma once

#include <napi.h>

#include <memory>

namespace guise {

class Readiness {
 public:
  Readiness() = default;
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness() { stop(); }

  // Calls `readable` again and again while there is something to read, or the descriptor is of no use any more. 0 or
  // -errno: EPERM for a descriptor that cannot be watched.
  [[nodiscard]] int start(Napi::Env env, int fd, const Napi::Function& readable);
  // Whether it keeps the event loop alive.
  void reference(bool on);
  // The descriptor may be closed afterwards.
  void stop();

 private:
  struct Watch;

  Watch* watch_ = nullptr;  // lives until the event loop has let go of it
  bool referenced_ = true;
};

}  // namespace guise
