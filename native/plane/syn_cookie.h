// The ISN of a SYN-ACK: a keyed cookie over the tuple and a coarse clock (RFC 4987 §3.6). Nothing of a SYN is kept
// until an ACK brings the cookie back. Its lowest bit remembers what kind of SYN it was.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "wire/siphash.h"
#include "wire/tuple.h"

namespace guise {

// Whose SYN: see src/wire/profile.ts.
enum class SynKind : uint8_t { kGuise = 0, kPhantun = 1 };

class SynCookies {
 public:
  // `key`: 128 random bits. A cookie is good in its own slot of the clock, of `slot_seconds`, and in the next.
  SynCookies(const std::array<uint64_t, 2>& key, uint32_t slot_seconds) : key_(key), slot_seconds_(slot_seconds) {}

  // `now` in seconds of any steady clock.
  [[nodiscard]] uint32_t make(const Tuple& tuple, SynKind kind, uint64_t now) const {
    return cookie(tuple, kind, now / slot_seconds_);
  }

  // The kind of the SYN that `isn` was made for, or nothing when it is no cookie of ours that is still good.
  [[nodiscard]] std::optional<SynKind> check(const Tuple& tuple, uint32_t isn, uint64_t now) const {
    const auto kind = static_cast<SynKind>(isn & 1);
    const uint64_t slot = now / slot_seconds_;
    if (cookie(tuple, kind, slot) == isn || cookie(tuple, kind, slot - 1) == isn) return kind;
    return std::nullopt;
  }

 private:
  [[nodiscard]] uint32_t cookie(const Tuple& tuple, SynKind kind, uint64_t slot) const {
    std::array<uint64_t, 6> words{};
    std::memcpy(words.data(), tuple.local.address.bytes.data(), 16);
    std::memcpy(&words[2], tuple.remote.address.bytes.data(), 16);
    words[4] = uint64_t{tuple.local.port} << 32 | uint64_t{tuple.remote.port} << 8 | static_cast<uint8_t>(kind);
    words[5] = slot;
    return (static_cast<uint32_t>(sip_hash(key_, words)) & ~1u) | static_cast<uint8_t>(kind);
  }

  const std::array<uint64_t, 2> key_;
  const uint64_t slot_seconds_;
};

}  // namespace guise
