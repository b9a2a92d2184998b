// What is inside a test datagram, so that its receiver can tell loss, order, duplicates, damage and merging.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace traffic {

// From 24 bytes on: sequence number, send time in ns, check over number, size and filling. Below: a filling by size.
constexpr size_t kHeader = 24;

inline uint64_t mix(uint64_t value) {
  value ^= value >> 32;
  value *= 0xe9846af9b1a615d;
  value ^= value >> 32;
  value *= 0xe9846af9b1a615d;
  return value ^ (value >> 28);
}

// A size in [least, most] that both ends can compute from the sequence number.
inline size_t size_of(uint64_t sequence, size_t least, size_t most) {
  return least + (most > least ? mix(sequence + 1) % (most - least + 1) : 0);
}

// Every byte of the filling depends on the sequence number and its place.
inline void fill(uint8_t* data, size_t size, uint64_t sequence) {
  uint64_t word = mix(sequence ^ size);
  size_t at = 0;
  for (; at + 8 <= size; at += 8, word += 0x9e3779b97f4a7c15) std::memcpy(data + at, &word, 8);
  std::memcpy(data + at, &word, size - at);
}

inline bool filled(const uint8_t* data, size_t size, uint64_t sequence) {
  uint64_t word = mix(sequence ^ size);
  uint64_t wrong = 0;
  size_t at = 0;
  for (; at + 8 <= size; at += 8, word += 0x9e3779b97f4a7c15) {
    uint64_t found;
    std::memcpy(&found, data + at, 8);
    wrong |= found ^ word;
  }
  return wrong == 0 && std::memcmp(data + at, &word, size - at) == 0;
}

inline void write_datagram(uint8_t* data, size_t size, uint64_t sequence, uint64_t now, bool verify) {
  if (size < kHeader) return fill(data, size, 0);
  const uint64_t check = mix(sequence * 31 + size);
  std::memcpy(data, &sequence, 8);
  std::memcpy(data + 8, &now, 8);
  std::memcpy(data + 16, &check, 8);
  if (verify) fill(data + kHeader, size - kHeader, sequence);
}

struct Checked {
  bool good = false;
  bool numbered = false;  // large enough to carry a sequence number
  uint64_t sequence = 0;
  uint64_t sent_at = 0;
};

inline Checked check_datagram(const uint8_t* data, size_t size, bool verify) {
  Checked result;
  if (size < kHeader) {
    result.good = filled(data, size, 0);
    return result;
  }
  uint64_t check;
  std::memcpy(&result.sequence, data, 8);
  std::memcpy(&result.sent_at, data + 8, 8);
  std::memcpy(&check, data + 16, 8);
  result.numbered = true;
  result.good = check == mix(result.sequence * 31 + size) &&
                (!verify || filled(data + kHeader, size - kHeader, result.sequence));
  return result;
}

}  // namespace traffic
