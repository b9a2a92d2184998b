// Addresses, endpoints and the 4-tuple that names a flow.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace guise {

// An IPv6 address, or an IPv4 one in its mapped form ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
struct Address {
  std::array<uint8_t, 16> bytes{};

  [[nodiscard]] bool is_v4() const {
    static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(bytes.data(), kMapped, sizeof kMapped) == 0;
  }
  // The last four bytes: the IPv4 address itself.
  [[nodiscard]] const uint8_t* v4() const { return bytes.data() + 12; }

  static Address from_v4(const uint8_t* four) {
    Address address;
    address.bytes[10] = address.bytes[11] = 0xff;
    std::memcpy(address.bytes.data() + 12, four, 4);
    return address;
  }
  static Address from_v6(const uint8_t* sixteen) {
    Address address;
    std::memcpy(address.bytes.data(), sixteen, 16);
    return address;
  }
  bool operator==(const Address&) const = default;
};

struct Endpoint {
  Address address;
  uint16_t port = 0;  // host order
  bool operator==(const Endpoint&) const = default;
};

// Both ends of a flow, as seen from this side.
struct Tuple {
  Endpoint local;
  Endpoint remote;
  bool operator==(const Tuple&) const = default;

  // A keyed hash: an outsider who chooses ports and addresses cannot choose the bucket.
  [[nodiscard]] uint64_t hash(uint64_t key) const {
    uint64_t words[4];
    std::memcpy(words, local.address.bytes.data(), 16);
    std::memcpy(words + 2, remote.address.bytes.data(), 16);
    const uint64_t ports = uint64_t{local.port} << 16 | remote.port;
    uint64_t state = key ^ 0x9e3779b97f4a7c15;
    for (const uint64_t word : {words[0] ^ ports, words[1], words[2], words[3] ^ (ports << 32)}) {
      const auto product = static_cast<unsigned __int128>(state ^ word) * 0xd6e8feb86659fd93;
      state = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64) ^ key;
    }
    return state;
  }
};

}  // namespace guise
