#include "wire/reassembly.h"

#include <algorithm>
#include <cstring>

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/headers.h"
#include "wire/ip.h"
#include "wire/siphash.h"

namespace guise {
namespace {

constexpr uint32_t kUnit = 8;  // what offsets count

bool parse_ipv4(std::span<const uint8_t> packet, FragmentsOf of, Fragment& out) {
  using namespace ipv4;
  if (packet.size() < kHeader) return false;
  const size_t header = size_t{4} * (packet[kVersionAndLength] & 0x0f);
  const size_t total = read16(&packet[kTotalLength]);
  if (header < kHeader || total < header || total > packet.size()) return false;
  if (of == FragmentsOf::kTcp && packet[kProtocol] != kProtocolTcp) return false;
  ChecksumSum sum;
  sum.add(packet.data(), header);
  if (sum.folded() != 0xffff) return false;
  const uint16_t fragment = read16(&packet[kFragment]);
  out.source = Address::from_v4(&packet[kSource]);
  out.destination = Address::from_v4(&packet[kDestination]);
  out.identification = read16(&packet[kIdentification]);
  out.protocol = packet[kProtocol];
  out.protocol_at = kProtocol;
  out.offset = (fragment & kOffset) * kUnit;
  out.more = (fragment & kMoreFragments) != 0;
  out.header = packet.first(header);
  out.data = packet.subspan(header, total - header);
  return true;
}

bool parse_ipv6(std::span<const uint8_t> packet, FragmentsOf of, Fragment& out) {
  using namespace ipv6;
  if (packet.size() < kHeader) return false;
  const size_t total = kHeader + read16(&packet[kPayloadLength]);
  if (total > packet.size()) return false;
  size_t next_at = kNextHeader, at = kHeader;
  while (of == FragmentsOf::kAnything && is_ipv6_extension(packet[next_at])) {
    if (at + kExtensionLeast > total) return false;
    const size_t size = ipv6_extension_size(packet[next_at], &packet[at]);
    next_at = at + kExtensionNext;
    at += size;
    if (at > total) return false;
  }
  if (packet[next_at] != kFragment || at + kFragmentHeader > total) return false;
  const uint8_t* fragment = &packet[at];
  out.protocol = fragment[kExtensionNext];
  if (of == FragmentsOf::kTcp && out.protocol != kProtocolTcp) return false;
  out.source = Address::from_v6(&packet[kSource]);
  out.destination = Address::from_v6(&packet[kDestination]);
  // Mapped addresses stand for IPv4 inside a host, never on the wire.
  if (out.source.is_v4() || out.destination.is_v4()) return false;
  const uint16_t place = read16(fragment + kPlace);
  out.identification = read32(fragment + kIdentification);
  out.protocol_at = next_at;
  out.offset = place & kOffset;
  out.more = (place & kMoreFragments) != 0;
  out.header = packet.first(at);
  out.data = packet.subspan(at + kFragmentHeader, total - at - kFragmentHeader);
  return true;
}

// Makes the header of a first fragment that of the whole packet.
void mend_header(std::span<uint8_t> packet, size_t header) {
  if (packet[0] >> 4 == 6) {
    return write16(&packet[ipv6::kPayloadLength], static_cast<uint16_t>(packet.size() - ipv6::kHeader));
  }
  write16(&packet[ipv4::kTotalLength], static_cast<uint16_t>(packet.size()));
  write16(&packet[ipv4::kFragment], 0);
  write16(&packet[ipv4::kChecksum], 0);
  ChecksumSum sum;
  sum.add(packet.data(), header);
  const uint16_t checksum = sum.checksum();
  std::memcpy(&packet[ipv4::kChecksum], &checksum, sizeof checksum);
}

}  // namespace

std::optional<Fragment> parse_fragment(std::span<const uint8_t> packet, FragmentsOf of) {
  if (packet.empty()) return std::nullopt;
  const uint8_t version = packet[0] >> 4;
  Fragment fragment;
  if (version == 4 ? !parse_ipv4(packet, of, fragment) : version != 6 || !parse_ipv6(packet, of, fragment)) {
    return std::nullopt;
  }
  const size_t size = fragment.data.size();
  if (size == 0 || (fragment.more && size % kUnit != 0)) return std::nullopt;
  if (fragment.header.size() + fragment.end() > kMaxPacket) return std::nullopt;
  return fragment;
}

size_t Reassembly::Hash::operator()(const Key& of) const {
  std::array<uint64_t, 5> words{};
  std::memcpy(words.data(), of.source.bytes.data(), 16);
  std::memcpy(words.data() + 2, of.destination.bytes.data(), 16);
  words[4] = uint64_t{of.protocol} << 32 | of.identification;
  return sip_hash({key, key}, words);
}

std::span<const uint8_t> Reassembly::take(const Fragment& fragment, uint64_t now) {
  expire(now);
  // It may be that the oldest packet, which goes for it, is its own.
  if (!make_room(kPacketCost + fragment.header.size() + kPieceCost + fragment.data.size())) {
    ++lost_.crowded;
    return {};
  }
  const uint8_t protocol = fragment.source.is_v4() ? fragment.protocol : uint8_t{0};
  const Key key{fragment.source, fragment.destination, fragment.identification, protocol};
  const bool alone = fragment.offset == 0 && !fragment.more;  // of no other's concern (RFC 6946)
  auto found = alone ? packets_.end() : packets_.find(key);
  if (found != packets_.end()) {
    const Packet& packet = *found->second;
    switch (fit_of(packet, fragment)) {
      case Fit::kDuplicate:
        return {};
      case Fit::kOverlap:
        lost_.overlapping += 1 + forget(packet);
        return {};
      case Fit::kOtherPacket:
        lost_.overlapping += forget(packet);
        found = packets_.end();
        break;
      case Fit::kNew:
        if (packet.pieces.size() < limits_.fragments) break;
        lost_.crowded += 1 + forget(packet);
        return {};
    }
  }
  if (alone) {
    Packet packet{.key = key, .since = now, .header = {}, .pieces = {}};
    add(packet, fragment);
    return complete(packet);
  }
  Packet& packet = found == packets_.end() ? begin(key, now) : *found->second;
  add(packet, fragment);
  return packet.complete() ? complete(extract(packet).front()) : std::span<const uint8_t>();
}

// Fragments of one place and size that differ are of two packets, of which the older will not be complete any more:
// what an honest host sends twice is the same.
Reassembly::Fit Reassembly::fit_of(const Packet& packet, const Fragment& fragment) {
  const auto next = std::ranges::lower_bound(packet.pieces, fragment.offset, {}, &Piece::offset);
  if (next != packet.pieces.end() && next->offset == fragment.offset && next->end() == fragment.end()) {
    const bool last = packet.end == next->end();
    return last != fragment.more && std::ranges::equal(next->data, fragment.data) ? Fit::kDuplicate : Fit::kOtherPacket;
  }
  if (next != packet.pieces.end() && (next->offset < fragment.end() || !fragment.more)) return Fit::kOverlap;
  if (next != packet.pieces.begin() && std::prev(next)->end() > fragment.offset) return Fit::kOverlap;
  return packet.end != 0 && fragment.end() > packet.end ? Fit::kOverlap : Fit::kNew;
}

Reassembly::Packet& Reassembly::begin(const Key& key, uint64_t now) {
  Queue& queue = queue_of(key);
  queue.push_back({.key = key, .since = now, .header = {}, .pieces = {}});
  packets_.emplace(key, std::prev(queue.end()));
  queue.back().cost = kPacketCost;
  bytes_ += kPacketCost;
  return queue.back();
}

void Reassembly::add(Packet& packet, const Fragment& fragment) {
  size_t cost = kPieceCost + fragment.data.size();
  if (fragment.offset == 0) {
    packet.header.assign(fragment.header.begin(), fragment.header.end());
    packet.header[fragment.protocol_at] = fragment.protocol;
    cost += fragment.header.size();
  }
  const auto at = std::ranges::lower_bound(packet.pieces, fragment.offset, {}, &Piece::offset);
  packet.pieces.insert(at, {fragment.offset, {fragment.data.begin(), fragment.data.end()}});
  packet.data_size += static_cast<uint32_t>(fragment.data.size());
  if (!fragment.more) packet.end = fragment.end();
  packet.cost += cost;
  bytes_ += cost;
}

std::span<const uint8_t> Reassembly::complete(const Packet& packet) {
  const size_t size = packet.header.size() + packet.end;
  bytes_ -= packet.cost;
  // The first fragment's header may be the longest: its options need not be repeated.
  if (size > kMaxPacket) {
    lost_.crowded += packet.pieces.size();
    return {};
  }
  const size_t cost = kPieceCost + size;  // no more than that of the pieces: there is room
  std::vector<uint8_t> whole;
  whole.reserve(size);
  whole.insert(whole.end(), packet.header.begin(), packet.header.end());
  for (const Piece& piece : packet.pieces) whole.insert(whole.end(), piece.data.begin(), piece.data.end());
  mend_header(whole, packet.header.size());
  complete_bytes_ += cost;
  bytes_ += cost;
  return complete_.emplace_back(std::move(whole));
}

void Reassembly::expire(uint64_t now) {
  for (size_t i = 0; i < queues_.size(); ++i) {
    const uint32_t wait = i == 0 ? limits_.wait4 : limits_.wait6;
    while (!queues_[i].empty() && queues_[i].front().since + wait <= now) lost_.late += forget(queues_[i].front());
  }
}

void Reassembly::release() {
  complete_.clear();
  bytes_ -= std::exchange(complete_bytes_, 0);
}

bool Reassembly::make_room(size_t bytes) {
  while (bytes_ + bytes > limits_.bytes) {
    auto& [four, six] = queues_;
    if (four.empty() && six.empty()) return false;
    const bool is4 = six.empty() || (!four.empty() && four.front().since <= six.front().since);
    lost_.crowded += forget((is4 ? four : six).front());
  }
  return true;
}

Reassembly::Queue Reassembly::extract(const Packet& packet) {
  const auto found = packets_.find(packet.key);
  Queue one;
  one.splice(one.begin(), queue_of(packet.key), found->second);
  packets_.erase(found);
  return one;
}

size_t Reassembly::forget(const Packet& packet) {
  const Queue one = extract(packet);
  bytes_ -= one.front().cost;
  return one.front().pieces.size();
}

}  // namespace guise
