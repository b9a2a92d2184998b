// A packet port over a device in memory that says what was written, and refuses what it is told to.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "netstack/packet_port.h"
#include "netstack/row.h"
#include "require.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/ip.h"

namespace rig {

using Bytes = std::vector<uint8_t>;

class Device final : public guise::PortDevice {
 public:
  explicit Device(bool virtio_header) : PortDevice(virtio_header) {}

  ssize_t read(uint8_t* at) override {
    if (incoming.empty()) return 0;
    const Bytes packet = std::move(incoming.front());
    incoming.pop_front();
    std::ranges::copy(packet, at);
    return static_cast<ssize_t>(packet.size());
  }

  int write(const iovec* vectors, size_t count) override {
    guise::VirtioNetHeader offload;
    if (virtio_header()) std::memcpy(&offload, vectors[0].iov_base, sizeof offload);
    if (const int error = refuses(offload)) return error;
    Bytes& packet = written.emplace_back();
    for (size_t i = 0; i < count; ++i) {
      const auto* from = static_cast<const uint8_t*>(vectors[i].iov_base);
      packet.insert(packet.end(), from, from + vectors[i].iov_len);
    }
    packet.erase(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(prefix()));
    offloads.push_back(offload);
    return 0;
  }

  std::deque<Bytes> incoming;  // with a VirtioNetHeader where the device has one
  std::vector<Bytes> written;  // without
  std::vector<guise::VirtioNetHeader> offloads;
  std::function<int(const guise::VirtioNetHeader&)> refuses = [](const guise::VirtioNetHeader&) { return 0; };
};

struct Port {
  explicit Port(bool virtio_header = false, bool segmentation = false, size_t rows = 64) {
    auto made = std::make_unique<Device>(virtio_header);
    device = made.get();
    guise::PacketPort::Options options;
    options.device = std::move(made);
    options.segmentation = segmentation;
    options.mtu = 1500;
    options.rows = rows;
    options.fragments = {.bytes = 1 << 20, .fragments = 128, .wait4 = 30'000, .wait6 = 60'000};
    options.keys = {{1, 2}, {3, 4}, 5, 6};
    port = std::make_unique<guise::PacketPort>(std::move(options));
  }

  // Reads one packet. Its row, or null where it has none.
  const int32_t* read(const Bytes& packet, const guise::VirtioNetHeader& offload = {}) {
    Bytes& all = device->incoming.emplace_back();
    if (device->virtio_header()) {
      const auto* begin = reinterpret_cast<const uint8_t*>(&offload);
      all.assign(begin, begin + sizeof offload);
    }
    all.insert(all.end(), packet.begin(), packet.end());
    const int rows = port->read(slab, 0);
    REQUIRE(rows == 0 || rows == 1);
    return rows == 1 ? row(0) : nullptr;
  }

  [[nodiscard]] const int32_t* row(size_t index) const { return port->memory()->incoming_row(index); }
  [[nodiscard]] int32_t* out(size_t index = 0) { return &port->memory()->outgoing[index * guise::row::kWords]; }
  [[nodiscard]] const guise::row::Counters& counters() const { return port->memory()->counters; }
  // What a row says is the payload.
  [[nodiscard]] std::span<const uint8_t> payload(const int32_t* row) const {
    return std::span<const uint8_t>(slab).subspan(static_cast<size_t>(row[guise::row::in::kPayload]),
                                                  static_cast<size_t>(row[guise::row::in::kPayloadSize]));
  }

  std::vector<uint8_t> slab = std::vector<uint8_t>(guise::PacketPort::kReadRoom * 2);
  std::unique_ptr<guise::PacketPort> port;
  Device* device = nullptr;
};

class Chunks final : public guise::ChunkSource {
 public:
  explicit Chunks(std::vector<Bytes> chunks) : chunks_(std::move(chunks)) {}
  bool next(std::span<const uint8_t>& chunk) override {
    if (at_ == chunks_.size()) return false;
    chunk = chunks_[at_++];
    return true;
  }

 private:
  const std::vector<Bytes> chunks_;
  size_t at_ = 0;
};

// Both ends of the flows in tests, as this host sees them.
inline guise::Tuple tuple_of(bool v4) {
  using guise::Address;
  const uint8_t here4[] = {10, 0, 0, 1}, there4[] = {203, 0, 113, 9};
  const uint8_t here6[16] = {0xfd, 1}, there6[16] = {0xfd, 2};
  if (v4) return {{Address::from_v4(here4), 443}, {Address::from_v4(there4), 50'000}};
  return {{Address::from_v6(here6), 443}, {Address::from_v6(there6), 50'000}};
}

inline guise::Tuple swapped(const guise::Tuple& tuple) { return {tuple.remote, tuple.local}; }

// Makes lengths and checksums of a packet right, so far as its headers say where they are; the length of what an IPv6
// packet carries, too. `with_upper`: the checksum of TCP, UDP or ICMP also.
inline void mend(Bytes& packet, bool with_upper = true) {
  using namespace guise;
  const bool v4 = packet[0] >> 4 == 4;
  const size_t header = v4 ? size_t{4} * (packet[0] & 0x0f) : ipv6::kHeader;
  if (packet.size() < header || packet.size() > kMaxPacket || header < ipv4::kHeader) return;
  if (v4) {
    write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size()));
    write16(&packet[ipv4::kChecksum], 0);
    ChecksumSum sum;
    sum.add(packet.data(), header);
    const uint16_t checksum = sum.checksum();
    std::memcpy(&packet[ipv4::kChecksum], &checksum, sizeof checksum);
  } else {
    write16(&packet[ipv6::kPayloadLength], static_cast<uint16_t>(packet.size() - header));
  }
  IpView ip;
  if (!with_upper || parse_ip(
                         packet, [](uint8_t) { return true; }, ip) != ParseError::kNone)
    return;
  size_t at = 0;
  if (ip.protocol == kProtocolTcp) at = tcp::kChecksum;
  if (ip.protocol == kProtocolUdp) at = udp::kChecksum;
  if (ip.protocol == icmp::kProtocol4 || ip.protocol == icmp::kProtocol6) at = icmp::kChecksum;
  if (at == 0 || ip.payload.size() < at + 2) return;
  uint8_t* upper = packet.data() + ip.header;
  std::memset(upper + at, 0, 2);
  ChecksumSum sum;
  if (ip.protocol != icmp::kProtocol4) {
    sum.add_word(pseudo_header_sum(ip.source, ip.destination, ip.protocol));
    sum.add_word(__builtin_bswap16(static_cast<uint16_t>(ip.payload.size())));
  }
  sum.add(upper, ip.payload.size());
  const uint16_t checksum = sum.checksum();
  std::memcpy(upper + at, &checksum, sizeof checksum);
}

// A packet with `upper` behind the IP header, from `tuple.remote` to `tuple.local`. `between`: IPv4 options, or IPv6
// extension headers, the first of which is `first`; the last of them names the protocol already.
inline Bytes packet_of(const guise::Tuple& tuple, uint8_t protocol, const Bytes& upper, const Bytes& between = {},
                       uint8_t first = 0) {
  using namespace guise;
  Bytes packet;
  if (tuple.local.address.is_v4()) {
    packet.resize(ipv4::kHeader);
    packet[0] = static_cast<uint8_t>(4 << 4 | (ipv4::kHeader + between.size()) / 4);
    packet[ipv4::kTimeToLive] = 61;
    packet[ipv4::kProtocol] = protocol;
    std::memcpy(&packet[ipv4::kSource], tuple.remote.address.v4(), 4);
    std::memcpy(&packet[ipv4::kDestination], tuple.local.address.v4(), 4);
  } else {
    packet.resize(ipv6::kHeader);
    packet[0] = 6 << 4;
    packet[ipv6::kNextHeader] = between.empty() ? protocol : first;
    packet[ipv6::kHopLimit] = 61;
    std::memcpy(&packet[ipv6::kSource], tuple.remote.address.bytes.data(), 16);
    std::memcpy(&packet[ipv6::kDestination], tuple.local.address.bytes.data(), 16);
  }
  packet.insert(packet.end(), between.begin(), between.end());
  packet.insert(packet.end(), upper.begin(), upper.end());
  mend(packet);
  return packet;
}

// A TCP header with options, and payload; ports as of tuple_of().
inline Bytes tcp_of(const Bytes& options, const Bytes& payload, uint8_t flags = 0x10) {
  using namespace guise;
  Bytes segment(tcp::kHeader);
  write16(&segment[tcp::kSourcePort], 50'000);
  write16(&segment[tcp::kDestinationPort], 443);
  write32(&segment[tcp::kSequence], 0x89abcdef);
  write32(&segment[tcp::kAcknowledgment], 0xfedcba98);
  segment[tcp::kDataOffset] = static_cast<uint8_t>((tcp::kHeader + options.size()) / 4 << 4);
  segment[tcp::kFlags] = flags;
  write16(&segment[tcp::kWindow], 0xf00d);
  write16(&segment[tcp::kUrgent], 7);
  segment.insert(segment.end(), options.begin(), options.end());
  segment.insert(segment.end(), payload.begin(), payload.end());
  return segment;
}

inline Bytes udp_of(const Bytes& payload) {
  using namespace guise;
  Bytes datagram(udp::kHeader);
  write16(&datagram[udp::kSourcePort], 50'000);
  write16(&datagram[udp::kDestinationPort], 443);
  write16(&datagram[udp::kLength], static_cast<uint16_t>(udp::kHeader + payload.size()));
  datagram.insert(datagram.end(), payload.begin(), payload.end());
  return datagram;
}

inline Bytes random_bytes(size_t size) {
  static std::mt19937 source(20261127);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(source());
  return bytes;
}

}  // namespace rig
