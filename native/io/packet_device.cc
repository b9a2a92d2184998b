#include "io/packet_device.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/clock.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

namespace guise {
namespace {

// That of a packet which may be cut (RFC 6864): all of a host's share the numbers, so that two to one peer differ.
// Never 0: a raw socket would make up another for each fragment (raw(7)).
uint16_t next_identification() {
  static std::atomic<uint16_t> last{static_cast<uint16_t>(coarse_milliseconds())};
  const uint16_t next = last.fetch_add(1, std::memory_order_relaxed);
  return next != 0 ? next : last.fetch_add(1, std::memory_order_relaxed);
}

// Makes the IP header of a packet that of a fragment.
void write_ipv4_fragment(uint8_t* ip, uint16_t identification, size_t offset, bool more, size_t data_size) {
  write16(ip + ipv4::kTotalLength, static_cast<uint16_t>(ipv4::kHeader + data_size));
  write16(ip + ipv4::kIdentification, identification);
  write16(ip + ipv4::kFragment, static_cast<uint16_t>(offset / 8 | (more ? ipv4::kMoreFragments : 0)));
  std::memset(ip + ipv4::kChecksum, 0, 2);
  ChecksumSum sum;
  sum.add(ip, ipv4::kHeader);
  const uint16_t checksum = sum.checksum();
  std::memcpy(ip + ipv4::kChecksum, &checksum, 2);
}

}  // namespace

VirtioNetHeader PacketDevice::Outgoing::offload(size_t in_front) const {
  VirtioNetHeader offload;
  if (is_fragment) return offload;
  offload.flags = VirtioNetHeader::kNeedsChecksum;
  offload.checksum_start = static_cast<uint16_t>(in_front + ip_size());
  offload.checksum_offset = tcp::kChecksum;
  if (segment_size > 0) {
    offload.gso_type = ip_size() == ipv4::kHeader ? VirtioNetHeader::kGsoTcp4 : VirtioNetHeader::kGsoTcp6;
    offload.gso_size = static_cast<uint16_t>(segment_size);
    offload.header_length = static_cast<uint16_t>(in_front + header_size);
  }
  return offload;
}

void PacketDevice::Outgoing::complete_checksum() const {
  if (is_fragment) return;
  uint8_t* segment = ip + ip_size();
  ChecksumSum sum;
  sum.add(segment, header_size - ip_size());  // the field holds the pseudo-header sum: adding it is what is wanted
  size_t offset = 0;
  for (size_t i = 1; i < vector_count; ++i) {
    sum.add_at(offset, static_cast<const uint8_t*>(vectors[i].iov_base), vectors[i].iov_len);
    offset += vectors[i].iov_len;
  }
  const uint16_t checksum = sum.checksum();
  std::memcpy(segment + tcp::kChecksum, &checksum, 2);
}

Written PacketDevice::write_segment(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                    std::span<const uint8_t> options, std::span<const uint8_t> payload) {
  Written written;
  written.error = write_one(way, header, seq, ack, flags, options, payload, written);
  written.refused = written.error ? 1 : 0;
  return written;
}

Written PacketDevice::write_run(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, bool push,
                                SegmentRun& run) {
  const uint8_t last_flags = push ? kAck | kPsh : kAck;
  Written written;
  if (run.segments() == 1 || (segmentation_.load(std::memory_order_relaxed) && cuts(way))) {
    uint8_t headers[kRoom + kMaxHeaders];
    const size_t size = header.write(headers + kRoom, seq, ack, last_flags, {}, run.bytes());
    iovec vectors[65];
    std::memcpy(vectors + 1, run.vectors(), run.vector_count() * sizeof(iovec));
    written.error = write({.way = way,
                           .header = header,
                           .ip = headers + kRoom,
                           .header_size = size,
                           .vectors = vectors,
                           .vector_count = run.vector_count() + 1,
                           .segment_size = run.segments() > 1 ? run.segment_size() : 0});
    written.writes = 1;
    if (written.error == 0) return written;
    if (is_lost(way, written.error)) {
      written.way_lost = true;
      way = {};
    } else if (written.error == -EINVAL && run.segments() > 1) {
      // Some kernels refuse super-segments on a TUN (6.6.44 and other stables): cut them here from now on.
      written.fell_back = segmentation_.exchange(false, std::memory_order_relaxed);
    } else {
      written.refused = static_cast<uint32_t>(run.segments());
      return written;
    }
    written.error = 0;
  }
  size_t left = run.segments();
  run.each([&](std::span<const uint8_t> datagram) {
    const int error = write_one(way, header, seq, ack, --left == 0 ? last_flags : kAck, {}, datagram, written);
    if (error) {
      written.error = error;
      ++written.refused;
    }
    seq += static_cast<uint32_t>(datagram.size());
  });
  return written;
}

template <typename Make>
int PacketDevice::write_or_reroute(Way& way, Written& written, Make make) {
  for (;;) {
    const int error = write(make(way));
    ++written.writes;
    if (error == 0 || !is_lost(way, error)) return error;
    written.way_lost = true;
    way = {};
  }
}

// 0 or -errno. `way` is not known any more when it has turned out to be lost.
int PacketDevice::write_one(Way& way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                            std::span<const uint8_t> options, std::span<const uint8_t> payload, Written& written) {
  uint8_t headers[kRoom + kMaxHeaders];
  iovec vectors[2];
  return write_or_reroute(way, written, [&](Way by) {
    vectors[1] = {const_cast<uint8_t*>(payload.data()), payload.size()};
    const size_t size = header.write(headers + kRoom, seq, ack, flags, options, payload.size());
    return Outgoing{.way = by,
                    .header = header,
                    .ip = headers + kRoom,
                    .header_size = size,
                    .vectors = vectors,
                    .vector_count = payload.empty() ? 1u : 2u,
                    .segment_size = 0};
  });
}

Written PacketDevice::write_fragments(Way way, const SegmentHeader& header, uint32_t seq, uint32_t ack, uint8_t flags,
                                      std::span<const uint8_t> payload, size_t mtu) {
  uint8_t whole[kMaxHeaders];
  const size_t size = header.write(whole, seq, ack, flags, {}, payload.size());
  iovec vectors[2] = {{}, {const_cast<uint8_t*>(payload.data()), payload.size()}};
  Outgoing segment{.way = {},
                   .header = header,
                   .ip = whole,
                   .header_size = size,
                   .vectors = vectors,
                   .vector_count = 2,
                   .segment_size = 0};
  segment.complete_checksum();

  // In units of 8 bytes; the first has the TCP header, too.
  const size_t most = (mtu - ipv4::kHeader) & ~size_t{7};
  const uint16_t identification = next_identification();
  const size_t data_size = tcp::kHeader + payload.size();
  Written written;
  for (size_t begin = 0; begin < data_size; begin += most) {
    const size_t end = std::min(begin + most, data_size);
    const size_t tcp_size = begin == 0 ? tcp::kHeader : 0;
    const size_t from = begin == 0 ? 0 : begin - tcp::kHeader;
    const std::span<const uint8_t> part = payload.subspan(from, end - tcp::kHeader - from);
    uint8_t headers[kRoom + kMaxHeaders];
    const int error = write_or_reroute(way, written, [&](Way by) {
      std::memcpy(headers + kRoom, whole, ipv4::kHeader + tcp_size);
      write_ipv4_fragment(headers + kRoom, identification, begin, end < data_size, end - begin);
      vectors[1] = {const_cast<uint8_t*>(part.data()), part.size()};
      segment.way = by;
      segment.ip = headers + kRoom;
      segment.header_size = ipv4::kHeader + tcp_size;
      segment.is_fragment = true;
      return segment;
    });
    if (error == 0) continue;
    written.error = error;
    written.refused = 1;
    return written;
  }
  return written;
}

}  // namespace guise
