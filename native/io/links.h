// The links of this host that packets have come over, numbered: a Way names one by its number.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "wire/way.h"

namespace guise {

struct Link {
  int interface = 0;     // its index
  bool ethernet = true;  // frames have an Ethernet header; else they begin with the IP header
  LinkAddress own{};     // the address of ours that frames come to
  bool operator==(const Link&) const = default;
};

// Grows and never shrinks. As many as the host has interfaces, and had while guise runs.
class Links {
 public:
  static constexpr size_t kMost = 4096;

  // Its number, from 1 on; 0 when there are too many. Any thread.
  [[nodiscard]] uint16_t number_of(const Link& link) {
    if (const uint16_t found = find(link)) return found;
    const std::lock_guard lock(mutex_);
    const size_t count = count_.load(std::memory_order_relaxed);
    if (const uint16_t found = find(link)) return found;
    if (count == kMost) return 0;
    links_[count] = link;
    count_.store(count + 1, std::memory_order_release);
    return static_cast<uint16_t>(count + 1);
  }

  // The link of a number. Any thread.
  [[nodiscard]] const Link& at(uint16_t number) const { return links_[number - 1]; }
  // A word about the link, which is 0 at first. Any thread.
  [[nodiscard]] std::atomic<uint64_t>& note(uint16_t number) { return notes_[number - 1]; }
  [[nodiscard]] bool has(uint16_t number) const {
    return number > 0 && number <= count_.load(std::memory_order_acquire);
  }

 private:
  [[nodiscard]] uint16_t find(const Link& link) const {
    const size_t count = count_.load(std::memory_order_acquire);
    for (size_t i = 0; i < count; ++i) {
      if (links_[i] == link) return static_cast<uint16_t>(i + 1);
    }
    return 0;
  }

  std::mutex mutex_;  // of those who add
  std::atomic<size_t> count_{0};
  std::array<Link, kMost> links_;
  std::array<std::atomic<uint64_t>, kMost> notes_{};
};

}  // namespace guise
