// Reads and writes at any alignment.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace guise {

static_assert(std::endian::native == std::endian::little, "the codec is written for little-endian hosts");

// A T as this host has it in memory.
template <typename T>
[[nodiscard]] T read_at(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Big-endian.

[[nodiscard]] inline uint16_t read16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

[[nodiscard]] inline uint32_t read32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return __builtin_bswap32(value);
}

inline void write16(uint8_t* at, uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, 2);
}

inline void write32(uint8_t* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, 4);
}

}  // namespace guise
