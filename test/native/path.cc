// What the engine does where a path carries less than datagrams have: fragments, drops, notes, and what routers say by
// ICMP. Without Node and without threads; built with AddressSanitizer and UBSan.
#include <set>
#include <string>
#include <vector>

#include "../support/icmp.h"
#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"
#include "wire/reassembly.h"

using namespace guise;

namespace {

using Bytes = EngineRig::Bytes;

// A segment that has left.
struct Sent {
  uint32_t seq = 0, ack = 0;
  uint8_t flags = 0;
  Bytes payload;
  std::vector<size_t> packets;  // bytes of each that it left in
};

// What has left since the last call, with fragments put together. All of it is right, or the case fails.
std::vector<Sent> all_sent(EngineRig& rig) {
  Reassembly reassembly({.bytes = 4 << 20, .fragments = 200, .wait4 = 1000, .wait6 = 1000}, 1);
  std::vector<Sent> all;
  std::vector<size_t> packets;
  for (Bytes packet = rig.next_packet(); !packet.empty(); packet = rig.next_packet()) {
    packets.push_back(packet.size());
    std::span<const uint8_t> whole = packet;
    if (packet[0] >> 4 == 4 && read16(&packet[ipv4::kFragment]) & ipv4::kMoreOrOffset) {
      const auto fragment = parse_fragment(packet);
      CHECK(fragment.has_value());
      if (!fragment) break;
      whole = reassembly.take(*fragment, 0);
      if (whole.empty()) continue;
    }
    SegmentView view;
    CHECK(parse_segment(whole, nullptr, view) == ParseError::kNone);
    all.push_back({view.seq, view.ack, view.flags, {view.payload.begin(), view.payload.end()}, std::move(packets)});
    packets.clear();
  }
  CHECK(packets.empty());
  return all;
}

Bytes note_of(const Note& note, size_t size, uint64_t nonce = 1) {
  Bytes bytes(size);
  write_note(bytes.data(), note, nonce);
  return bytes;
}

void path_limit_tests() {
  test("a datagram that is larger than the path limit leaves in fragments, in its place, or is dropped", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    const FlowCounters& flow = rig.engine->counters()->flow(id);
    const EngineCounters& counters = rig.engine->counters()->engine();
    const std::vector<Datagram> datagrams{Bytes(1000, 1), Bytes(1001, 2), Bytes(3, 3), Bytes(1460, 4), Bytes(1461, 5)};
    rig.engine->set_path_limit(id, {.payload = 1000, .fragments = true});
    rig.engine->send_datagrams(id, datagrams);
    rig.settle();
    const auto sent = all_sent(rig);
    CHECK(sent.size() == 4);
    uint32_t seq = 1;
    for (size_t i = 0; i < sent.size(); ++i) {
      CHECK(sent[i].payload == datagrams[i] && sent[i].seq == seq && sent[i].ack == 1 && sent[i].flags == kAck);
      CHECK(sent[i].packets.size() == (datagrams[i].size() > 1000 ? 2 : 1));
      for (const size_t size : sent[i].packets) CHECK(size <= 1040);
      seq += static_cast<uint32_t>(datagrams[i].size());
    }
    CHECK(flow.sent_datagrams == 4 && flow.sent_bytes == seq - 1 && flow.send_next == seq);
    CHECK(counters.fragmented == 2 && counters.device_writes == 6);
    CHECK(flow.sent_drops == 1 && rig.dropped(DropReason::kOversize) == 1);

    rig.engine->set_path_limit(id, {.payload = 1000, .fragments = false});
    rig.engine->send_datagrams(id, datagrams);
    rig.settle();
    const auto rest = all_sent(rig);
    CHECK(rest.size() == 2 && rest[0].payload == datagrams[0] && rest[0].seq == seq);
    CHECK(rest.size() == 2 && rest[1].payload == datagrams[2] && rest[1].seq == seq + 1000);
    CHECK(flow.sent_datagrams == 6 && flow.sent_drops == 4 && flow.send_next == seq + 1003);
    CHECK(rig.dropped(DropReason::kPathMtu) == 2 && rig.dropped(DropReason::kOversize) == 2);
    CHECK(counters.fragmented == 2);
  });

  test("of an application's datagrams that come merged those leave in one packet that fit", [] {
    LoopbackSocket application;
    EngineRig rig;
    const uint16_t port = rig.listen_udp();
    CHECK(application.send(port, Bytes(1), 1));
    rig.settle();
    const uint32_t id = rig.open(1);
    CHECK(rig.engine->splice_application(id, rig.events().at(0).record.id) == 0);
    rig.engine->set_path_limit(id, {.payload = 1000, .fragments = true});
    rig.settle();
    CHECK(all_sent(rig).size() == 1);
    CHECK(application.send(port, Bytes(3 * 1200 + 500, 7), 1200));
    CHECK(application.send(port, Bytes(4 * 1000, 8), 1000));
    rig.settle();
    std::vector<std::pair<size_t, size_t>> sizes;
    for (const Sent& sent : all_sent(rig)) sizes.emplace_back(sent.payload.size(), sent.packets.size());
    CHECK((sizes == std::vector<std::pair<size_t, size_t>>{
                        {1200, 2}, {1200, 2}, {1200, 2}, {500, 1}, {1000, 1}, {1000, 1}, {1000, 1}, {1000, 1}}));
    CHECK(rig.engine->counters()->engine().fragmented == 3);
  });

  test("of a datagram whose fragments the device refuses one drop is counted", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->set_path_limit(id, {.payload = 100, .fragments = true});
    rig.settle();
    const FlowCounters& flow = rig.engine->counters()->flow(id);
    while (rig.dropped(DropReason::kDeviceRefused) == 0) {
      rig.engine->send_datagrams(id, {Bytes(1000)});
      rig.settle();
    }
    CHECK(flow.sent_drops == 1 && rig.dropped(DropReason::kDeviceRefused) == 1);
    CHECK(flow.send_next == 1 + flow.sent_bytes);
  });

  test("that a large datagram has left is said once, and again when it was asked for again", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    const auto sizes_said = [&] {
      std::vector<uint32_t> sizes;
      rig.settle();
      for (const auto& [record, payload] : rig.events()) {
        if (record.type != EventType::kLargeSent) continue;
        CHECK(record.id == id && record.detail == rig.engine->counters()->flow(id).generation);
        sizes.push_back(record.seq);
      }
      return sizes;
    };
    using Sizes = std::vector<uint32_t>;
    const PathLimit limit{.payload = 1000, .fragments = false, .watched = 500};
    rig.engine->send_datagrams(id, {Bytes(1460)});
    CHECK(sizes_said().empty());
    rig.engine->set_path_limit(id, limit);
    rig.engine->send_datagrams(id, {Bytes(500), Bytes(1)});
    CHECK(sizes_said().empty());
    rig.engine->send_datagrams(id, {Bytes(501), Bytes(700)});
    CHECK(sizes_said() == Sizes{501});
    rig.engine->send_datagrams(id, {Bytes(900)});
    CHECK(sizes_said().empty());
    rig.engine->set_path_limit(id, limit);
    rig.engine->send_datagrams(id, {Bytes(900), Bytes(501)});
    CHECK(sizes_said() == Sizes{900});
    // What is too large to leave tells as well; what does not leave at all does not matter to the limit.
    rig.engine->set_path_limit(id, limit);
    rig.engine->send_datagrams(id, {Bytes(1001)});
    CHECK(sizes_said() == Sizes{1001});
    CHECK(rig.dropped(DropReason::kPathMtu) == 1);
    // Above the limit only.
    rig.engine->set_path_limit(id, {.payload = 1000, .fragments = true, .watched = 1200});
    rig.engine->send_datagrams(id, {Bytes(1200), Bytes(1201)});
    CHECK(sizes_said() == Sizes{1201});
    CHECK(rig.engine->counters()->engine().fragmented == 2);
  });

  test("a flow that is closed, or never was, has no limit and sends no notes", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.settle();
    rig.engine->close_flow(id);
    for (const uint32_t none : {id, 0u, 7u, UINT32_MAX}) {
      rig.engine->set_path_limit(none, {.payload = 1000});
      rig.engine->send_probe(none, {.size = Note::kSize, .span = Note::kSize});
    }
    rig.settle();
    CHECK(rig.next_packet().empty());
  });
}

void note_tests() {
  constexpr uint32_t kBehind = 1 - 1400;  // of the first number

  test("a probe is answered at once, and is nothing to the application", [] {
    LoopbackSocket backend;
    for (const bool spliced : {false, true}) {
      EngineRig rig;
      const uint32_t id = rig.open(1, !spliced);
      const FlowCounters& flow = rig.engine->counters()->flow(id);
      const char* syscall = "";
      if (spliced) CHECK(rig.engine->splice_udp(id, backend.endpoint(), {}, syscall) == 0);
      rig.engine->send_datagrams(id, {Bytes(1000)});
      rig.settle();
      CHECK(all_sent(rig).size() == 1);
      rig.put(1, 1, {1, 2, 3}, 0, kAck, 301);
      rig.settle();
      (void)rig.events();
      uint16_t from = 0;
      if (spliced) CHECK(backend.receive(from).size() == 3);
      (void)all_sent(rig);
      for (const size_t size : {Note::kSize, size_t{1400}}) {
        rig.put(1, kBehind,
                note_of({.type = Note::Type::kProbe, .size = static_cast<uint16_t>(size), .token = 0x12345678}, size),
                0, kAck, 301);
        rig.settle();
        const auto sent = all_sent(rig);
        CHECK(sent.size() == 1);
        if (sent.empty()) continue;
        const auto note = read_note(sent[0].payload);
        CHECK(sent[0].payload.size() == Note::kSize && sent[0].flags == kAck && sent[0].ack == 4);
        // In front of what the peer has acknowledged last.
        CHECK(sent[0].seq == 301 - Note::kSize);
        CHECK(note && note->type == Note::Type::kAnswer && note->token == 0x12345678 && note->size == size);
      }
      CHECK(flow.receive_next == 4 && flow.received_datagrams == 1 && flow.send_next == 1001);
      CHECK(flow.sent_datagrams == 1 && flow.received_segments == 3);
      CHECK(rig.events().empty() && !backend.receive(from).data());
      CHECK(rig.engine->counters()->engine().waiting_bytes == 0);
    }
  });

  test("a probe that came in another size than it left is told of once, and answered with the size that came", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.settle();
    (void)rig.events();
    for (const size_t came : {size_t{100}, size_t{2920}}) {
      rig.put(1, kBehind, note_of({.type = Note::Type::kProbe, .size = 1460}, came));
      rig.settle();
      const auto sent = all_sent(rig);
      CHECK(sent.size() == 1);
      const auto note = sent.empty() ? std::nullopt : read_note(sent[0].payload);
      CHECK(note && note->size == came);
    }
    const auto events = rig.events();
    CHECK(events.size() == 1 && events[0].record.type == EventType::kRecut && events[0].record.id == id);
  });

  test("a pair of probes leaves as two segments, one behind the other, once the peer was heard", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->send_probe(id, {.token = 7, .size = 64, .span = 128, .pair = true});
    rig.settle();
    CHECK(all_sent(rig).empty());
    rig.put(1, 1, {}, 0, kAck);
    rig.settle();
    rig.engine->send_probe(id, {.token = 7, .size = 64, .span = 128, .pair = true});
    rig.settle();
    const auto sent = all_sent(rig);
    CHECK(sent.size() == 2);
    for (uint32_t i = 0; i < sent.size(); ++i) {
      const auto note = read_note(sent[i].payload);
      CHECK(note && note->token == 7 + i && note->size == 64 && sent[i].payload.size() == 64);
      CHECK(sent[i].seq == 1u - 128 + 64 * i);
    }
  });

  test("answers look each like another", [] {
    EngineRig rig;
    (void)rig.open(1);
    std::set<Bytes> answers;
    for (int times = 0; times < 10; ++times) {
      rig.put(1, kBehind, note_of({.type = Note::Type::kProbe, .size = 24}, 24));
      rig.settle();
      for (const Sent& sent : all_sent(rig)) answers.insert(sent.payload);
    }
    CHECK(answers.size() == 10);
  });

  test("an answer is told of, and answered by nothing; a note of a later version is nothing", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1, true);
    rig.settle();
    (void)rig.events();
    rig.put(1, kBehind, note_of({.type = Note::Type::kAnswer, .size = 1460, .token = 0xfedcba98}, 24));
    rig.put(1, kBehind, note_of({.type = static_cast<Note::Type>(4), .size = 1, .token = 1}, 24));
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 1);
    if (events.empty()) return;
    const EventRecord& record = events[0].record;
    CHECK(record.type == EventType::kAnswer && record.id == id && record.seq == 0xfedcba98 && record.ack == 1460);
    CHECK(record.detail == rig.engine->counters()->flow(id).generation);
    CHECK(rig.next_packet().empty());
    CHECK(rig.engine->counters()->flow(id).receive_next == 1);
  });

  test("a datagram of 0 bytes leaves in a note, if the peer is a guise that knows the connection", [] {
    LoopbackSocket application;
    EngineRig rig;
    const uint16_t port = rig.listen_udp();
    CHECK(application.send(port, {}, 1));  // opens no connection
    rig.settle();
    CHECK(rig.events().empty() && rig.dropped(DropReason::kEmptyDatagram) == 1);
    CHECK(application.send(port, Bytes(1), 1));
    rig.settle();
    const uint32_t id = rig.open(1);
    CHECK(rig.engine->splice_application(id, rig.events().at(0).record.id) == 0);
    rig.settle();
    CHECK(all_sent(rig).size() == 1);
    CHECK(application.send(port, {}, 1));
    rig.settle();
    rig.engine->send_datagrams(id, {Bytes(), Bytes(2)});
    rig.settle();
    const auto sent = all_sent(rig);
    CHECK(sent.size() == 3);
    for (size_t i = 0; i < sent.size() && i < 2; ++i) {
      const auto note = read_note(sent[i].payload);
      CHECK(note && note->type == Note::Type::kEmpty && sent[i].payload.size() == Note::kSize);
      CHECK(sent[i].seq == 1 - uint32_t{Note::kSize} && sent[i].flags == kAck);
    }
    CHECK(sent.size() == 3 && sent[0].payload != sent[1].payload && sent[2].payload == Bytes(2) && sent[2].seq == 2);
    const FlowCounters& flow = rig.engine->counters()->flow(id);
    CHECK(flow.sent_datagrams == 4 && flow.sent_bytes == 3 && flow.sent_drops == 0);

    for (const bool phantun : {false, true}) {
      Flow::Options options;
      options.tuple = EngineRig::tuple(phantun ? 2 : 3);
      options.send_next = options.receive_next = 1;
      options.max_payload = 1460;
      options.limit_initial_window = true;
      options.acknowledges = !phantun;
      const auto other = static_cast<uint32_t>(rig.engine->open_flow(options));
      const FlowCounters& counters = rig.engine->counters()->flow(other);
      rig.engine->send_datagrams(other, {Bytes()});
      rig.settle();
      CHECK(rig.next_packet().empty() && counters.sent_drops == 1 && counters.sent_datagrams == 0);
      rig.put(phantun ? 2 : 3, 1, {});
      rig.settle();
      rig.engine->send_datagrams(other, {Bytes()});
      rig.settle();
      CHECK(all_sent(rig).size() == (phantun ? 0 : 1));
    }
    CHECK(rig.dropped(DropReason::kEmptyDatagram) == 4);
  });

  test("a datagram of 0 bytes is delivered, to whomever it is for", [] {
    LoopbackSocket backend;
    EngineRig rig;
    const uint32_t id = rig.open(1);
    const FlowCounters& flow = rig.engine->counters()->flow(id);
    const Bytes empty = note_of({.type = Note::Type::kEmpty}, Note::kSize);
    rig.settle();
    (void)rig.events();
    rig.put(1, kBehind, empty);  // nobody is there yet: nothing would bound those that wait
    rig.settle();
    CHECK(flow.received_datagrams == 1 && flow.received_drops == 1 && rig.dropped(DropReason::kEmptyDatagram) == 1);
    const uint32_t read = rig.open(2, true);
    rig.settle();
    (void)rig.events();
    rig.put(2, kBehind, empty);
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 1 && events[0].record.type == EventType::kDatagram && events[0].record.id == read);
    CHECK(events.size() == 1 && events[0].payload.empty());

    const char* syscall = "";
    CHECK(rig.engine->splice_udp(id, backend.endpoint(), {Bytes(), Bytes(1)}, syscall) == 0);
    rig.settle();
    rig.put(1, 1, Bytes(3));
    rig.put(1, kBehind, empty);
    rig.settle();
    uint16_t from = 0;
    for (const size_t size : {0, 1, 3, 0}) {
      const auto datagram = backend.receive(from);
      CHECK(datagram.data() && datagram.size() == size);
    }
    CHECK(!backend.receive(from).data() && flow.received_datagrams == 3 && flow.receive_next == 4);
    backend.refuse();
    rig.put(1, kBehind, empty);
    rig.settle();
    rig.put(1, kBehind, empty);
    rig.settle();
    CHECK(flow.received_drops >= 2 && rig.dropped(DropReason::kBackendRefused) >= 1);
  });

  test("a late datagram that is no note is delivered, and so is a note in the place of data", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1, true);
    rig.settle();
    (void)rig.events();
    const Bytes data(24, 5), note = note_of({.type = Note::Type::kProbe, .size = 24}, 24);
    rig.put(1, 1, Bytes(100, 4));
    rig.put(1, 50, data);
    rig.put(1, kBehind, Bytes(3, 6));
    rig.put(1, 101, note);
    rig.settle();
    std::vector<Bytes> delivered;
    for (const auto& event : rig.events()) {
      CHECK(event.record.type == EventType::kDatagram);
      delivered.push_back(event.payload);
    }
    CHECK((delivered == std::vector<Bytes>{Bytes(100, 4), data, Bytes(3, 6), note}));
    CHECK(rig.engine->counters()->flow(id).receive_next == 125);
    for (const Sent& sent : all_sent(rig)) CHECK(sent.payload.empty());
  });

  test("a datagram that GRO has merged with the note in front of it is delivered", [] {
    EngineRig rig(8, 1, test_policy(), true);
    const uint32_t id = rig.open(1, true);
    rig.settle();
    (void)rig.events();
    VirtioNetHeader offload;
    offload.flags = VirtioNetHeader::kDataValid;
    offload.gso_type = VirtioNetHeader::kGsoTcp4;
    offload.gso_size = Note::kSize;
    Bytes payload = note_of({.type = Note::Type::kAnswer, .size = 1460, .token = 9}, Note::kSize);
    for (const uint8_t byte : {1, 2, 3}) payload.push_back(byte);
    const Bytes segment = EngineRig::segment_of(1, 1u - uint32_t{Note::kSize}, payload, kAck | kPsh, 1);
    Bytes packet(sizeof offload);
    std::memcpy(packet.data(), &offload, sizeof offload);
    packet.insert(packet.end(), segment.begin(), segment.end());
    rig.put_packet(packet);
    rig.settle();
    const auto events = rig.events();
    CHECK(EngineRig::count_of(events, EventType::kAnswer, id) == 1 &&
          EngineRig::count_of(events, EventType::kDatagram, id) == 1);
    for (const auto& event : events) {
      if (event.record.type == EventType::kDatagram) CHECK((event.payload == Bytes{1, 2, 3}));
    }
    CHECK(rig.engine->counters()->flow(id).receive_next == 4);
  });

  test("a note leaves in front of what the peer has to acknowledge, and takes no number", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->set_path_limit(id, {.payload = 500, .fragments = true});
    rig.engine->send_datagrams(id, {Bytes(400)});
    rig.settle();
    (void)all_sent(rig);
    rig.put(1, 1, {}, 0, kAck, 201);
    rig.settle();
    for (const bool fragment : {false, true}) {
      rig.engine->send_probe(id, {.token = 77, .size = 1400, .span = 1560, .fragment = fragment});
      rig.settle();
      const auto sent = all_sent(rig);
      CHECK(sent.size() == 1);
      if (sent.empty()) continue;
      const auto note = read_note(sent[0].payload);
      CHECK(note && note->type == Note::Type::kProbe && note->token == 77);
      CHECK(sent[0].payload.size() == 1400 && sent[0].seq == 201u - 1560 && sent[0].flags == kAck);
      CHECK(
          std::all_of(sent[0].payload.begin() + Note::kSize, sent[0].payload.end(), [](uint8_t b) { return b == 0; }));
      CHECK(sent[0].packets.size() == (fragment ? 3 : 1));
    }
    const FlowCounters& flow = rig.engine->counters()->flow(id);
    CHECK(flow.send_next == 401 && flow.sent_datagrams == 1 && rig.engine->counters()->engine().fragmented == 0);
  });
}

// What a router says of a segment of this tuple, of which `size` bytes are quoted behind the headers.
Bytes error_about(const Tuple& tuple, uint32_t seq, const IcmpHead& head) {
  const SegmentHeader header(tuple);
  Bytes quoted(header.size());
  header.write(quoted.data(), seq, 1, kAck, {}, 1000);
  Address router = tuple.remote.address;
  router.bytes[15] = 99;
  return icmp_error(router, tuple.local.address, head, quoted);
}

void icmp_tests() {
  test("an ICMP error about what is under way is told of, any other is counted as forged", [] {
    for (const bool four : {true, false}) {
      EngineRig rig;
      Flow::Options options;
      options.tuple = EngineRig::tuple(1);
      if (!four) {
        const uint8_t here[16] = {0xfd, 1}, there[16] = {0xfd, 2};
        options.tuple = {{Address::from_v6(here), 443}, {Address::from_v6(there), 1}};
      }
      options.send_next = 0xffff'fff0;
      options.receive_next = 1;
      options.max_payload = 1460;
      const auto id = static_cast<uint32_t>(rig.engine->open_flow(options));
      rig.settle();
      (void)rig.events();
      uint64_t forged = 0;
      const auto is_told = [&](uint32_t seq) {
        const uint64_t before = forged;
        rig.put_packet(error_about(options.tuple, seq, IcmpHead::too_big(four, 1400)));
        rig.settle();
        forged = rig.dropped(DropReason::kIcmpForged);
        const auto events = rig.events();
        CHECK(events.size() + (forged - before) == 1);
        if (events.empty()) return false;
        const EventRecord& record = events[0].record;
        CHECK(record.type == EventType::kIcmpError && record.id == id && record.seq == seq && record.ack == 1400);
        CHECK(record.detail == rig.engine->counters()->flow(id).generation);
        CHECK(record.flags == static_cast<uint8_t>(IcmpError::Kind::kTooBig));
        const Bytes& payload = events[0].payload;
        CHECK(payload.size() == 17 && payload[0] == (four ? icmp::kFragmentationNeeded : 0) && payload[16] == 99);
        CHECK(std::equal(payload.begin() + 1, payload.begin() + 16, options.tuple.remote.address.bytes.begin()));
        return true;
      };
      // Nothing is under way yet.
      for (const uint32_t seq : {0xffff'fff0u, 0xffff'ffefu, 0u, 1u}) CHECK(!is_told(seq));
      rig.engine->send_datagrams(id, {Bytes(100)});
      rig.settle();
      for (const uint32_t seq : {0xffff'fff0u, 0u, 83u}) CHECK(is_told(seq));
      for (const uint32_t seq : {0xffff'ffefu, 84u, 0x8000'0000u}) CHECK(!is_told(seq));
      // The number of the last probe, which is behind all that: it leaves when the peer was heard.
      count(rig.engine->counters()->flow(id).received_segments);
      rig.engine->send_probe(id, {.size = 1000, .span = 1100});
      rig.settle();
      const uint32_t probe = 0xffff'fff0u - 1100;
      CHECK(is_told(probe));
      for (const uint32_t seq : {probe - 1, probe + 1}) CHECK(!is_told(seq));
      rig.engine->send_probe(id, {.size = 1000, .span = 1200});
      rig.settle();
      CHECK(!is_told(probe));
      CHECK(is_told(probe - 100));
    }
  });

  test("what is acknowledged is not under way any more", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->send_datagrams(id, {Bytes(100)});
    rig.put(1, 1, {}, 0, kAck, 101);
    rig.settle();
    (void)rig.events();
    for (const uint32_t seq : {1, 100, 101})
      rig.put_packet(error_about(EngineRig::tuple(1), seq, IcmpHead::too_big(true, 600)));
    rig.settle();
    CHECK(rig.events().empty() && rig.dropped(DropReason::kIcmpForged) == 3);
  });

  test("an ICMP error about a segment of no flow is told of with its tuple, whatever it is", [] {
    EngineRig rig;
    (void)rig.open(1);
    rig.settle();
    (void)rig.events();
    rig.put_packet(error_about(EngineRig::tuple(2), 7, IcmpHead::unreachable(true, 13)));
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 1);
    if (events.empty()) return;
    const EventRecord& record = events[0].record;
    CHECK(record.type == EventType::kIcmpError && record.id == 0 && record.detail == 0 && record.seq == 7);
    CHECK(record.ack == 0 && record.local_port == 443 && record.remote_port == 2);
    CHECK(record.flags == static_cast<uint8_t>(IcmpError::Kind::kUnreachable) && events[0].payload.at(0) == 13);
  });

  test("other ICMP is dropped as what is not TCP", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->send_datagrams(id, {Bytes(100)});
    rig.settle();
    (void)rig.events();
    rig.put_packet(error_about(EngineRig::tuple(1), 1, {.type = 8, .code = 0}));
    Bytes damaged = error_about(EngineRig::tuple(1), 1, IcmpHead::too_big(true, 600));
    damaged.back() ^= 1;
    rig.put_packet(damaged);
    rig.settle();
    CHECK(rig.events().empty() && rig.dropped(DropReason::kNotTcp) == 2 && rig.dropped(DropReason::kIcmpForged) == 0);
  });

  test("of ICMP errors JavaScript hears as many a second as the policy says", [] {
    Policy policy = test_policy();
    policy.icmp_errors_per_second = 3;
    const uint64_t begin = coarse_milliseconds();
    EngineRig rig(8, 1, policy);
    const uint32_t id = rig.open(1);
    rig.engine->send_datagrams(id, {Bytes(100)});
    rig.settle();
    (void)rig.events();
    for (int i = 0; i < 50; ++i) {
      rig.put_packet(error_about(EngineRig::tuple(static_cast<uint16_t>(1 + i % 2)), 1, IcmpHead::too_big(true, 600)));
      rig.settle();
    }
    const size_t told = EngineRig::count_of(rig.events(), EventType::kIcmpError);
    CHECK(told >= 3 && told <= 4 + 3 * (coarse_milliseconds() - begin) / 1000);
  });
}

}  // namespace

int main() {
  path_limit_tests();
  note_tests();
  icmp_tests();
  return done();
}
