// The bytes that a fuzzer chose, read from front to back. Behind their end everything is 0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(data, size) {}

  [[nodiscard]] bool empty() const { return left_.empty(); }

  // At most `size` bytes.
  std::span<const uint8_t> bytes(size_t size) {
    const auto taken = left_.first(std::min(size, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  std::span<const uint8_t> rest() { return bytes(left_.size()); }

  template <typename T>
  T value() {
    T value{};
    const auto taken = bytes(sizeof value);
    if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }
  uint8_t byte() { return value<uint8_t>(); }
  bool flag() { return byte() & 1; }

 private:
  std::span<const uint8_t> left_;
};
