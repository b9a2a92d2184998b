// The ISN of a SYN-ACK: a keyed cookie over the tuple and a coarse clock (RFC 4987 §3.6). Nothing of a SYN is kept
// until an ACK brings the cookie back. Its lowest bits remember what the SYN said.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "wire/siphash.h"
#include "wire/tuple.h"

namespace guise {

// Whose SYN: see src/wire/profile.ts.
enum class SynKind : uint8_t { kGuise = 0, kPhantun = 1 };

// What is remembered of a SYN.
struct SynFacts {
  SynKind kind = SynKind::kGuise;
  bool scaled = false;  // it had a window scale option
  uint16_t mss = 0;     // its MSS, rounded down to one of the table; 0 where it had none

  bool operator==(const SynFacts&) const = default;
};

// 256 MSS that a cookie can remember; index 0 is for a SYN without one. Each from 1220 (IPv6 with an MTU of 1280) to
// 1460 (Ethernet's with IPv4): a datagram that just fits a PPPoE or a tunnel on the way must not be refused for what
// rounding takes. Less than 536 counts as 536, the least that TCP assumes (RFC 9293 §3.7.1); beyond 1460 those of jumbo
// frames (Google's 8896 and the usual 9000), and of loopback with the largest packets.
class MssTable {
 public:
  [[nodiscard]] static uint8_t index_of(uint16_t mss) {
    if (mss == 0) return 0;
    if (mss >= kFirst && mss <= kLast) return static_cast<uint8_t>(mss - kFirst + std::size(kSmall));
    return static_cast<uint8_t>(std::max<ptrdiff_t>(std::ranges::upper_bound(kTable, mss) - kTable.begin() - 1, 1));
  }
  [[nodiscard]] static uint16_t at(uint8_t index) { return kTable[index]; }

 private:
  static constexpr uint16_t kFirst = 1220, kLast = 1460;  // of those that follow on each other
  static constexpr uint16_t kSmall[] = {0, 536, 900, 1040, 1160, 1200};
  static constexpr uint16_t kLarge[] = {1960, 3960, 5960, 8836, 8940, 8960, 16344, 65475, 65495};
  static constexpr std::array<uint16_t, 256> kTable = [] {
    std::array<uint16_t, 256> table{};
    auto* at = std::ranges::copy(kSmall, table.begin()).out;
    for (uint16_t mss = kFirst; mss <= kLast; ++mss) *at++ = mss;
    std::ranges::copy(kLarge, at);
    return table;
  }();
  static_assert(std::ranges::is_sorted(kTable) && kTable.back() == 65495);
};

// 10 bits remember, 22 are the hash, and two slots of the clock are good: who cannot see the SYN-ACK needs 2^21 guesses
// for one connection, as many as with Linux's cookies (net/ipv4/syncookies.c: 24 bits, two slots, four sizes). It gets
// him no more than a connection from an address that is not his, of which there is a limit.
class SynCookies {
 public:
  // `key`: 128 random bits. A cookie is good in its own slot of the clock, of `slot_seconds`, and in the next.
  SynCookies(const std::array<uint64_t, 2>& key, uint32_t slot_seconds) : key_(key), slot_seconds_(slot_seconds) {}

  // `now` in seconds of any steady clock.
  [[nodiscard]] uint32_t make(const Tuple& tuple, const SynFacts& facts, uint64_t now) const {
    const auto bits = static_cast<uint32_t>(MssTable::index_of(facts.mss) << 2 | facts.scaled << 1 |
                                            static_cast<uint8_t>(facts.kind));
    return cookie(tuple, bits, now / slot_seconds_);
  }

  // What the SYN said that `isn` was made for, or nothing when it is no cookie of ours that is still good.
  [[nodiscard]] std::optional<SynFacts> check(const Tuple& tuple, uint32_t isn, uint64_t now) const {
    const uint32_t bits = isn & kFactBits;
    const uint64_t slot = now / slot_seconds_;
    if (cookie(tuple, bits, slot) != isn && cookie(tuple, bits, slot - 1) != isn) return std::nullopt;
    return SynFacts{.kind = static_cast<SynKind>(bits & 1),
                    .scaled = (bits >> 1 & 1) != 0,
                    .mss = MssTable::at(static_cast<uint8_t>(bits >> 2))};
  }

 private:
  static constexpr uint32_t kFactBits = (1 << 10) - 1;

  [[nodiscard]] uint32_t cookie(const Tuple& tuple, uint32_t bits, uint64_t slot) const {
    std::array<uint64_t, 6> words{};
    std::memcpy(words.data(), tuple.local.address.bytes.data(), 16);
    std::memcpy(&words[2], tuple.remote.address.bytes.data(), 16);
    words[4] = uint64_t{tuple.local.port} << 32 | uint64_t{tuple.remote.port} << 16 | bits;
    words[5] = slot;
    return (static_cast<uint32_t>(sip_hash(key_, words)) & ~kFactBits) | bits;
  }

  const std::array<uint64_t, 2> key_;
  const uint64_t slot_seconds_;
};

}  // namespace guise
