// The ids of a worker's applications, so that the JavaScript thread knows at once whether one is there.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace guise {

// Any thread. The worker adds and erases; the JavaScript thread erases ahead of the worker what it has it forget.
class ApplicationIds {
 public:
  void add(uint32_t id, uint32_t listener) {
    const std::lock_guard lock(mutex_);
    listeners_.emplace(id, listener);
  }
  void erase(uint32_t id) {
    const std::lock_guard lock(mutex_);
    listeners_.erase(id);
  }
  void erase_of(uint32_t listener) {
    const std::lock_guard lock(mutex_);
    std::erase_if(listeners_, [listener](const auto& entry) { return entry.second == listener; });
  }
  [[nodiscard]] bool contains(uint32_t id) const {
    const std::lock_guard lock(mutex_);
    return listeners_.contains(id);
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint32_t, uint32_t> listeners_;  // by application
};

}  // namespace guise
