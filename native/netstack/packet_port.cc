#include "netstack/packet_port.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/clock.h"
#include "wire/bytes.h"
#include "wire/siphash.h"

namespace guise {
namespace {

using namespace row;

// What precedes a packet in the slab ends at a multiple of 16, so that its header's words are aligned.
constexpr size_t kAlignment = 64, kInFront = 16;
static_assert(((kInFront + kMaxPacket + kAlignment - 1) & ~(kAlignment - 1)) == PacketPort::kReadRoom);
static_assert(sizeof(VirtioNetHeader) <= kInFront);

size_t aligned(size_t at) { return (at + kAlignment - 1) & ~(kAlignment - 1); }

uint64_t keyed(const std::array<uint64_t, 2>& key, const Tuple& tuple, uint32_t word) {
  std::array<uint64_t, 5> words{};
  std::memcpy(words.data(), tuple.local.address.bytes.data(), 16);
  std::memcpy(&words[2], tuple.remote.address.bytes.data(), 16);
  words[4] = uint64_t{tuple.local.port} << 48 | uint64_t{tuple.remote.port} << 32 | word;
  return sip_hash(key, words);
}

}  // namespace

PacketPort::PacketPort(Options options)
    : device_(std::move(options.device)),
      memory_(std::make_shared<PortMemory>(options.rows)),
      keys_(options.keys),
      flows_(options.keys.flows),
      reassembly_(options.fragments, options.keys.fragments),
      sink_(*device_, memory_->counters),
      segments_(sink_, options.segmentation && device_->virtio_header()),
      packets_(options.rows) {
  set_mtu(options.mtu);
}

int PacketPort::read(std::span<uint8_t> slab, size_t at) {
  count_ = 0;
  if (reassembly_.bytes() > 0) {
    reassembly_.expire(coarse_milliseconds());
    count_lost();
  }
  int error = 0;
  while (count_ < packets_.size() && at + kReadRoom <= slab.size()) {
    const size_t prefix = device_->prefix();
    uint8_t* packet = &slab[at + kInFront];
    const ssize_t got = device_->read(packet - prefix);
    if (got <= 0) {
      error = static_cast<int>(got);
      break;
    }
    ++memory_->counters.received;
    const auto size = static_cast<size_t>(got);
    VirtioNetHeader offload;
    if (prefix > 0) std::memcpy(&offload, packet - prefix, std::min(size, sizeof offload));
    const size_t kept = take(slab, at + kInFront, size > prefix ? size - prefix : 0, prefix > 0 ? &offload : nullptr);
    if (kept > 0) at = aligned(at + kInFront + kept);
  }
  memory_->state.used = static_cast<int32_t>(at);
  return count_ > 0 ? static_cast<int>(count_) : error;
}

// Makes a row of a packet that begins `at`, if it has one. The bytes of it that have to be kept.
size_t PacketPort::take(std::span<uint8_t> slab, size_t at, size_t size, const VirtioNetHeader* offload) {
  const std::span<uint8_t> packet = slab.subspan(at, size);
  int32_t* row = memory_->incoming_row(count_);
  Known& known = packets_[count_];
  Parsed parsed = parse_row(packet, offload, row, known.tuple);
  if (parsed == Parsed::kFragment) parsed = put_together(packet, row, known.tuple);
  if (parsed == Parsed::kDamaged) ++memory_->counters.damaged;
  if (parsed != Parsed::kRow) return 0;
  ++count_;
  row[in::kPacket] = static_cast<int32_t>(at);
  row[in::kPayload] += static_cast<int32_t>(at);
  const bool tcp = row[in::kKind] == kind::kTcp;
  known.protocol = tcp ? kProtocolTcp : row[in::kKind] == kind::kUdp ? kProtocolUdp : uint8_t{0};
  if (known.protocol != 0) row[in::kFlow] = flows_.find(known.protocol, known.tuple);
  // Nobody looks at the bytes of a flow's ACKs.
  if (tcp && row[in::kFlow] >= 0 && row[in::kPayloadSize] == 0) return 0;
  return static_cast<size_t>(row[in::kPacketSize]);
}

// Takes a fragment. When it completes a packet, that stands in its place, where there is room for the largest.
Parsed PacketPort::put_together(std::span<uint8_t> packet, int32_t* row, Tuple& tuple) {
  const auto fragment = parse_fragment(packet, FragmentsOf::kAnything);
  if (!fragment) return Parsed::kDamaged;
  ++memory_->counters.fragments;
  const uint64_t now = coarse_milliseconds();
  const std::span<const uint8_t> whole = reassembly_.take(*fragment, now);
  count_lost();
  if (whole.empty()) return Parsed::kFragment;
  const Parsed parsed = parse_row(whole, nullptr, row, tuple);
  if (parsed == Parsed::kRow) {
    ++memory_->counters.reassembled;
    row[in::kFacts] |= fact::kReassembled;
    std::memcpy(packet.data(), whole.data(), whole.size());
  }
  reassembly_.release();
  if (parsed == Parsed::kRow) return parsed;
  // It may have been put together from two packets: this is the first fragment of the later one then.
  (void)reassembly_.take(*fragment, now);
  count_lost();
  return Parsed::kDamaged;
}

void PacketPort::count_lost() {
  const Reassembly::Lost lost = reassembly_.take_lost();
  memory_->counters.overlapping += lost.overlapping;
  memory_->counters.late_fragments += lost.late;
  memory_->counters.crowded += lost.crowded;
}

int PacketPort::write_segments(size_t count) {
  int refused = 0;
  for (size_t i = 0; i < count; ++i) {
    const int32_t* row = memory_->outgoing_row(i);
    PortFlow* flow = flows_.at(row[out::kFlow]);
    // Linux numbers none but those of connections that are open (net/ipv4/ip_output.c, ip_build_and_send_pkt).
    const bool answers_syn = (row[out::kFlags] & (kSyn | kAck)) == (kSyn | kAck);
    const int error =
        flow ? segments_.write_bare(flow->header, answers_syn ? uint16_t{0} : flow->identification++, row) : -EBADF;
    if (error) ++refused;
  }
  return refused;
}

int64_t PacketPort::write_data(size_t row, ChunkSource& source, size_t size, size_t segment_size) {
  const int32_t* words = memory_->outgoing_row(row);
  PortFlow* flow = flows_.at(words[out::kFlow]);
  return flow ? segments_.write_data(*flow, words, source, size, segment_size) : -EBADF;
}

int PacketPort::answer(size_t index) {
  if (packets_[index].protocol != kProtocolTcp) return -EINVAL;
  return segments_.write_bare(SegmentHeader(packets_[index].tuple), 0, memory_->outgoing_row(0));
}

int PacketPort::attach(uint8_t protocol, const Tuple& tuple) {
  const auto identification = static_cast<uint16_t>(keyed(keys_.identification, tuple, protocol));
  const int32_t flow = flows_.add(protocol, tuple, identification);
  if (flow >= 0) rename(protocol, tuple, flow);
  return flow;
}

int PacketPort::attach_row(size_t index) {
  const Known known = packets_[index];
  return known.protocol == 0 ? -EINVAL : attach(known.protocol, known.tuple);
}

void PacketPort::detach(int32_t flow) {
  const PortFlow* found = flows_.at(flow);
  if (!found) return;
  rename(found->protocol, found->tuple, -1);
  flows_.remove(*found);
}

// Rows of the batch that are not served yet have the flow that their packets are of now.
void PacketPort::rename(uint8_t protocol, const Tuple& tuple, int32_t flow) {
  for (size_t i = 0; i < count_; ++i) {
    if (packets_[i].protocol == protocol && packets_[i].tuple == tuple) memory_->incoming_row(i)[in::kFlow] = flow;
  }
}

int32_t PacketPort::hash(const Tuple& tuple, uint32_t word) const {
  return static_cast<int32_t>(keyed(keys_.hash, tuple, word));
}

// Each pair of hosts has its own count, which nobody else can foresee (RFC 7739 §5.3).
uint32_t PacketPort::next_identification(const Address& local, const Address& remote) {
  return static_cast<uint32_t>(keyed(keys_.identification, {{local, 0}, {remote, 0}}, 0)) + ++identification_;
}

int PacketPort::write_udp(const Tuple& tuple, std::span<const uint8_t> payload, size_t mtu) {
  const auto& [local, remote] = tuple;
  const size_t size = udp::kHeader + payload.size();
  if (size > UINT16_MAX) return -EMSGSIZE;
  uint8_t header[udp::kHeader];
  write16(header + udp::kSourcePort, local.port);
  write16(header + udp::kDestinationPort, remote.port);
  write16(header + udp::kLength, static_cast<uint16_t>(size));
  ChecksumSum sum;
  sum.add_word(pseudo_header_sum(local.address, remote.address, kProtocolUdp));
  sum.add_word(__builtin_bswap16(static_cast<uint16_t>(size)));
  const uint16_t pseudo = sum.folded();
  std::memcpy(header + udp::kChecksum, &pseudo, sizeof pseudo);
  return write_datagram(sink_,
                        {.source = local.address,
                         .destination = remote.address,
                         .protocol = kProtocolUdp,
                         .hop_limit = kHopLimit,
                         .identification = next_identification(local.address, remote.address),
                         .head = header,
                         .payload = payload,
                         .checksum_at = udp::kChecksum},
                        mtu);
}

int PacketPort::write_packet(const Packet& packet) {
  std::span<const uint8_t> payload = packet.payload;
  if (payload.size() > kMaxPacket) return -EMSGSIZE;
  if (packet.checksum_at != PacketSink::kNoChecksum) {
    scratch_.assign(payload.begin(), payload.end());
    payload = scratch_;
    ChecksumSum sum;
    if (packet.protocol == kProtocolTcp || packet.protocol == kProtocolUdp || packet.protocol == icmp::kProtocol6) {
      sum.add_word(pseudo_header_sum(packet.local, packet.remote, packet.protocol));
      sum.add_word(__builtin_bswap16(static_cast<uint16_t>(payload.size())));
    }
    const uint16_t start = sum.folded();
    std::memcpy(&scratch_[packet.checksum_at], &start, sizeof start);
    complete_checksum(scratch_, {}, packet.checksum_at);
  }
  return write_datagram(sink_,
                        {.source = packet.local,
                         .destination = packet.remote,
                         .protocol = packet.protocol,
                         .hop_limit = packet.hop_limit,
                         .identification = next_identification(packet.local, packet.remote),
                         .head = {},
                         .payload = payload},
                        mtu());
}

}  // namespace guise
