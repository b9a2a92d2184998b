// Codec, flow table, runs and packet device alone, without Node; built with AddressSanitizer and UBSan.
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "../support/icmp.h"
#include "../support/policy.h"
#include "check.h"
#include "io/descriptor_device.h"
#include "io/segment_run.h"
#include "plane/ack_pace.h"
#include "plane/refused_syns.h"
#include "plane/syn_cookie.h"
#include "plane/token_bucket.h"
#include "plane/verdict.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/note.h"
#include "wire/reassembly.h"
#include "wire/segment.h"
#include "wire/tcp_options.h"
#include "wire/tuple_table.h"

using namespace guise;

namespace {

constexpr BatchLimits kOnePacket{1, kLargestRead};

using Bytes = std::vector<uint8_t>;
std::mt19937 random_source(20261121);

Bytes from_hex(const std::string& hex) {
  Bytes bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

Endpoint v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
  const uint8_t bytes[] = {a, b, c, d};
  return {Address::from_v4(bytes), port};
}

Endpoint v6(uint8_t first, uint8_t last, uint16_t port) {
  uint8_t bytes[16] = {first};
  bytes[15] = last;
  return {Address::from_v6(bytes), port};
}

// The segment as a device without offload writes it.
Bytes whole(const Tuple& tuple, uint32_t seq, uint32_t ack, uint8_t flags, const Bytes& options, const Bytes& payload) {
  int fds[2];
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) == 0);
  UniqueFd other(fds[1]);
  DescriptorDevice device(UniqueFd(fds[0]), false, false, kOnePacket);
  CHECK(device.write_segment({}, SegmentHeader(tuple), seq, ack, flags, options, payload).error == 0);
  Bytes packet(65536);
  packet.resize(static_cast<size_t>(::recv(other.get(), packet.data(), packet.size(), 0)));
  return packet;
}

uint16_t naive_checksum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) sum += bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Bytes random_bytes(size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random_source());
  return bytes;
}

void checksum_tests() {
  test("the checksum agrees with a naive one for every length and split", [] {
    for (size_t size = 0; size < 200; ++size) {
      const Bytes bytes = random_bytes(size);
      const size_t split = size ? random_source() % size : 0;
      ChecksumSum sum;
      sum.add_at(0, bytes.data(), split);
      sum.add_at(split, bytes.data() + split, size - split);
      CHECK(__builtin_bswap16(sum.checksum()) == naive_checksum(bytes));
    }
    Bytes ones(64, 0xff);
    ChecksumSum sum;
    sum.add(ones.data(), ones.size());
    CHECK(sum.folded() == 0xffff);
  });
}

void codec_tests() {
  const Tuple client{v4(192, 168, 200, 2, 40000), v4(10, 0, 0, 1, 4567)};
  const Tuple server{v4(192, 168, 201, 2, 4567), v4(10, 0, 0, 2, 40000)};
  const Bytes scale{1, 3, 3, 14};
  const Bytes hello{'h', 'e', 'l', 'l', 'o'}, hi{'h', 'i'};

  test("segments are phantun's byte for byte", [&] {
    CHECK(whole(client, 0, 0, kSyn, scale, {}) ==
          from_hex("4500002c000040004006a820c0a8c8020a0000019c4011d700000000000000006002ffff5b0a00000103030e"));
    CHECK(whole(server, 0, 1, kSyn | kAck, scale, {}) ==
          from_hex("4500002c000040004006a71fc0a8c9020a00000211d79c4000000000000000016012ffff59f800000103030e"));
    CHECK(whole(client, 1, 1, kAck, {}, {}) ==
          from_hex("45000028000040004006a824c0a8c8020a0000019c4011d700000001000000015010ffff6f0f0000"));
    CHECK(whole(client, 1, 1, kAck, {}, hello) ==
          from_hex("4500002d000040004006a81fc0a8c8020a0000019c4011d700000001000000015010ffff2b38000068656c6c6f"));
    CHECK(whole(client, 6, 1, kAck, {}, hi) ==
          from_hex("4500002a000040004006a822c0a8c8020a0000019c4011d700000006000000015010ffff069f00006869"));
    CHECK(whole(client, 8, 0, kRst, {}, {}) ==
          from_hex("45000028000040004006a824c0a8c8020a0000019c4011d700000008000000005004ffff6f150000"));
    CHECK(whole(server, 1, 13, kRst | kAck, {}, {}) ==
          from_hex("45000028000040004006a723c0a8c9020a00000211d79c40000000010000000d5014ffff6dfe0000"));
  });

  test("what is written is read back, IPv4 and IPv6, any size", [&] {
    const Tuple six{v6(0xfc, 1, 4567), v6(0xfd, 2, 50000)};
    for (const Tuple& tuple : {client, six}) {
      for (int round = 0; round < 300; ++round) {
        const Bytes payload = random_bytes(random_source() % 3000);
        const Bytes options = random_bytes(random_source() % 11 * 4);
        const auto seq = static_cast<uint32_t>(random_source());
        const Bytes packet = whole(tuple, seq, 7, kAck | kPsh, options, payload);
        SegmentView view;
        CHECK(parse_segment(packet, nullptr, view) == ParseError::kNone);
        CHECK((view.tuple == Tuple{tuple.remote, tuple.local}));
        CHECK(view.seq == seq && view.ack == 7 && view.flags == (kAck | kPsh));
        CHECK(Bytes(view.payload.begin(), view.payload.end()) == payload);
        CHECK(Bytes(view.options.begin(), view.options.end()) == options);
      }
    }
  });

  test("any damaged bit is refused", [&] {
    const Bytes good = whole(client, 1, 2, kAck, {}, hello);
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      SegmentView view;
      CHECK(parse_segment(bad, nullptr, view) != ParseError::kNone);
    }
  });

  test("IP options and IPv6 extension headers are passed over, fragments and other protocols refused", [&] {
    const Bytes plain = whole(client, 1, 2, kAck, {}, hello);
    SegmentView view;

    Bytes with_options = plain;
    with_options.insert(with_options.begin() + 20, {1, 1, 1, 0});
    with_options[0] = 0x46;
    write16(&with_options[2], static_cast<uint16_t>(with_options.size()));
    with_options[10] = with_options[11] = 0;
    write16(&with_options[10], naive_checksum(Bytes(with_options.begin(), with_options.begin() + 24)));
    CHECK(parse_segment(with_options, nullptr, view) == ParseError::kNone);
    CHECK(view.payload.size() == 5);

    Bytes fragment = plain;
    fragment[6] = 0x20;
    CHECK(parse_segment(fragment, nullptr, view) == ParseError::kFragment);
    Bytes udp = plain;
    udp[9] = 17;
    CHECK(parse_segment(udp, nullptr, view) == ParseError::kNotTcp);
    CHECK(parse_segment(Bytes{0x20}, nullptr, view) == ParseError::kNotIp);
    CHECK(parse_segment({}, nullptr, view) == ParseError::kTruncated);

    Bytes six = whole({v6(0xfc, 1, 1), v6(0xfd, 2, 2)}, 1, 2, kAck, {}, hello);
    six.insert(six.begin() + 40, {6, 0, 1, 4, 0, 0, 0, 0});  // hop-by-hop with a PadN
    six[6] = 0;
    write16(&six[4], static_cast<uint16_t>(six.size() - 40));
    CHECK(parse_segment(six, nullptr, view) == ParseError::kNone);
    CHECK(view.payload.size() == 5);
    six[6] = 44;
    CHECK(parse_segment(six, nullptr, view) == ParseError::kFragment);
    six[6] = 60;
    six[41] = 200;  // longer than the packet
    CHECK(parse_segment(six, nullptr, view) == ParseError::kTruncated);
  });

  test("an IPv6 packet with an IPv4-mapped address is refused: it is not of the IPv4 flow", [&] {
    const Bytes six = whole({v6(0xfc, 1, 1), v6(0xfd, 2, 2)}, 1, 2, kAck, {}, hello);
    const Address& mapped = client.remote.address;
    for (const size_t at : {8, 24}) {
      Bytes packet = six;
      std::ranges::copy(mapped.bytes, packet.begin() + static_cast<ptrdiff_t>(at));
      VirtioNetHeader offload;
      offload.flags = VirtioNetHeader::kDataValid;
      SegmentView view;
      CHECK(parse_segment(packet, &offload, view) == ParseError::kBadHeader);
    }
  });

  test("a merged segment is cut at gso_size whatever hdr_len says, and trusted without a checksum pass", [&] {
    Bytes packet = whole(client, 1, 2, kAck, {}, Bytes(3000, 1));
    packet[45] ^= 1;
    VirtioNetHeader offload;
    offload.flags = VirtioNetHeader::kDataValid;
    offload.gso_type = VirtioNetHeader::kGsoTcp4 | VirtioNetHeader::kGsoEcn;
    offload.gso_size = 1400;
    offload.header_length = 9999;
    SegmentView view;
    CHECK(parse_segment(packet, &offload, view) == ParseError::kNone);
    CHECK(view.segment_size == 1400);
    offload.flags = 0;
    CHECK(parse_segment(packet, &offload, view) == ParseError::kBadChecksum);
    offload = {};
    packet[45] ^= 1;
    CHECK(parse_segment(packet, &offload, view) == ParseError::kNone);
    CHECK(view.segment_size == 3000);
  });

  test("no bytes crash the parser or lead it out of the packet", [&] {
    const Bytes seeds[] = {whole(client, 1, 2, kAck, scale, hello),
                           whole({v6(0xfc, 1, 1), v6(0xfd, 2, 2)}, 1, 2, kAck, scale, hello)};
    for (int round = 0; round < 200'000; ++round) {
      Bytes packet = seeds[round & 1];
      for (int i = 0; i < 3; ++i) packet[random_source() % packet.size()] = static_cast<uint8_t>(random_source());
      packet.resize(random_source() % (packet.size() + 1));
      VirtioNetHeader offload;
      offload.flags = VirtioNetHeader::kDataValid;
      offload.gso_type = VirtioNetHeader::kGsoTcp4;
      offload.gso_size = static_cast<uint16_t>(random_source());
      const Bytes exact(packet.begin(), packet.end());  // so that ASan sees the end
      SegmentView view;
      if (parse_segment(exact, &offload, view) != ParseError::kNone) continue;
      CHECK(view.payload.data() + view.payload.size() <= exact.data() + exact.size());
      CHECK(view.payload.empty() || view.segment_size > 0);
    }
  });
}

void table_tests() {
  struct Entry {
    Tuple tuple;
    int value;
  };
  test("the tuple table agrees with a map over any sequence of insertions and removals", [] {
    TupleTable<std::shared_ptr<Entry>> table(42);
    std::map<uint16_t, int> model;
    for (int round = 0; round < 100'000; ++round) {
      const auto port = static_cast<uint16_t>(random_source() % 2000);
      const Tuple tuple{v4(10, 0, 0, 1, 1), v4(10, 0, 0, 2, port)};
      switch (random_source() % 3) {
        case 0:
          table.insert(std::make_shared<Entry>(tuple, round));
          model[port] = round;
          break;
        case 1:
          CHECK((table.erase(tuple) != nullptr) == (model.erase(port) == 1));
          break;
        default: {
          const Entry* found = table.find(tuple);
          const auto wanted = model.find(port);
          CHECK((found != nullptr) == (wanted != model.end()));
          if (found && wanted != model.end()) CHECK(found->value == wanted->second);
        }
      }
      CHECK(table.size() == model.size());
    }
  });
}

// The sizes of the datagrams in a run, cut as a receiver cuts them.
std::vector<size_t> sizes_of(SegmentRun& run) {
  std::vector<size_t> sizes;
  for (size_t left = run.bytes(); left > 0; left -= sizes.back()) sizes.push_back(std::min(left, run.segment_size()));
  return sizes;
}

void run_tests() {
  test("runs keep every boundary and every byte for any mix of sizes and merged messages", [] {
    for (int round = 0; round < 2000; ++round) {
      SegmentRun run(1 + random_source() % 64, 1500 + random_source() % 64000);
      std::vector<Bytes> messages;
      std::vector<size_t> sent, received;
      Bytes in, out;
      const auto flush = [&] {
        for (const size_t size : sizes_of(run)) received.push_back(size);
        for (size_t i = 0; i < run.vector_count(); ++i) {
          const auto* data = static_cast<const uint8_t*>(run.vectors()[i].iov_base);
          out.insert(out.end(), data, data + run.vectors()[i].iov_len);
        }
        run.clear();
      };
      for (int i = 0; i < 40; ++i) {
        const size_t segment = random_source() % 4 ? 1400 : 1 + random_source() % 1460;
        const size_t size = random_source() % 3 ? segment : 1 + random_source() % (segment * 20);
        messages.push_back(random_bytes(size));
        in.insert(in.end(), messages.back().begin(), messages.back().end());
        for (size_t left = size; left > 0; left -= sent.back()) sent.push_back(std::min(left, segment));
        const uint8_t* data = messages.back().data();
        for (size_t left = size; left > 0;) {
          const size_t taken = run.add(data, left, segment);
          if (taken == 0) flush();
          data += taken;
          left -= taken;
        }
      }
      flush();
      CHECK(sent == received);
      CHECK(in == out);
    }
  });
}

void device_tests() {
  test("a device without offload cuts a run into whole segments with their own numbers", [] {
    int fds[2];
    CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
    UniqueFd other(fds[1]);
    DescriptorDevice device(UniqueFd(fds[0]), false, false, kOnePacket);
    const Tuple tuple{v4(10, 0, 0, 1, 1), v4(10, 0, 0, 2, 2)};
    SegmentRun run(64, 65000);
    const Bytes data = random_bytes(1001 * 3 + 5);
    CHECK(run.add(data.data(), data.size(), 1001) == data.size());
    CHECK(device.write_run({}, SegmentHeader(tuple), 0xfffffff0, 9, true, run).error == 0);
    Bytes joined;
    for (int i = 0; i < 4; ++i) {
      Bytes packet(2000);
      const ssize_t got = ::recv(other.get(), packet.data(), packet.size(), 0);
      CHECK(got > 0);
      packet.resize(static_cast<size_t>(got));
      SegmentView view;
      CHECK(parse_segment(packet, nullptr, view) == ParseError::kNone);
      CHECK(view.seq == 0xfffffff0 + static_cast<uint32_t>(joined.size()));
      CHECK(view.flags == (i == 3 ? kAck | kPsh : kAck));
      joined.insert(joined.end(), view.payload.begin(), view.payload.end());
    }
    CHECK(joined == data);
  });

  test("a kernel that refuses super-segments with EINVAL gets single segments from then on", [] {
    sigset_t none;
    sigemptyset(&none);
    // A signalfd answers every write with EINVAL, as the TUN of Linux 6.6.44 does for super-segments.
    DescriptorDevice device(UniqueFd(::signalfd(-1, &none, SFD_CLOEXEC)), true, true, kOnePacket);
    const Tuple tuple{v4(10, 0, 0, 1, 1), v4(10, 0, 0, 2, 2)};
    const Bytes data = random_bytes(3000);
    for (const bool first : {true, false}) {
      SegmentRun run(64, 65000);
      CHECK(run.add(data.data(), data.size(), 1000) == data.size());
      const Written written = device.write_run({}, SegmentHeader(tuple), 1, 1, false, run);
      CHECK(written.error == -EINVAL && written.refused == 3);
      CHECK(written.writes == (first ? 4 : 3) && written.fell_back == first);
    }
  });
}

// A device that keeps what is written, and can refuse a packet.
class Recorder final : public PacketDevice {
 public:
  Recorder() : PacketDevice(false) {}

  std::vector<Bytes> packets;
  size_t room = SIZE_MAX;  // packets until the next is refused

  [[nodiscard]] std::span<const int> descriptors() const override { return {}; }
  void begin() override {}
  [[nodiscard]] Read read(Packet&) override { return Read::kNone; }

 protected:
  [[nodiscard]] int write(const Outgoing& packet) override {
    if (packets.size() >= room) return -ENOBUFS;
    const VirtioNetHeader offload = packet.offload(0);
    asks_nothing &= offload.flags == 0 && offload.gso_type == VirtioNetHeader::kGsoNone;
    packet.complete_checksum();
    Bytes bytes(packet.ip, packet.ip + packet.header_size);
    for (size_t i = 1; i < packet.vector_count; ++i) {
      const auto* data = static_cast<const uint8_t*>(packet.vectors[i].iov_base);
      bytes.insert(bytes.end(), data, data + packet.vectors[i].iov_len);
    }
    packets.push_back(std::move(bytes));
    return 0;
  }
  [[nodiscard]] bool cuts(Way) const override { return false; }
  [[nodiscard]] bool is_lost(Way, int) const override { return false; }

 public:
  bool asks_nothing = true;  // the kernel is to change nothing in any of them
};

void fragment_tests() {
  const Tuple tuple{v4(10, 0, 0, 1, 443), v4(10, 0, 0, 2, 50000)};
  const SegmentHeader header(tuple);
  constexpr size_t kMost = kMaxPacket - 40;

  test("a segment of any size, cut for any MTU, is put together to the very segment", [&] {
    const Bytes all = random_bytes(kMost);
    Reassembly reassembly({.bytes = 4 << 20, .fragments = 2000, .wait4 = 1000, .wait6 = 1000}, 1);
    const auto check = [&](size_t size, size_t mtu) {
      Recorder device;
      const std::span<const uint8_t> payload(all.data(), size);
      const auto seq = static_cast<uint32_t>(random_source());
      const Written written = device.write_fragments({}, header, seq, 7, kAck | kPsh, payload, mtu);
      CHECK(written.error == 0 && written.refused == 0 && written.writes == device.packets.size());
      CHECK(device.asks_nothing);
      bool whole = false, shaped = true;
      for (const Bytes& packet : device.packets) {
        const uint16_t place = read16(&packet[ipv4::kFragment]);
        const bool last = &packet == &device.packets.back();
        ChecksumSum sum;
        sum.add(packet.data(), ipv4::kHeader);
        // As much in each as fits: no more fragments than need be.
        shaped &= packet.size() <= mtu && (last || packet.size() + 8 > mtu) && sum.folded() == 0xffff &&
                  read16(&packet[ipv4::kTotalLength]) == packet.size() && !(place & ipv4::kDontFragment) &&
                  ((place & ipv4::kMoreFragments) != 0) == !last &&
                  read16(&packet[ipv4::kIdentification]) == read16(&device.packets[0][ipv4::kIdentification]);
        std::span<const uint8_t> joined = packet;
        if (device.packets.size() > 1) {
          const auto fragment = parse_fragment(packet);
          shaped &= fragment.has_value();
          if (!fragment) break;
          joined = reassembly.take(*fragment, 0);
          shaped &= joined.empty() == !last;
          if (joined.empty()) continue;
        }
        SegmentView view;
        whole = parse_segment(joined, nullptr, view) == ParseError::kNone &&
                view.tuple == Tuple{tuple.remote, tuple.local} && view.seq == seq && view.ack == 7 &&
                view.flags == (kAck | kPsh) && std::ranges::equal(view.payload, payload);
      }
      CHECK(shaped && whole);
      if (!shaped || !whole) std::printf("# %zu bytes, MTU %zu\n", size, mtu);
      reassembly.release();
    };
    for (size_t mtu = 68; mtu <= 1500; ++mtu) {
      check(1 + random_source() % kMost, mtu);
      // About where one fragment more begins.
      const size_t each = (mtu - ipv4::kHeader) & ~size_t{7};
      for (const size_t end : {each, 2 * each, 3 * each})
        for (const size_t size : {end - 21, end - 20, end - 19}) check(size, mtu);
    }
    for (const size_t size : {size_t{1}, size_t{7}, size_t{8}, kMost - 1, kMost})
      for (const size_t mtu : {68, 576, 1280, 1499, 1500}) check(size, mtu);
    CHECK(reassembly.bytes() == 0);
  });

  test("of segments one after the other each has an identification of its own, and none has 0", [&] {
    Recorder device;
    const Bytes payload(100);
    uint16_t last = 0;
    for (size_t i = 0; i < 70'000; ++i) {
      device.packets.clear();
      (void)device.write_fragments({}, header, 1, 1, kAck, payload, 68);
      CHECK(device.packets.size() == 3);
      const uint16_t identification = read16(&device.packets[0][ipv4::kIdentification]);
      // A raw socket makes up another for each packet whose is 0 (raw(7)).
      CHECK(identification != 0 && identification != last);
      if (identification == 0) return;
      last = identification;
    }
  });

  test("a segment of which a fragment is refused is refused once, and the rest does not leave", [&] {
    Recorder device;
    device.room = 2;
    const Written written = device.write_fragments({}, header, 1, 1, kAck, Bytes(1000), 68);
    CHECK(written.error == -ENOBUFS && written.refused == 1 && written.writes == 3 && device.packets.size() == 2);
  });
}

Address from_text6(const std::string& hex) { return Address::from_v6(from_hex(hex).data()); }

void icmp_tests() {
  // Of Linux 6.18: a route that prohibits, one with an MTU of 88, one that is unreachable, and a link of 1280 bytes.
  const Bytes prohibited4 = from_hex(
      "45c000580a6600004001eb7bc0000201c0000202030dfb2b000000004500003c1234400040062a7ec0000202cb0071079c4001bbfffffff0"
      "010203045010ffffb55f0000000102030405060708090a0b0c0d0e0f10111213");
  const Bytes too_big4 = from_hex(
      "45c000800a6700004001eb52c0000201c00002020304e93700000058450000641234400040063c23c0000202c63364079c4001bb11223344"
      "010203045010ffff736c0000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b"
      "2c2d2e2f303132333435363738393a3b");
  const Bytes unreachable6 = from_hex(
      "6009442f00583a4020010db800010000000000000000000120010db800010000000000000000000201003cbc000000006000000000280640"
      "20010db800010000000000000000000220010db80003000000000000000000079c4001bbfffffff0010203045010ffff57eb000000010203"
      "0405060708090a0b0c0d0e0f10111213");
  Bytes too_big6 = from_hex(
      "600ef71804d83a4020010db800010000000000000000000120010db800010000000000000000000202001d67000005006000000005280640"
      "20010db800010000000000000000000220010db80002000000000000000000079c4001bb11223344010203045010ffff4d380000");
  for (size_t i = 0; i < 1172; ++i) too_big6.push_back(static_cast<uint8_t>(i));
  const std::array<Bytes, 4> all{prohibited4, too_big4, unreachable6, too_big6};
  const auto parse = [](const Bytes& packet) {
    const Bytes exact(packet.begin(), packet.end());  // so that ASan sees the end
    return parse_icmp_error(exact, nullptr);
  };
  const auto mended = [&](Bytes packet) {
    mend_icmp(packet);
    return parse(packet);
  };

  test("errors that Linux writes are read, of both families", [&] {
    const Endpoint client4 = v4(192, 0, 2, 2, 40000);
    auto error = parse(prohibited4);
    CHECK(error && error->kind == IcmpError::Kind::kUnreachable && error->code == 13 && error->mtu == 0);
    CHECK(error && error->from == v4(192, 0, 2, 1, 0).address && error->seq == 0xfffffff0);
    CHECK((error && error->tuple == Tuple{client4, v4(203, 0, 113, 7, 443)}));
    error = parse(too_big4);
    CHECK(error && error->kind == IcmpError::Kind::kTooBig && error->code == 4 && error->mtu == 88);
    CHECK(error && error->from == v4(192, 0, 2, 1, 0).address && error->seq == 0x11223344);
    CHECK((error && error->tuple == Tuple{client4, v4(198, 51, 100, 7, 443)}));
    const Address router6 = from_text6("20010db8000100000000000000000001");
    const Endpoint client6{from_text6("20010db8000100000000000000000002"), 40000};
    error = parse(unreachable6);
    CHECK(error && error->kind == IcmpError::Kind::kUnreachable && error->code == 0 && error->mtu == 0);
    CHECK(error && error->from == router6 && error->seq == 0xfffffff0);
    CHECK((error && error->tuple == Tuple{client6, {from_text6("20010db8000300000000000000000007"), 443}}));
    error = parse(too_big6);
    CHECK(error && error->kind == IcmpError::Kind::kTooBig && error->mtu == 1280);
    CHECK(error && error->from == router6 && error->seq == 0x11223344);
    CHECK((error && error->tuple == Tuple{client6, {from_text6("20010db8000200000000000000000007"), 443}}));
  });

  test("an error that quotes 8 bytes of TCP is read; any less, and what is cut anywhere, is not", [&] {
    for (const Bytes& packet : all) {
      for (size_t size = 0; size < packet.size(); ++size) {
        CHECK(!parse(Bytes(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size))));
      }
      const bool four = packet[0] >> 4 == 4;
      const size_t header = four ? 20 : 40, least = header + 8 + header + 8;
      for (const size_t size : {least - 1, least}) {
        Bytes shorter(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(size));
        write16(&shorter[four ? 2 : 4], static_cast<uint16_t>(four ? size : size - header));
        CHECK(mended(shorter).has_value() == (size == least));
      }
    }
  });

  test("any damaged bit of an error is found that a checksum covers", [&] {
    for (const Bytes& packet : all) {
      for (size_t bit = 0; bit < packet.size() * 8; ++bit) {
        // In IPv6 nothing covers traffic class, flow label and hop limit.
        const bool covered = packet[0] >> 4 == 4 || (bit >= 32 && bit / 8 != ipv6::kHopLimit) || bit < 4;
        Bytes bad = packet;
        bad[bit / 8] ^= static_cast<uint8_t>(1 << (7 - bit % 8));
        CHECK(parse(bad).has_value() == !covered);
      }
    }
  });

  test("a checksum that the kernel has verified is not computed again", [&] {
    for (Bytes packet : all) {
      packet.back() ^= 1;
      VirtioNetHeader offload;
      CHECK(!parse_icmp_error(packet, &offload));
      offload.flags = VirtioNetHeader::kDataValid;
      CHECK(parse_icmp_error(packet, &offload).has_value());
    }
  });

  test("IP options are passed over, of the error and of what it quotes", [&] {
    Bytes outside = too_big4;
    outside.insert(outside.begin() + 20, {1, 1, 1, 0});
    outside[0] = 0x46;
    write16(&outside[2], static_cast<uint16_t>(outside.size()));
    Bytes inside = too_big4;
    inside.insert(inside.begin() + 48, {1, 1, 1, 0});
    inside[28] = 0x46;
    write16(&inside[2], static_cast<uint16_t>(inside.size()));
    for (const Bytes& packet : {outside, inside}) {
      const auto error = mended(packet);
      CHECK(error && error->mtu == 88 && error->seq == 0x11223344 && error->tuple == parse(too_big4)->tuple);
    }
    // Options that lead behind the end of the quote, and a header without its least size.
    for (const uint8_t first : {0x4f, 0x44}) {
      Bytes packet = too_big4;
      packet.resize(20 + 8 + 20 + 8);
      write16(&packet[2], static_cast<uint16_t>(packet.size()));
      packet[28] = first;
      CHECK(!mended(packet));
    }
  });

  test("what is no error about a TCP segment of ours says nothing", [&] {
    const auto changed = [&](const Bytes& packet, size_t at, uint8_t value) {
      Bytes other = packet;
      other[at] = value;
      return mended(other);
    };
    CHECK(!changed(too_big4, 20, 8));                    // a ping
    CHECK(!changed(too_big4, 20, 11));                   // time exceeded
    CHECK(!changed(too_big4, 28 + 9, 17));               // of UDP
    CHECK(!changed(too_big4, 28 + 7, 1));                // of a later fragment
    CHECK(changed(too_big4, 28 + 6, 0x20).has_value());  // of a first one
    CHECK(!changed(too_big4, 28, 0x65));                 // of another family
    CHECK(!changed(too_big4, 6, 0x20));                  // a fragment itself
    CHECK(!changed(too_big4, 9, 17));                    // no ICMP
    CHECK(!changed(too_big6, 40, 128));                  // a ping
    CHECK(!changed(too_big6, 40, 3));                    // time exceeded
    CHECK(!changed(too_big6, 48 + 6, 17));               // of UDP
    CHECK(!changed(too_big6, 48 + 6, 44));               // of a fragment: we send none
    CHECK(!changed(too_big6, 48, 0x45));                 // of another family
    CHECK(!changed(too_big6, 6, 17));                    // no ICMP
    CHECK(!changed(too_big6, 0, 0x50));                  // no IP
    const Endpoint mapped = v4(10, 0, 0, 1, 1);
    for (const size_t at : {48 + 8, 48 + 24}) {  // of the IPv4 flow
      Bytes packet = too_big6;
      std::ranges::copy(mapped.address.bytes, packet.begin() + static_cast<ptrdiff_t>(at));
      CHECK(!mended(packet));
    }
    CHECK(!parse({}));
  });

  test("a router older than RFC 1191 says no MTU", [&] {
    Bytes packet = too_big4;
    write16(&packet[26], 0);
    const auto error = mended(packet);
    CHECK(error && error->kind == IcmpError::Kind::kTooBig && error->mtu == 0);
  });

  test("no bytes crash the reader of ICMP errors or lead it out of the packet", [&] {
    size_t read = 0;
    for (int round = 0; round < 200'000; ++round) {
      Bytes packet = all[static_cast<size_t>(round) % all.size()];
      packet.resize(std::min<size_t>(packet.size(), 150));
      const bool four = packet[0] >> 4 == 4;
      for (int i = 0; i < 3; ++i) packet[random_source() % packet.size()] = static_cast<uint8_t>(random_source());
      packet.resize(random_source() % (packet.size() + 1));
      if (round & 4 && packet.size() >= 20)
        write16(&packet[four ? 2 : 4], static_cast<uint16_t>(packet.size() - (four ? 0 : 40)));
      VirtioNetHeader offload;
      offload.flags = VirtioNetHeader::kDataValid;
      const Bytes exact(packet.begin(), packet.end());
      read += parse_icmp_error(exact, &offload).has_value();
    }
    CHECK(read > 1000);
  });
}

void note_tests() {
  using enum Note::Type;
  const auto written = [](const Note& note, uint64_t nonce) {
    Bytes bytes(Note::kSize);
    write_note(bytes.data(), note, nonce);
    return bytes;
  };
  const auto random_word = [] { return uint64_t{random_source()} << 32 | random_source(); };

  test("a note that is written is read back, whatever follows it", [&] {
    for (int round = 0; round < 10'000; ++round) {
      const Note note{.type = random_source() & 1 ? kProbe : kAnswer,
                      .size = static_cast<uint16_t>(random_source()),
                      .token = static_cast<uint32_t>(random_source())};
      Bytes bytes = written(note, random_word());
      bytes.resize(Note::kSize + random_source() % 1500);
      const auto read = read_note(bytes);
      CHECK(read && read->type == note.type && read->size == note.size && read->token == note.token);
    }
  });

  test("any damaged bit of a note makes it none, so does a byte less", [&] {
    const Bytes good = written({.type = kAnswer, .size = 1460, .token = 7}, random_word());
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      Bytes bad = good;
      bad[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      CHECK(!read_note(bad));
    }
    for (size_t size = 0; size < good.size(); ++size) {
      const Bytes exact(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
      CHECK(!read_note(exact));
    }
  });

  test("no random payload is a note, nor are bytes that are all the same", [&] {
    for (int round = 0; round < 300'000; ++round) CHECK(!read_note(random_bytes(Note::kSize)));
    for (int byte = 0; byte < 256; ++byte) CHECK(!read_note(Bytes(1460, static_cast<uint8_t>(byte))));
  });

  test("of one note written with another nonce every byte is another now and then: no box finds a pattern", [&] {
    std::array<std::set<uint8_t>, Note::kSize> seen;
    for (int round = 0; round < 200; ++round) {
      const Bytes bytes = written({.type = kProbe, .token = 1}, random_word());
      for (size_t i = 0; i < bytes.size(); ++i) seen[i].insert(bytes[i]);
    }
    for (const auto& values : seen) CHECK(values.size() > 80);
  });
}

SegmentView segment_of(uint8_t flags, uint32_t seq, uint32_t ack, std::span<const uint8_t> payload = {}) {
  SegmentView segment;
  segment.flags = flags;
  segment.seq = seq;
  segment.ack = ack;
  segment.payload = payload;
  segment.segment_size = payload.size();
  return segment;
}

void verdict_tests() {
  // Near the wrap of both numbers.
  const Policy policy = test_policy();
  const Windows windows{policy.late_window, policy.fin_window, policy.fin_late_window};
  const FlowNumbers numbers{.send_next = 100, .receive_next = 0xfffffff0, .peer_ack = 50};
  const Bytes data(10);
  const auto verdict = [&](uint8_t flags, int64_t seq_offset, int64_t ack_offset, bool with_data = false) {
    return judge(segment_of(flags, static_cast<uint32_t>(numbers.receive_next + seq_offset),
                            static_cast<uint32_t>(numbers.send_next + ack_offset), with_data ? data : Bytes{}),
                 numbers, windows);
  };
  constexpr int64_t kWindow = kReceiveWindow;
  const int64_t kLate = windows.late, kFinAhead = windows.fin, kFinLate = windows.fin_late;
  constexpr int64_t kPeerAck = -50;

  test("only a RST with the next number resets; one in the window is challenged, others are dropped", [&] {
    CHECK(verdict(kRst, 0, 0) == Verdict::kReset);
    CHECK(verdict(kRst | kAck, 0, 12345) == Verdict::kReset);
    CHECK(verdict(kRst, 1, 0) == Verdict::kChallenge);
    CHECK(verdict(kRst, kWindow - 1, 0) == Verdict::kChallenge);
    CHECK(verdict(kRst, kWindow, 0) == Verdict::kOutOfWindow);
    CHECK(verdict(kRst, -1, 0) == Verdict::kOutOfWindow);
  });

  test("a SYN is challenged whatever its numbers", [&] {
    CHECK(verdict(kSyn, 0, 0) == Verdict::kChallenge);
    CHECK(verdict(kSyn | kAck, 123456, 7) == Verdict::kChallenge);
  });

  test("datagrams come in from the window, and late ones from shortly before it", [&] {
    CHECK(verdict(kAck, 0, 0, true) == Verdict::kDeliver);
    CHECK(verdict(kAck | kPsh, kWindow - 1, kPeerAck - kLate, true) == Verdict::kDeliver);
    CHECK(verdict(kAck, kWindow, 0, true) == Verdict::kOutOfWindow);
    CHECK(verdict(kAck, -kLate, 0, true) == Verdict::kLate);
    CHECK(verdict(kAck, -kLate - 1, 0, true) == Verdict::kOutOfWindow);
  });

  test("what acknowledges nothing that was sent is dropped", [&] {
    CHECK(verdict(kAck, 0, 1, true) == Verdict::kBadAck);
    CHECK(verdict(kAck, 0, kPeerAck - kLate - 1, true) == Verdict::kBadAck);
    CHECK(verdict(kPsh, 0, 0, true) == Verdict::kBadAck);
    CHECK(verdict(kAck, -1, 1) == Verdict::kBadAck);
    CHECK(verdict(kFin | kAck, 0, 1) == Verdict::kBadAck);
  });

  test("a keepalive is answered, a plain ACK is not", [&] {
    CHECK(verdict(kAck, -1, 0) == Verdict::kChallenge);
    CHECK(verdict(kAck, 0, -50) == Verdict::kNothing);
  });

  test("a FIN ends also when what came before it is lost, and when it comes again", [&] {
    CHECK(verdict(kFin | kAck, 0, 0) == Verdict::kFinished);
    CHECK(verdict(kFin | kAck, 5000, kPeerAck - kFinLate) == Verdict::kFinished);
    CHECK(verdict(kFin | kAck, kFinAhead, 0) == Verdict::kChallenge);
    CHECK(verdict(kFin | kAck, 0, kPeerAck - kFinLate - 1) == Verdict::kChallenge);
    CHECK(verdict(kFin | kAck, -1, 0) == Verdict::kFinished);
    CHECK(verdict(kFin | kAck, -11, 0, true) == Verdict::kFinished);
    CHECK(verdict(kFin | kAck, -2, 0) == Verdict::kChallenge);
  });

  test("of random guesses one in a hundred gets a datagram in, next to none ends a connection", [&] {
    int delivered = 0, ended = 0;
    for (int i = 0; i < 100'000; ++i) {
      const auto seq = static_cast<uint32_t>(random_source()), ack = static_cast<uint32_t>(random_source());
      const Verdict verdict = judge(segment_of(kAck, seq, ack, data), numbers, windows);
      delivered += verdict == Verdict::kDeliver || verdict == Verdict::kLate;
      ended += judge(segment_of(kRst, seq, ack), numbers, windows) == Verdict::kReset;
      ended += judge(segment_of(kFin | kAck, seq, ack), numbers, windows) == Verdict::kFinished;
    }
    CHECK(delivered < 1200);
    CHECK(ended <= 1);
  });
}

void cookie_tests() {
  const SynCookies cookies({1, 2}, 32);
  const Tuple tuple{v4(10, 0, 0, 1, 443), v4(10, 0, 0, 2, 50000)};

  test("a cookie is good for its tuple and what the SYN said, for 32 to 64 s", [&] {
    using enum SynKind;
    for (const SynFacts& facts :
         {SynFacts{}, SynFacts{kPhantun, true, 0}, SynFacts{kGuise, true, 1460}, SynFacts{kGuise, false, 1220}}) {
      const uint32_t isn = cookies.make(tuple, facts, 1000);
      CHECK(cookies.check(tuple, isn, 1000) == facts);
      CHECK(cookies.check(tuple, isn, 1000 / 32 * 32 + 63) == facts);
      CHECK(!cookies.check(tuple, isn, 1000 / 32 * 32 + 64));
      CHECK(!cookies.check(tuple, isn, 1000 - 32));
      CHECK(!cookies.check(tuple, isn ^ 1, 1000));
      CHECK(!cookies.check(tuple, isn + 2, 1000));
    }
  });

  test("a cookie remembers the MSS of each path that is common, and no more than any other allows", [&] {
    const auto remembered = [&](uint16_t mss) {
      return cookies.check(tuple, cookies.make(tuple, {.mss = mss}, 7), 7)->mss;
    };
    for (const uint16_t exact : {0, 536, 1220, 1240, 1332, 1412, 1432, 1440, 1452, 1459, 1460, 8940, 8960, 65495})
      CHECK(remembered(exact) == exact);
    for (uint32_t mss = 536; mss <= UINT16_MAX; ++mss) CHECK(remembered(static_cast<uint16_t>(mss)) <= mss);
    for (const uint16_t less : {1, 100, 535}) CHECK(remembered(less) == 536);
    CHECK(remembered(8961) == 8960);
    CHECK(remembered(UINT16_MAX) == 65495);
  });

  test("one random ACK number in 2^21 is a cookie", [&] {
    std::mt19937 random(1);
    int good = 0;
    for (int i = 0; i < 1 << 23; ++i) good += cookies.check(tuple, random(), 1000).has_value();
    CHECK(good <= 16);
  });

  test("cookies differ by every field of the tuple, by time and by key", [&] {
    const uint32_t isn = cookies.make(tuple, {}, 0);
    CHECK(cookies.make(tuple, {}, 32) != isn);
    CHECK(SynCookies({1, 3}, 32).make(tuple, {}, 0) != isn);
    for (const Tuple& other :
         {Tuple{v4(10, 0, 0, 3, 443), tuple.remote}, Tuple{v4(10, 0, 0, 1, 444), tuple.remote},
          Tuple{tuple.local, v4(10, 0, 0, 3, 50000)}, Tuple{tuple.local, v4(10, 0, 0, 2, 50001)}}) {
      CHECK(!cookies.check(other, isn, 0));
    }
  });
}

void pace_tests() {
  Policy policy = test_policy();
  policy.least_ack_bytes = 2 << 10;
  policy.most_ack_bytes = 256 << 10;

  // Bytes received before an ACK once a connection of so many bytes a second has found its pace.
  const auto paced = [&](bool scaled, uint64_t rate) {
    AckPace pace(policy, scaled, 0);
    uint64_t received = 0;
    for (uint32_t now = 1000; now < 2000; now += 10) {
      received += rate / 100;
      pace.acknowledged(static_cast<uint32_t>(received), now);
    }
    return pace.bytes();
  };
  test("up to 100 Mbit/s every second datagram is acknowledged, of more some 2000 times a second", [&] {
    CHECK(AckPace(policy, true, 0).bytes() == 2 << 10);
    CHECK(paced(true, 8'000'000) == 2 << 10);
    CHECK(paced(true, 12'500'000) == 2 << 10);
    CHECK(paced(true, 25'000'000) == (2 << 10) + 6'250);
    CHECK(paced(true, 125'000'000) == (2 << 10) + 56'250);
    CHECK(paced(true, 2'500'000'000) == 256 << 10);
    CHECK(paced(false, 125'000'000) == 8 << 10);
  });

  test("after a gap every second datagram is acknowledged, until there was none for a while", [&] {
    AckPace pace(policy, true, 0);
    pace.acknowledged(25'000'000, 200);
    CHECK(pace.bytes() == (2 << 10) + 56'250);
    pace.gap();
    CHECK(pace.bytes() == 2 << 10);
    pace.acknowledged(27'500'000, 220);
    CHECK(pace.bytes() == 2 << 10);
    pace.acknowledged(30'000'000, 240);
    CHECK(pace.bytes() == (2 << 10) + 56'250);
  });

  test("a bare ACK ahead says what is lost, where its numbers are near", [&] {
    const FlowNumbers numbers{.send_next = 5000, .receive_next = 1000, .peer_ack = 4000};
    const Windows windows{.late = 1 << 27, .fin = 1 << 24, .fin_late = 1 << 20};
    const auto bare = [&](uint32_t seq, uint32_t ack) {
      SegmentView segment;
      segment.flags = kAck;
      segment.seq = seq;
      segment.ack = ack;
      return judge(segment, numbers, windows);
    };
    CHECK(bare(1001, 4000) == Verdict::kSkip);
    CHECK(bare(1000, 4000) == Verdict::kNothing);
    CHECK(bare(999, 4000) == Verdict::kChallenge);
    CHECK(bare(1000 + (1 << 24), 4000) == Verdict::kNothing);
    CHECK(bare(1001, 4000 - (1 << 20) - 1) == Verdict::kNothing);
    CHECK(bare(1001, 5001) == Verdict::kBadAck);
  });
}

void option_tests() {
  const auto parse = [](std::initializer_list<uint8_t> bytes) {
    const std::vector<uint8_t> exact(bytes);  // so that a sanitizer sees what is read behind it
    return parse_syn_options(exact);
  };

  test("a SYN's options are found wherever they stand", [&] {
    const SynOptions linux = parse({2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7});
    CHECK(linux.scaled && linux.sack_permitted && linux.mss == 1460);
    const SynOptions phantun = parse({1, 3, 3, 14});
    CHECK(phantun.scaled && !phantun.sack_permitted && phantun.mss == 0);
    const SynOptions none = parse({});
    CHECK(!none.scaled && !none.sack_permitted && none.mss == 0);
  });

  test("what cannot be read in a SYN's options says nothing", [&] {
    CHECK(!parse({0, 3, 3, 14}).scaled);              // behind the end
    CHECK(!parse({9, 0, 3, 3, 14}).scaled);           // behind a length of 0
    CHECK(!parse({9, 1, 3, 3, 14}).scaled);           // … of 1
    CHECK(!parse({3}).scaled);                        // no length
    CHECK(!parse({3, 3}).scaled);                     // longer than what is there
    CHECK(!parse({3, 4, 14, 0}).scaled);              // not its length
    CHECK(parse({9, 3, 3, 3, 3, 14}).scaled);         // behind an option that nobody knows
    CHECK(parse({2, 4, 5}).mss == 0);                 // cut short
    CHECK(parse({2, 3, 5, 2, 4, 4, 0}).mss == 1024);  // the first has not its length
    CHECK(parse({2, 4, 0, 0}).mss == 0);              // 0 is none
    CHECK(parse({2, 4, 5, 180, 2, 4, 4, 0}).mss == 1024);
    CHECK(parse({2, 4, 4, 0, 2, 4, 5, 180, 2, 4, 0, 0}).mss == 1024);
  });
}

void limit_mss_tests() {
  test("an MSS that is too large is lowered, and nothing else is touched", [] {
    const auto limited = [](Bytes options, size_t most) {
      limit_mss(options, most);
      return options;
    };
    const Bytes ours{2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 14};
    CHECK((limited(ours, 1240) == Bytes{2, 4, 4, 0xd8, 1, 1, 4, 2, 1, 3, 3, 14}));
    for (const size_t most : {1460, 1461, 65535, 65536 + 1240}) CHECK(limited(ours, most) == ours);
    CHECK((limited(ours, 1459) == Bytes{2, 4, 5, 0xb3, 1, 1, 4, 2, 1, 3, 3, 14}));
    // phantun's have none, nor has an option that is cut short.
    for (const Bytes& none : {Bytes{1, 3, 3, 14}, Bytes{2, 4, 5}, Bytes{2}, Bytes{}}) CHECK(limited(none, 1) == none);
  });
}

void refused_syn_tests() {
  test("of SYNs that were refused nearly all are known again, of others 1 in 256", [] {
    constexpr uint64_t kKey = 0x1234;
    RefusedSyns refused(1 << 20);
    const auto hash_of = [](uint32_t i) {
      return Tuple{v4(192, 0, 2, 1, 443), v4(10, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8),
                                             static_cast<uint8_t>(i), static_cast<uint16_t>(1024 + i % 60000))}
          .hash(kKey);
    };
    constexpr uint32_t kRefused = 100'000;
    for (uint32_t i = 0; i < kRefused; ++i) refused.add(hash_of(i));
    uint32_t known = 0, strangers = 0;
    for (uint32_t i = 0; i < kRefused; ++i) known += refused.contains(hash_of(i));
    for (uint32_t i = kRefused; i < 2 * kRefused; ++i) strangers += refused.contains(hash_of(i));
    CHECK(known > kRefused * 9 / 10);
    CHECK(strangers < kRefused / 100);
  });
}

void token_tests() {
  test("a bucket gives its tokens of a second at once, and then at that rate", [] {
    TokenBucket bucket(100);
    const uint64_t now = coarse_milliseconds();
    const auto take_all = [&](uint64_t at) {
      int taken = 0;
      while (bucket.take(at)) ++taken;
      return taken;
    };
    CHECK(take_all(now) == 100);
    CHECK(take_all(now + 50) == 5);
    CHECK(take_all(now + 60'000) == 100);
  });
}

}  // namespace

int main() {
  verdict_tests();
  cookie_tests();
  option_tests();
  limit_mss_tests();
  pace_tests();
  refused_syn_tests();
  token_tests();
  checksum_tests();
  codec_tests();
  table_tests();
  run_tests();
  device_tests();
  fragment_tests();
  icmp_tests();
  note_tests();
  return done();
}
