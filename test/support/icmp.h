// ICMP errors as routers and hosts write them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"
#include "wire/tuple.h"

// Of an IPv4 packet: header checksum, and that of the ICMP message; of an IPv6 packet: that of the message.
inline void mend_icmp(std::vector<uint8_t>& packet) {
  using namespace guise;
  const bool v4 = packet[0] >> 4 == 4;
  const size_t header = v4 ? size_t{4} * (packet[0] & 0x0f) : ipv6::kHeader;
  const auto put = [](uint8_t* at, const ChecksumSum& sum) {
    const uint16_t checksum = sum.checksum();
    std::memcpy(at, &checksum, sizeof checksum);
  };
  std::memset(&packet[header + 2], 0, 2);
  ChecksumSum message;
  if (v4) {
    std::memset(&packet[ipv4::kChecksum], 0, 2);
    ChecksumSum sum;
    sum.add(packet.data(), header);
    put(&packet[ipv4::kChecksum], sum);
  } else {
    message.add(&packet[ipv6::kSource], 32);
    message.add_word(__builtin_bswap16(static_cast<uint16_t>(packet.size() - header)));
    message.add_word(uint16_t{icmp::kProtocol6} << 8);
  }
  message.add(packet.data() + header, packet.size() - header);
  put(&packet[header + 2], message);
}

struct IcmpHead {
  uint8_t type, code;
  uint32_t word = 0;  // behind the checksum: of kTooBig the MTU

  // A packet that does not fit: of IPv4 or IPv6.
  static IcmpHead too_big(bool v4, uint32_t mtu) {
    if (v4) return {guise::icmp::kUnreachable4, guise::icmp::kFragmentationNeeded, mtu};
    return {guise::icmp::kTooBig6, 0, mtu};
  }
  static IcmpHead unreachable(bool v4, uint8_t code) {
    return {v4 ? guise::icmp::kUnreachable4 : guise::icmp::kUnreachable6, code};
  }
};

// `quoted`: the packet that it is about, as much of it as the error has. `from` is who says it.
inline std::vector<uint8_t> icmp_error(const guise::Address& from, const guise::Address& to, const IcmpHead& head,
                                       std::span<const uint8_t> quoted) {
  using namespace guise;
  const bool v4 = from.is_v4();
  std::vector<uint8_t> packet(v4 ? ipv4::kHeader : ipv6::kHeader);
  const size_t size = icmp::kHeader + quoted.size();
  if (v4) {
    packet[0] = 4 << 4 | 5;
    write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size() + size));
    packet[8] = 64;
    packet[ipv4::kProtocol] = icmp::kProtocol4;
    std::memcpy(&packet[ipv4::kSource], from.v4(), 4);
    std::memcpy(&packet[ipv4::kDestination], to.v4(), 4);
  } else {
    packet[0] = 6 << 4;
    write16(&packet[ipv6::kPayloadLength], static_cast<uint16_t>(size));
    packet[ipv6::kNextHeader] = icmp::kProtocol6;
    packet[7] = 64;
    std::memcpy(&packet[ipv6::kSource], from.bytes.data(), 16);
    std::memcpy(&packet[ipv6::kDestination], to.bytes.data(), 16);
  }
  const std::array<uint8_t, icmp::kHeader> begin{head.type,
                                                 head.code,
                                                 0,
                                                 0,
                                                 static_cast<uint8_t>(head.word >> 24),
                                                 static_cast<uint8_t>(head.word >> 16),
                                                 static_cast<uint8_t>(head.word >> 8),
                                                 static_cast<uint8_t>(head.word)};
  packet.insert(packet.end(), begin.begin(), begin.end());
  packet.insert(packet.end(), quoted.begin(), quoted.end());
  mend_icmp(packet);
  return packet;
}
