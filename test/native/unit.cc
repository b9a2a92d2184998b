// Codec, flow table, runs and packet device alone, without Node; built with AddressSanitizer and UBSan.
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "../support/policy.h"
#include "check.h"
#include "io/descriptor_device.h"
#include "io/segment_run.h"
#include "plane/syn_cookie.h"
#include "plane/token_bucket.h"
#include "plane/tuple_table.h"
#include "plane/verdict.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/segment.h"
#include "wire/tcp_options.h"

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
  token_tests();
  checksum_tests();
  codec_tests();
  table_tests();
  run_tests();
  device_tests();
  return done();
}
