// SipHash-2-4 (Aumasson and Bernstein, 2012) of whole 64-bit words; Linux makes its SYN cookies with it too.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace guise {

template <size_t kWords>
[[nodiscard]] uint64_t sip_hash(const std::array<uint64_t, 2>& key, const std::array<uint64_t, kWords>& words) {
  uint64_t a = key[0] ^ 0x736f6d6570736575, b = key[1] ^ 0x646f72616e646f6d;
  uint64_t c = key[0] ^ 0x6c7967656e657261, d = key[1] ^ 0x7465646279746573;
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

}  // namespace guise
