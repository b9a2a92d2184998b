// How a packet came over a link, and so how an answer goes back.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace guise {

// An Ethernet address (IEEE 802).
using LinkAddress = std::array<uint8_t, 6>;

// A link of this host, by its number in io/links.h, and the neighbour's address on it. One word, so that several
// threads may share it. 0: not known; the kernel finds the way by its routes.
class Way {
 public:
  constexpr Way() = default;
  constexpr explicit Way(uint64_t word) : word_(word) {}
  Way(uint16_t link, const LinkAddress& neighbour) : word_(link) {
    uint64_t bytes = 0;
    std::memcpy(&bytes, neighbour.data(), neighbour.size());
    word_ |= bytes << 16;
  }

  [[nodiscard]] uint64_t word() const { return word_; }
  [[nodiscard]] bool known() const { return word_ != 0; }
  [[nodiscard]] uint16_t link() const { return static_cast<uint16_t>(word_); }
  [[nodiscard]] LinkAddress neighbour() const {
    LinkAddress address;
    const uint64_t bytes = word_ >> 16;
    std::memcpy(address.data(), &bytes, address.size());
    return address;
  }
  bool operator==(const Way&) const = default;

 private:
  uint64_t word_ = 0;
};

}  // namespace guise
