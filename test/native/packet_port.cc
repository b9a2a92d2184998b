// What a packet port writes, its flows and its batches; built with AddressSanitizer and UBSan.
#include "netstack/packet_port.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <random>

#include "../support/port_rig.h"
#include "check.h"
#include "netstack/row_parser.h"

namespace {

size_t allocations = 0;

}  // namespace

// Not inlined: g++ would see free() meet what operator new has given.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

using namespace guise;
using namespace guise::row;
using rig::Bytes;

namespace {

std::mt19937 random_source(20261127);

constexpr uint8_t kUrg = 0x20;
constexpr int32_t kAllOptions = option::kMss | option::kScale | option::kSackPermitted | option::kTimestamps;

// A port with a flow, whose rows that leave are of it.
struct Sender : rig::Port {
  explicit Sender(bool v4, bool virtio_header = false, bool segmentation = false)
      : Port(virtio_header, segmentation), tuple(rig::tuple_of(v4)), flow(port->attach(kProtocolTcp, tuple)) {
    set(kAck);
  }

  void set(uint8_t flags, int32_t options = 0, int32_t ecn = 0, size_t index = 0) {
    int32_t* row = out(index);
    row[out::kFlow] = flow;
    row[out::kSeq] = static_cast<int32_t>(0xfffffff0);
    row[out::kAck] = 0x01020304;
    row[out::kFlags] = flags | ecn << kEcnShift;
    row[out::kWindow] = 0xbeef;
    row[out::kOptions] = options;
    row[out::kMss] = 1460 | 9 << kScaleShift;
    row[out::kTimestamp] = 77;
    row[out::kTimestampEcho] = -78;
    for (int32_t i = 0; i < 8; ++i) row[out::kSack + static_cast<size_t>(i)] = 1000 + i;
  }

  int64_t send(const std::vector<Bytes>& chunks, size_t size, size_t segment_size) {
    rig::Chunks source(chunks);
    return port->write_data(0, source, size, segment_size);
  }

  const Tuple tuple;
  const int32_t flow;
};

// Reads at the other end what was written, and compares it with the row that it was written by.
bool same_as_written(rig::Port& receiver, const Bytes& packet, const VirtioNetHeader& offload, const int32_t* sent,
                     uint32_t seq, uint8_t flags, std::span<const uint8_t> payload) {
  const int32_t* row = receiver.read(packet, offload);
  if (!row || row[in::kKind] != kind::kTcp) return false;
  const int32_t options = sent[out::kOptions];
  const auto blocks = static_cast<size_t>(options >> option::kSackCountShift);
  bool same = row[in::kSeq] == static_cast<int32_t>(seq) && row[in::kAck] == sent[out::kAck] &&
              row[in::kFlags] == flags && row[in::kWindow] == sent[out::kWindow] && row[in::kOptions] == options &&
              (row[in::kFacts] & fact::kEcnMask) == sent[out::kFlags] >> kEcnShift &&
              (row[in::kFacts] >> fact::kHopLimitShift) == 64 && std::ranges::equal(receiver.payload(row), payload);
  if (options & option::kMss) same &= (row[in::kMss] & 0xffff) == (sent[out::kMss] & 0xffff);
  if (options & option::kScale) same &= row[in::kMss] >> kScaleShift == sent[out::kMss] >> kScaleShift;
  if (options & option::kTimestamps) {
    same &= row[in::kTimestamp] == sent[out::kTimestamp] && row[in::kTimestampEcho] == sent[out::kTimestampEcho];
  }
  for (size_t i = 0; i < 2 * blocks; ++i) same &= row[in::kSack + i] == sent[out::kSack + i];
  return same;
}

void segment_tests() {
  test("a segment is written with each set of options, and read the same", [] {
    for (const bool v4 : {true, false}) {
      for (const bool virtio : {true, false}) {
        Sender sender(v4, virtio);
        rig::Port receiver(virtio);
        for (int32_t options = 0; options <= kAllOptions; ++options) {
          for (int32_t blocks = 0; blocks <= 4; ++blocks) {
            // Beside all others there is room for fewer blocks.
            const int32_t used = (options & option::kMss ? 4 : 0) + (options & option::kScale ? 4 : 0) +
                                 (options & option::kTimestamps      ? 12
                                  : options & option::kSackPermitted ? 4
                                                                     : 0);
            const int32_t fit = std::min(blocks, (40 - used - 4) / 8);
            sender.set(kSyn | kAck | kUrg, options | blocks << option::kSackCountShift, (options + blocks) % 4);
            CHECK(sender.port->write_segments(1) == 0);
            sender.out()[out::kOptions] = options | fit << option::kSackCountShift;
            CHECK(same_as_written(receiver, sender.device->written.back(), sender.device->offloads.back(), sender.out(),
                                  0xfffffff0, kSyn | kAck | kUrg, {}));
          }
        }
        CHECK(sender.counters().sent == 80 && sender.counters().refused == 0);
      }
    }
  });

  test("a SYN looks as Linux's does: order of options, identification", [] {
    Sender sender(true);
    sender.set(kSyn, kAllOptions);
    CHECK(sender.port->write_segments(1) == 0);
    const Bytes& syn = sender.device->written[0];
    CHECK(std::ranges::equal(std::span(syn).subspan(40),
                             Bytes{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 77, 255, 255, 255, 178, 1, 3, 3, 9}));
    CHECK(read16(&syn[ipv4::kFragment]) == ipv4::kDontFragment);
    sender.set(kAck, 0, 0, 0);
    sender.set(kAck, 0, 0, 1);
    CHECK(sender.port->write_segments(2) == 0);
    const auto id = [&](size_t i) { return read16(&sender.device->written[i][ipv4::kIdentification]); };
    CHECK(static_cast<uint16_t>(id(1) - id(0)) == 1 && static_cast<uint16_t>(id(2) - id(1)) == 1);
    sender.set(kSyn | kAck);
    CHECK(sender.port->write_segments(1) == 0 && id(3) == 0);
  });

  test("rows of no flow, and segments that the device refuses, are told and counted", [] {
    Sender sender(true);
    sender.set(kAck, 0, 0, 1);
    sender.set(kAck, 0, 0, 2);
    sender.out(1)[out::kFlow] = 5;
    CHECK(sender.port->write_segments(3) == 1 && sender.device->written.size() == 2);
    sender.device->refuses = [](const VirtioNetHeader&) { return -ENOBUFS; };
    CHECK(sender.port->write_segments(1) == 1 && sender.counters().refused == 1);
    CHECK(sender.send({Bytes(10)}, 10, 10) == -ENOBUFS && sender.counters().refused == 2);
    sender.out()[out::kFlow] = -1;
    CHECK(sender.send({Bytes(10)}, 10, 10) == -EBADF);
  });

  test("a segment of no flow is answered with its tuple turned round", [] {
    for (const bool v4 : {true, false}) {
      Sender sender(v4);
      rig::Port other;
      sender.port->detach(sender.flow);
      CHECK(sender.read(rig::packet_of(sender.tuple, kProtocolTcp, rig::tcp_of({}, {}))));
      sender.set(kRst, 0);
      CHECK(sender.port->answer(0) == 0);
      const int32_t* row = other.read(sender.device->written[0]);
      CHECK(row && row[in::kFlags] == kRst && static_cast<uint32_t>(row[in::kPorts]) == (50'000u << 16 | 443));
      CHECK(sender.read(rig::packet_of(sender.tuple, kProtocolUdp, rig::udp_of({}))) &&
            sender.port->answer(0) == -EINVAL);
    }
  });
}

void data_tests() {
  test("payload is cut as it is asked for, whatever its chunks, and its flags stand where they belong", [] {
    const Bytes all = rig::random_bytes(300'000);
    for (int round = 0; round < 300; ++round) {
      const bool v4 = round & 1, virtio = round & 2, segmentation = round & 4;
      Sender sender(v4, virtio, segmentation);
      rig::Port receiver(virtio);
      const size_t segment_size = round % 5 == 0 ? 1 + random_source() % 9000 : 1448;
      const size_t size = 1 + random_source() % (round % 7 == 0 ? 300'000 : 20'000);
      std::vector<Bytes> chunks;
      const size_t largest = round % 3 == 0 ? 100 : 10'000;
      for (size_t at = 0; at < size;) {
        const size_t part = std::min(random_source() % largest, size - at);
        chunks.emplace_back(all.begin() + static_cast<ptrdiff_t>(at), all.begin() + static_cast<ptrdiff_t>(at + part));
        at += part;
      }
      const uint8_t flags = kAck | kPsh | kFin | kCwr;
      sender.set(flags, option::kTimestamps | 2 << option::kSackCountShift, 2);
      CHECK(sender.send(chunks, size, segment_size) == static_cast<int64_t>(size));
      size_t at = 0, writes = 0;
      for (const Bytes& packet : sender.device->written) {
        const VirtioNetHeader& offload = sender.device->offloads[writes++];
        const size_t headers = (v4 ? 20 : 40) + 20 + 32;
        const size_t payload = packet.size() - headers;
        const bool merged = payload > segment_size;
        const bool last = at + payload == size;
        CHECK(last || payload % segment_size == 0);
        CHECK(!merged ||
              (virtio && segmentation && offload.gso_size == segment_size && offload.header_length == headers));
        CHECK(offload.gso_type == (!merged ? 0 : (v4 ? 1 : 4) | (at == 0 ? 0x80 : 0)));
        const uint8_t expected = flags & ~(at == 0 ? 0 : kCwr) & ~(last ? 0 : kFin | kPsh);
        CHECK(same_as_written(receiver, packet, offload, sender.out(), 0xfffffff0 + static_cast<uint32_t>(at), expected,
                              std::span(all).subspan(at, payload)));
        at += payload;
      }
      CHECK(at == size);
      const size_t most = (65'535 - 92) / segment_size * segment_size;
      CHECK(!virtio || !segmentation || writes <= size / most + 1);
    }
  });

  test("a kernel that refuses super-segments gets segments, of which none is missing", [] {
    Sender sender(true, true, true);
    sender.device->refuses = [](const VirtioNetHeader& offload) { return offload.gso_size ? -EINVAL : 0; };
    CHECK(sender.send({rig::random_bytes(10'000)}, 10'000, 1000) == 10'000);
    CHECK(sender.device->written.size() == 10 && sender.counters().segmentation_fallbacks == 1);
    CHECK(sender.send({rig::random_bytes(10'000)}, 10'000, 1000) == 10'000);
    CHECK(sender.counters().segmentation_fallbacks == 1 && sender.counters().refused == 0);
  });

  test("what leaves before the device refuses is told of", [] {
    Sender sender(true);
    sender.device->refuses = [&](const VirtioNetHeader&) { return sender.device->written.size() == 3 ? -EAGAIN : 0; };
    CHECK(sender.send({Bytes(10'000)}, 10'000, 1000) == 3000 && sender.counters().refused == 1);
  });

  test("less payload than is asked for, and segments that no packet holds, are errors", [] {
    Sender sender(true);
    CHECK(sender.send({Bytes(100), Bytes(50)}, 151, 1000) == -EINVAL);
    CHECK(sender.send({Bytes(65'535)}, 65'535, 65'535) == -EMSGSIZE);
    CHECK(sender.send({Bytes(65'495)}, 65'495, 65'495) == 65'495);
    CHECK(sender.device->written.size() == 1 && sender.device->written[0].size() == kMaxPacket);
  });
}

void datagram_tests() {
  test("datagrams of any size are written for any MTU, and read whole", [] {
    for (const bool v4 : {true, false}) {
      for (const bool virtio : {true, false}) {
        rig::Port sender(virtio), receiver(virtio);
        const auto tuple = rig::tuple_of(v4);
        const size_t largest = v4 ? 65'507 : 65'487;
        for (int round = 0; round < 200; ++round) {
          const size_t mtu = round % 2 ? 1500 : 600 + random_source() % 9000;
          const size_t size = round == 0 ? largest : random_source() % (round % 4 ? 4000 : largest);
          const Bytes payload = rig::random_bytes(size);
          sender.device->written.clear();
          sender.device->offloads.clear();
          CHECK(sender.port->write_udp(tuple, payload, mtu) == 0);
          const int32_t* row = nullptr;
          for (size_t i = 0; i < sender.device->written.size(); ++i) {
            CHECK(sender.device->written[i].size() <= mtu && !row);
            row = receiver.read(sender.device->written[i], sender.device->offloads[i]);
          }
          CHECK(row && row[in::kKind] == kind::kUdp && std::ranges::equal(receiver.payload(row), payload));
          CHECK(row && static_cast<uint32_t>(row[in::kPorts]) == (50'000u << 16 | 443));
        }
        CHECK(receiver.counters().damaged == 0 && receiver.counters().reassembled > 50);
        CHECK(sender.port->write_udp(tuple, Bytes(v4 ? 65'508 : 65'528), 1500) == -EMSGSIZE);
        CHECK(sender.port->write_udp(tuple, Bytes(100), 68) == 0);
      }
    }
  });

  test("a UDP checksum that is 0 is written as the other 0", [] {
    rig::Port sender, receiver;
    const auto tuple = rig::tuple_of(true);
    for (uint32_t i = 0; i < 0x10000; ++i) {
      const Bytes payload = {static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
      sender.device->written.clear();
      CHECK(sender.port->write_udp(tuple, payload, 1500) == 0);
      CHECK(read16(&sender.device->written[0][20 + udp::kChecksum]) != 0);
    }
  });

  test("messages are written with their checksum, in fragments too", [] {
    for (const bool v4 : {true, false}) {
      rig::Port sender, receiver;
      const auto tuple = rig::tuple_of(v4);
      const uint8_t protocol = v4 ? icmp::kProtocol4 : icmp::kProtocol6;
      for (const size_t size : {8, 9, 1400, 5001}) {
        Bytes message = rig::random_bytes(size);
        const PacketPort::Packet packet{.protocol = protocol,
                                        .local = tuple.local.address,
                                        .remote = tuple.remote.address,
                                        .payload = message,
                                        .hop_limit = 7,
                                        .checksum_at = icmp::kChecksum};
        sender.device->written.clear();
        CHECK(sender.port->write_packet(packet) == 0);
        const int32_t* row = nullptr;
        for (const Bytes& part : sender.device->written) row = receiver.read(part);
        CHECK(row && row[in::kKind] == kind::kIcmp && row[in::kPayloadSize] == static_cast<int32_t>(size));
        CHECK(row && row[in::kFacts] >> fact::kHopLimitShift == 7);
        if (row) CHECK(std::ranges::equal(receiver.payload(row).subspan(4), std::span(message).subspan(4)));
      }
      CHECK(receiver.counters().damaged == 0);
    }
  });

  test("identifications of fragments differ, by pair of hosts and one after the other", [] {
    rig::Port sender;
    for (int i = 0; i < 3; ++i) CHECK(sender.port->write_udp(rig::tuple_of(true), Bytes(2000), 1500) == 0);
    const auto id = [&](size_t i) { return read16(&sender.device->written[i][ipv4::kIdentification]); };
    CHECK(id(0) == id(1) && id(2) == id(3) && static_cast<uint16_t>(id(2) - id(0)) == 1 && id(4) != id(2));
  });
}

void flow_tests() {
  test("flows have numbers that are free, and packets have theirs", [] {
    rig::Port port;
    Tuple tuple = rig::tuple_of(true);
    std::vector<int32_t> flows;
    for (uint16_t i = 0; i < 1000; ++i) {
      tuple.remote.port = i;
      flows.push_back(port.port->attach(i % 2 ? kProtocolTcp : kProtocolUdp, tuple));
      CHECK(flows.back() == i && port.port->attach(i % 2 ? kProtocolTcp : kProtocolUdp, tuple) == -1);
    }
    tuple.remote.port = 50'000;
    const int32_t tcp = port.port->attach(kProtocolTcp, tuple), udp = port.port->attach(kProtocolUdp, tuple);
    CHECK(tcp == 1000 && udp == 1001);
    const Bytes segment = rig::packet_of(tuple, kProtocolTcp, rig::tcp_of({}, {1}));
    const Bytes datagram = rig::packet_of(tuple, kProtocolUdp, rig::udp_of({1}));
    CHECK(port.read(segment)[in::kFlow] == tcp && port.read(datagram)[in::kFlow] == udp);
    port.port->detach(tcp);
    port.port->detach(tcp);
    port.port->detach(-1);
    port.port->detach(70'000);
    CHECK(port.read(segment)[in::kFlow] == -1 && port.read(datagram)[in::kFlow] == udp);
    CHECK(port.port->attach_row(0) == -1);
    CHECK(port.read(segment) && port.port->attach_row(0) == tcp && port.row(0)[in::kFlow] == tcp);
    CHECK(port.read(rig::packet_of(tuple, icmp::kProtocol4, Bytes(8))) && port.port->attach_row(0) == -EINVAL);
  });

  test("rows of a batch that wait have the flow of now", [] {
    rig::Port port;
    const Tuple tuple = rig::tuple_of(false);
    const Bytes segment = rig::packet_of(tuple, kProtocolTcp, rig::tcp_of({}, {1}));
    const Bytes other = rig::packet_of(tuple, kProtocolUdp, rig::udp_of({1}));
    port.slab.resize(PacketPort::kReadRoom * 2);
    for (const Bytes& each : {segment, other, segment}) port.device->incoming.push_back(each);
    CHECK(port.port->read(port.slab, 0) == 3);
    const auto flows = [&] {
      return std::array{port.row(0)[in::kFlow], port.row(1)[in::kFlow], port.row(2)[in::kFlow]};
    };
    CHECK((flows() == std::array{-1, -1, -1}) && port.port->attach_row(0) == 0);
    CHECK((flows() == std::array{0, -1, 0}));
    port.port->detach(0);
    CHECK((flows() == std::array{-1, -1, -1}) && port.port->attach_row(1) == 0);
    CHECK((flows() == std::array{-1, 0, -1}));
  });

  test("hashes tell tuples, words and keys apart", [] {
    rig::Port port;
    const Tuple tuple = rig::tuple_of(true);
    CHECK(port.read(rig::packet_of(tuple, kProtocolTcp, rig::tcp_of({}, {}))));
    CHECK(port.port->hash_row(0, 9) == port.port->hash(tuple, 9) &&
          port.port->hash(tuple, 9) != port.port->hash(tuple, 8));
    CHECK(port.port->hash(tuple, 9) != port.port->hash(rig::swapped(tuple), 9));
  });
}

void batch_tests() {
  test("a batch ends with its rows, and with the slab", [] {
    rig::Port port(false, false, 4);
    const Bytes segment = rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of({}, {1}));
    for (int i = 0; i < 6; ++i) port.device->incoming.push_back(segment);
    port.slab.resize(PacketPort::kReadRoom * 2);
    CHECK(port.port->read(port.slab, 0) == 4 && port.port->memory()->state.used == 256);
    for (size_t i = 0; i < 4; ++i) CHECK(port.row(i)[in::kPacket] == static_cast<int32_t>(i * 64 + 16));
    CHECK(port.port->read(port.slab, PacketPort::kReadRoom) == 1);
    CHECK(port.port->read(port.slab, PacketPort::kReadRoom + 1) == 0 && port.port->rows() == 0);
    CHECK(port.port->read(port.slab, 0) == 1);
  });

  test("an ACK of a flow takes no room in the slab", [] {
    Sender port(true);
    const Bytes ack = rig::packet_of(port.tuple, kProtocolTcp, rig::tcp_of({}, {}));
    for (int i = 0; i < 10; ++i) port.device->incoming.push_back(ack);
    CHECK(port.port->read(port.slab, 0) == 10 && port.port->memory()->state.used == 0);
  });

  test("neither reading nor writing allocates", [] {
    Sender sender(true, true, true);
    const Bytes segment =
        rig::packet_of(sender.tuple, kProtocolTcp, rig::tcp_of({1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, {1}));
    rig::Chunks source({Bytes(3000), Bytes(100), Bytes(100)});
    sender.device->refuses = [](const VirtioNetHeader&) { return -EAGAIN; };
    CHECK(sender.read(segment));
    const size_t before = allocations;
    Tuple tuple;
    CHECK(parse_row(segment, nullptr, sender.port->memory()->incoming_row(0), tuple) == Parsed::kRow);
    CHECK(sender.port->write_segments(1) == 1 && sender.port->write_data(0, source, 3200, 1000) == -EAGAIN);
    CHECK(sender.port->write_udp(sender.tuple, segment, 1500) == -EAGAIN);
    CHECK(allocations == before);
  });

  test("a device that is gone says so, once what it had was read", [] {
    int fds[2];
    CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
    PacketPort::Options options;
    options.device = std::make_unique<DescriptorPort>(UniqueFd(fds[0]), false);
    options.rows = 4;
    PacketPort port(std::move(options));
    Bytes slab(PacketPort::kReadRoom);
    UniqueFd other(fds[1]);
    CHECK(port.read(slab, 0) == 0);
    const Bytes segment = rig::packet_of(rig::tuple_of(true), kProtocolTcp, rig::tcp_of({}, {1}));
    CHECK(::write(other.get(), segment.data(), segment.size()) == static_cast<ssize_t>(segment.size()));
    other = UniqueFd();
    slab.resize(PacketPort::kReadRoom * 2);
    CHECK(port.read(slab, 0) == 1 && port.read(slab, 0) == -ENODEV);
  });

  test("memory holds what it may, and no more", [] {
    MemoryPort memory(4000);
    const Bytes packet(1000, 7);
    iovec half[] = {{const_cast<uint8_t*>(packet.data()), 400}, {const_cast<uint8_t*>(packet.data()), 600}};
    for (int i = 0; i < 3; ++i) CHECK(memory.feed(packet) && memory.write(half, 2) == 0);
    CHECK(!memory.feed(packet) && memory.write(half, 2) == -ENOBUFS && memory.fed() == 3 && memory.written() == 3);
    CHECK(std::ranges::equal(memory.front(), packet));
    memory.pop();
    CHECK(memory.write(half, 2) == 0);
    Bytes read(kMaxPacket);
    CHECK(memory.read(read.data()) == 1000 && read[999] == 7 && memory.feed(packet));
    CHECK(!memory.feed({}) && !memory.feed(Bytes(kMaxPacket + 1)));
  });
}

}  // namespace

int main() {
  segment_tests();
  data_tests();
  datagram_tests();
  flow_tests();
  batch_tests();
  return done();
}
