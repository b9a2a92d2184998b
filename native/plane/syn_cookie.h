// The ISN of a SYN-ACK: a keyed cookie over the tuple and a coarse clock (RFC 4987 §3.6). Nothing of a SYN is kept
// until an ACK brings the cookie back. Its lowest bit remembers what kind of SYN it was.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>

#include "wire/tuple.h"

namespace guise {

// Whose SYN: see src/wire/profile.ts.
enum class SynKind : uint8_t { kGuise = 0, kPhantun = 1 };

class SynCookies {
 public:
  // A cookie is good in its own slot of the clock and in the next: 32 to 64 s.
  static constexpr uint64_t kSlotSeconds = 32;

  // `key`: 128 random bits.
  explicit SynCookies(const std::array<uint64_t, 2>& key) : key_(key) {}

  // `now` in seconds of any steady clock.
  [[nodiscard]] uint32_t make(const Tuple& tuple, SynKind kind, uint64_t now) const {
    return cookie(tuple, kind, now / kSlotSeconds);
  }

  // The kind of the SYN that `isn` was made for, or nothing when it is no cookie of ours that is still good.
  [[nodiscard]] std::optional<SynKind> check(const Tuple& tuple, uint32_t isn, uint64_t now) const {
    const auto kind = static_cast<SynKind>(isn & 1);
    const uint64_t slot = now / kSlotSeconds;
    if (cookie(tuple, kind, slot) == isn || cookie(tuple, kind, slot - 1) == isn) return kind;
    return std::nullopt;
  }

 private:
  [[nodiscard]] uint32_t cookie(const Tuple& tuple, SynKind kind, uint64_t slot) const {
    std::array<uint64_t, 6> words{};
    std::memcpy(&words[0], tuple.local.address.bytes.data(), 16);
    std::memcpy(&words[2], tuple.remote.address.bytes.data(), 16);
    words[4] = uint64_t{tuple.local.port} << 32 | uint64_t{tuple.remote.port} << 8 | static_cast<uint8_t>(kind);
    words[5] = slot;
    return (static_cast<uint32_t>(sip_hash(words)) & ~1u) | static_cast<uint8_t>(kind);
  }

  // SipHash-2-4 (Aumasson and Bernstein, 2012) of 48 bytes; Linux makes its SYN cookies with it too.
  [[nodiscard]] uint64_t sip_hash(const std::array<uint64_t, 6>& words) const {
    uint64_t a = key_[0] ^ 0x736f6d6570736575, b = key_[1] ^ 0x646f72616e646f6d;
    uint64_t c = key_[0] ^ 0x6c7967656e657261, d = key_[1] ^ 0x7465646279746573;
    const auto rounds = [&](int count) {
      while (count-- > 0) {
        a += b, b = std::rotl(b, 13) ^ a, a = std::rotl(a, 32);
        c += d, d = std::rotl(d, 16) ^ c;
        a += d, d = std::rotl(d, 21) ^ a;
        c += b, b = std::rotl(b, 17) ^ c, c = std::rotl(c, 32);
      }
    };
    const auto take = [&](uint64_t word) {
      d ^= word;
      rounds(2);
      a ^= word;
    };
    for (const uint64_t word : words) take(word);
    take(uint64_t{sizeof words} << 56);
    c ^= 0xff;
    rounds(4);
    return a ^ b ^ c ^ d;
  }

  std::array<uint64_t, 2> key_;
};

}  // namespace guise
