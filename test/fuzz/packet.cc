// The packet parser on arbitrary bytes, and those of ICMP errors and notes. What it accepts is written again, in every
// way that the data plane writes, and has to come back the same.
//
// Input: a byte of switches; a VirtioNetHeader, if they say so; the packet.
#include <sys/socket.h>

#include <vector>

#include "../support/icmp.h"
#include "../support/require.h"
#include "input.h"
#include "io/descriptor_device.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/note.h"
#include "wire/reassembly.h"

using namespace guise;

namespace {

enum : uint8_t { kVirtio = 1, kMendLengths = 2, kMendChecksums = 4 };

// A device and its other end.
struct Wire {
  Wire(bool virtio_header) : Wire(pair(), virtio_header) {}

  [[nodiscard]] size_t prefix() const { return virtio_header_ ? sizeof(VirtioNetHeader) : 0; }

  // The next packet, without its VirtioNetHeader.
  std::span<const uint8_t> next(VirtioNetHeader& offload) {
    const size_t prefix = this->prefix();
    const ssize_t got = ::recv(other.get(), buffer.data(), buffer.size(), 0);
    REQUIRE(got > static_cast<ssize_t>(prefix));
    std::memcpy(&offload, buffer.data(), prefix);
    return std::span<const uint8_t>(buffer).subspan(prefix, static_cast<size_t>(got) - prefix);
  }

  DescriptorDevice device;
  UniqueFd other;
  std::vector<uint8_t> buffer = std::vector<uint8_t>(sizeof(VirtioNetHeader) + kMaxPacket);

 private:
  struct Pair {
    UniqueFd here, there;
  };
  static Pair pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
  Wire(Pair fds, bool virtio_header)
      : device(std::move(fds.here), virtio_header, virtio_header, {1, kLargestRead}),
        other(std::move(fds.there)),
        virtio_header_(virtio_header) {}

  const bool virtio_header_;
};

bool same(std::span<const uint8_t> a, std::span<const uint8_t> b) { return std::ranges::equal(a, b); }

// So that most mutations get past the checks that a sender of garbage passes just as easily.
void mend(std::vector<uint8_t>& packet, uint8_t switches) {
  const size_t ip_size = packet.empty() || packet[0] >> 4 == 6 ? 40 : (packet[0] & 0x0f) * 4u;
  if (ip_size < 20 || packet.size() < ip_size + 20) return;
  const bool v4 = ip_size != 40 || packet[0] >> 4 == 4;
  const auto tcp_size = static_cast<uint16_t>(packet.size() - ip_size);
  uint8_t* tcp = packet.data() + ip_size;
  if (switches & kMendLengths) {
    if (v4)
      write16(&packet[2], static_cast<uint16_t>(packet.size()));
    else
      write16(&packet[4], tcp_size);
  }
  if (!(switches & kMendChecksums)) return;
  const bool errors = packet[v4 ? ipv4::kProtocol : ipv6::kNextHeader] == (v4 ? icmp::kProtocol4 : icmp::kProtocol6);
  if (errors && packet[0] >> 4 == (v4 ? 4 : 6)) return mend_icmp(packet);
  ChecksumSum pseudo;
  if (v4) {
    std::memset(&packet[10], 0, 2);
    ChecksumSum ip;
    ip.add(packet.data(), ip_size);
    const uint16_t checksum = ip.checksum();
    std::memcpy(&packet[10], &checksum, 2);
    pseudo.add(&packet[12], 8);
  } else {
    pseudo.add(&packet[8], 32);
  }
  pseudo.add_word(__builtin_bswap16(6));
  pseudo.add_word(__builtin_bswap16(tcp_size));
  std::memset(tcp + 16, 0, 2);
  pseudo.add(tcp, tcp_size);
  const uint16_t checksum = pseudo.checksum();
  std::memcpy(tcp + 16, &checksum, 2);
}

void check_view(std::span<const uint8_t> packet, const SegmentView& view) {
  REQUIRE(view.options.size() <= 40 && view.options.size() % 4 == 0);
  REQUIRE(view.options.data() >= packet.data() + 40);
  REQUIRE(view.options.data() + view.options.size() == view.payload.data());
  REQUIRE(view.payload.data() + view.payload.size() <= packet.data() + packet.size());
  REQUIRE(view.segment_size <= view.payload.size());
  REQUIRE(view.segment_size > 0 || view.payload.empty());
  REQUIRE(view.tuple.local.address.is_v4() == (packet[0] >> 4 == 4));
  REQUIRE(view.tuple.remote.address.is_v4() == (packet[0] >> 4 == 4));
}

// The next packet on the wire has these numbers and this payload; returns how it is cut.
size_t expect(Wire& wire, const SegmentView& wanted) {
  VirtioNetHeader offload;
  const auto packet = wire.next(offload);
  const bool prefixed = wire.prefix() > 0;
  SegmentView view;
  REQUIRE(parse_segment(packet, prefixed ? &offload : nullptr, view) == ParseError::kNone);
  check_view(packet, view);
  REQUIRE(view.tuple == wanted.tuple);
  REQUIRE(view.seq == wanted.seq && view.ack == wanted.ack && view.flags == wanted.flags);
  REQUIRE(same(view.options, wanted.options));
  REQUIRE(same(view.payload, wanted.payload));
  if (prefixed) {
    // What a kernel wants that is to complete the checksum, and to cut.
    REQUIRE(offload.flags == VirtioNetHeader::kNeedsChecksum);
    REQUIRE(offload.checksum_start + offload.checksum_offset + 2u <= packet.size());
    REQUIRE((offload.gso_type == VirtioNetHeader::kGsoNone) == (offload.gso_size == 0));
  }
  return view.segment_size;
}

void check_segment(Wire& wire, const SegmentHeader& header, const SegmentView& view) {
  REQUIRE(wire.device.write_segment({}, header, view.seq, view.ack, view.flags, view.options, view.payload).error == 0);
  REQUIRE(expect(wire, view) == view.payload.size());
}

void check_run(Wire& wire, const SegmentHeader& header, SegmentView view) {
  SegmentRun run(64, kMaxPacket - header.size());
  if (run.add(view.payload.data(), view.payload.size(), view.segment_size) < view.payload.size()) return;
  REQUIRE(wire.device.write_run({}, header, view.seq, view.ack, true, run).error == 0);
  view.flags = kAck | kPsh;
  view.options = {};
  if (wire.prefix() > 0) {
    REQUIRE(expect(wire, view) == view.segment_size);
    return;
  }
  for (auto left = view.payload; !left.empty(); left = left.subspan(view.payload.size())) {
    view.payload = left.first(std::min(view.segment_size, left.size()));
    view.flags = view.payload.size() == left.size() ? kAck | kPsh : kAck;
    REQUIRE(expect(wire, view) == view.payload.size());
    view.seq += static_cast<uint32_t>(view.payload.size());
  }
}

// In fragments of what a path of any size carries; put together they are the segment.
void check_fragments(Wire& wire, const SegmentHeader& header, const SegmentView& view, size_t mtu) {
  // More of them than the wire holds at once tell nothing new.
  if (header.ip_size() != ipv4::kHeader || view.payload.empty() || view.payload.size() / mtu >= 50) return;
  REQUIRE(wire.device.write_fragments({}, header, view.seq, view.ack, view.flags, view.payload, mtu).error == 0);
  Reassembly reassembly({.bytes = 1 << 20, .fragments = 200, .wait4 = 1, .wait6 = 1}, 1);
  std::span<const uint8_t> whole;
  do {
    VirtioNetHeader offload;
    const auto packet = wire.next(offload);
    REQUIRE(packet.size() <= mtu && offload.flags == 0 && offload.gso_type == VirtioNetHeader::kGsoNone);
    if (!(read16(&packet[ipv4::kFragment]) & ipv4::kMoreOrOffset)) {
      whole = packet;
      break;
    }
    const auto fragment = parse_fragment(packet);
    REQUIRE(fragment.has_value());
    whole = reassembly.take(*fragment, 0);
  } while (whole.empty());
  SegmentView joined;
  REQUIRE(parse_segment(whole, nullptr, joined) == ParseError::kNone);
  REQUIRE(joined.tuple == view.tuple && joined.seq == view.seq && joined.ack == view.ack && joined.flags == view.flags);
  REQUIRE(same(joined.payload, view.payload));
}

// An error says something of a segment that we could have sent.
void check_icmp(std::span<const uint8_t> packet, const VirtioNetHeader* offload) {
  const auto error = parse_icmp_error(packet, offload);
  if (!error) return;
  SegmentView view;
  REQUIRE(parse_segment(packet, offload, view) == ParseError::kNotTcp);
  const bool v4 = packet[0] >> 4 == 4;
  REQUIRE(error->from.is_v4() == v4);
  REQUIRE(error->tuple.local.address.is_v4() == v4 && error->tuple.remote.address.is_v4() == v4);
  REQUIRE(error->kind == IcmpError::Kind::kTooBig || error->mtu == 0);
}

// What is read as a note is written the same, under its nonce.
void check_note(std::span<const uint8_t> payload) {
  const auto note = read_note(payload);
  if (!note) return;
  uint8_t again[Note::kSize];
  write_note(again, *note, read_at<uint64_t>(&payload[8]));
  const auto second = read_note(again);
  REQUIRE(second && second->type == note->type && second->size == note->size && second->token == note->token);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Wire plain(false), offloaded(true);

  Input input(data, size);
  const uint8_t switches = input.byte();
  const auto offload = switches & kVirtio ? input.value<VirtioNetHeader>() : VirtioNetHeader{};
  const auto rest = input.rest();
  std::vector<uint8_t> packet(rest.begin(), rest.end());
  mend(packet, switches);

  const VirtioNetHeader* with = switches & kVirtio ? &offload : nullptr;
  check_note(packet);
  check_icmp(packet, with);
  SegmentView view;
  if (parse_segment(packet, with, view) != ParseError::kNone) return 0;
  check_view(packet, view);
  const SegmentHeader header({view.tuple.remote, view.tuple.local});
  for (Wire* wire : {&plain, &offloaded}) {
    check_segment(*wire, header, view);
    if (!view.payload.empty()) check_run(*wire, header, view);
    check_fragments(*wire, header, view, 68 + (switches >> 3) * size_t{47});
  }
  return 0;
}
