// What is inside a test datagram, so that its receiver can tell loss, order, duplicates, damage and merging.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace traffic {

// From 24 bytes on: label, send time in ns, check over label and size, then a filling. Below: a filling by size.
constexpr size_t kHeader = 24;

// A label is a sequence number of 40 bits, the sender's socket in 23, and a wish for an answer in the highest bit.
constexpr uint64_t kWantsAnswer = uint64_t{1} << 63;

constexpr uint64_t label_of(size_t flow, uint64_t sequence) { return uint64_t{flow} << 40 | sequence; }
constexpr uint64_t sequence_of(uint64_t label) { return label & ((uint64_t{1} << 40) - 1); }
constexpr size_t flow_of(uint64_t label) { return (label & ~kWantsAnswer) >> 40; }

inline uint64_t mix(uint64_t value) {
  value ^= value >> 32;
  value *= 0xe9846af9b1a615d;
  value ^= value >> 32;
  value *= 0xe9846af9b1a615d;
  return value ^ (value >> 28);
}

// The sizes of a stream of datagrams: one, all of a range, or the Internet mix (7 small, 4 middle, 1 large).
struct Sizes {
  size_t least = 1400, most = 1400;
  bool imix = false;

  [[nodiscard]] size_t of(uint64_t sequence) const {
    if (imix) {
      const uint64_t place = mix(sequence + 1) % 12;
      return place < 7 ? 64 : place < 11 ? 576 : 1400;
    }
    return least + (most > least ? mix(sequence + 1) % (most - least + 1) : 0);
  }
};

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

inline void write_datagram(uint8_t* data, size_t size, uint64_t label, uint64_t now, bool verify) {
  if (size < kHeader) return fill(data, size, 0);
  const uint64_t check = mix(label * 31 + size);
  std::memcpy(data, &label, 8);
  std::memcpy(data + 8, &now, 8);
  std::memcpy(data + 16, &check, 8);
  if (verify) fill(data + kHeader, size - kHeader, label);
}

struct Checked {
  bool good = false;
  bool labelled = false;  // large enough for that
  uint64_t label = 0;
  uint64_t sent_at = 0;
};

inline Checked check_datagram(const uint8_t* data, size_t size, bool verify) {
  Checked result;
  if (size < kHeader) {
    result.good = filled(data, size, 0);
    return result;
  }
  uint64_t check;
  std::memcpy(&result.label, data, 8);
  std::memcpy(&result.sent_at, data + 8, 8);
  std::memcpy(&check, data + 16, 8);
  result.labelled = true;
  result.good =
      check == mix(result.label * 31 + size) && (!verify || filled(data + kHeader, size - kHeader, result.label));
  return result;
}

}  // namespace traffic
