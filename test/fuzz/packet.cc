// The packet parser on arbitrary bytes. What it accepts is written again, in every way that the data plane writes, and
// has to come back the same.
//
// Input: a byte of switches; a VirtioNetHeader, if they say so; the packet.
#include <sys/socket.h>

#include <vector>

#include "../support/require.h"
#include "input.h"
#include "io/descriptor_device.h"
#include "wire/bytes.h"
#include "wire/checksum.h"

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Wire plain(false), offloaded(true);

  Input input(data, size);
  const uint8_t switches = input.byte();
  const auto offload = switches & kVirtio ? input.value<VirtioNetHeader>() : VirtioNetHeader{};
  const auto rest = input.rest();
  std::vector<uint8_t> packet(rest.begin(), rest.end());
  mend(packet, switches);

  SegmentView view;
  if (parse_segment(packet, switches & kVirtio ? &offload : nullptr, view) != ParseError::kNone) return 0;
  check_view(packet, view);
  const SegmentHeader header({view.tuple.remote, view.tuple.local});
  for (Wire* wire : {&plain, &offloaded}) {
    check_segment(*wire, header, view);
    if (!view.payload.empty()) check_run(*wire, header, view);
  }
  return 0;
}
