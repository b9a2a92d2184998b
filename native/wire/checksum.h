// The Internet checksum (RFC 1071) as partial sums that can be added in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace guise {

// A running one's-complement sum in memory order; fold() ends it.
class ChecksumSum {
 public:
  // Adds `size` bytes that start at an even offset of the checksummed data.
  void add(const uint8_t* data, size_t size) {
    // The upper half counts the carries, which are added at the end: two instructions a word.
    unsigned __int128 sum = sum_;
    const auto word_at = [data](size_t offset) {
      uint64_t word;
      std::memcpy(&word, data + offset, 8);
      return word;
    };
    size_t at = 0;
    for (; at + 32 <= size; at += 32) {
      sum += word_at(at);
      sum += word_at(at + 8);
      sum += word_at(at + 16);
      sum += word_at(at + 24);
    }
    for (; at + 8 <= size; at += 8) sum += word_at(at);
    uint64_t tail = 0;
    if (at < size) std::memcpy(&tail, data + at, size - at);
    sum += tail;
    const auto low = static_cast<uint64_t>(sum);
    const auto carries = static_cast<uint64_t>(sum >> 64);
    sum_ = low + carries;
    sum_ += sum_ < carries;
  }

  // Adds bytes that may start at an odd offset: swapping the bytes of a sum is
  // the same as shifting its data by one (RFC 1071 §2 (B)).
  void add_at(size_t offset, const uint8_t* data, size_t size) {
    ChecksumSum part;
    part.add(data, size);
    uint16_t folded = part.folded();
    if (offset & 1) folded = static_cast<uint16_t>(folded << 8 | folded >> 8);
    add_word(folded);
  }

  // Adds a 16-bit word that is already in network order.
  void add_word(uint16_t network_order) {
    sum_ += network_order;
    sum_ += sum_ < network_order;
  }

  // The sum folded to 16 bits, in network order, not complemented.
  [[nodiscard]] uint16_t folded() const {
    uint64_t sum = (sum_ >> 32) + (sum_ & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<uint16_t>(sum);
  }

  // The value for a checksum field, in network order.
  [[nodiscard]] uint16_t checksum() const { return static_cast<uint16_t>(~folded()); }

 private:
  uint64_t sum_ = 0;
};

}  // namespace guise
