// The engine with its workers and both paths, without Node and without threads; built with AddressSanitizer and UBSan.
#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"

using namespace guise;

namespace {

void end_tests() {
  test("an engine that ends with flows open leaves neither memory nor descriptors", [] {
    LoopbackSocket application, backend;
    const size_t before = open_descriptors();
    {
      EngineRig rig;
      const char* syscall = "";
      const uint16_t port = rig.listen_udp();
      CHECK(application.send(port, std::vector<uint8_t>{1, 2, 3}, 3));
      rig.settle();
      const auto events = rig.events();
      CHECK(events.size() == 1 && events[0].record.type == EventType::kApplication);
      CHECK(rig.engine->splice_application(rig.open(1), events[0].record.id) == 0);
      CHECK(rig.engine->splice_udp(rig.open(2), backend.endpoint(), {}, syscall) == 0);
      rig.settle();
    }
    CHECK(open_descriptors() == before);
  });
}

void abandoned_tests() {
  test("what still waits when a flow or a peer goes is counted", [] {
    LoopbackSocket application;
    EngineRig rig;
    const EngineCounters& counters = rig.engine->counters()->engine();
    const uint64_t& abandoned = counters.dropped[static_cast<size_t>(DropReason::kAbandoned)];
    const uint32_t id = rig.open(1);
    rig.settle();
    rig.put(1, 1, {1, 2, 3});
    rig.put(1, 4, {4, 5});
    rig.settle();
    rig.engine->close_flow(id);
    // The timer of the ACK that was due lets go of it last.
    while (abandoned == 0) rig.settle();
    CHECK(abandoned == 2);
    const auto port = rig.listen_udp();
    rig.settle();
    rig.events();
    CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 1);
    if (events.empty()) return;
    rig.engine->forget_application(events[0].record.id);
    rig.settle();
    CHECK(abandoned == 3 && counters.waiting_bytes == 0);
  });
}

void id_tests() {
  test("events that still wait when their flow's id is used again are not taken for the new one's", [] {
    EngineRig rig(1);
    const FlowCounters& counters = rig.engine->counters()->flow(1);
    CHECK(rig.open(1, true) == 1);
    rig.put(1, 1, {1, 2, 3});
    rig.settle();
    rig.engine->close_flow(1);
    rig.settle();
    CHECK(rig.open(2, true) == 1);
    rig.put(2, 1, {4, 5, 6});
    rig.settle();
    std::vector<EngineRig::Bytes> current;
    for (const auto& [record, payload] : rig.events()) {
      CHECK(record.id == 1);
      if (record.type == EventType::kDatagram && record.detail == counters.generation) current.push_back(payload);
    }
    CHECK((current == std::vector<EngineRig::Bytes>{{4, 5, 6}}));
  });
}

void splice_tests() {
  test("with more than one worker, a flow that is closed takes its peer and its endpoint along", [] {
    LoopbackSocket application, backend;
    EngineRig rig(8, 2);
    const auto port = rig.listen_udp();
    const size_t before = open_descriptors();
    for (size_t owner = 0; owner < 2; ++owner) {
      const uint32_t id = rig.open(1, false, owner);
      const char* syscall = "";
      CHECK(rig.engine->splice_udp(id, backend.endpoint(), {}, syscall) == 0);
      rig.settle();
      rig.engine->close_flow(id);
      rig.settle();
      CHECK(open_descriptors() == before);
    }
    for (int times = 0; times < 2; ++times) {
      CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
      rig.settle();
      auto events = rig.events(0);
      std::ranges::copy(rig.events(1), std::back_inserter(events));
      std::erase_if(events, [](const auto& event) { return event.record.type != EventType::kApplication; });
      CHECK(events.size() == 1);
      if (events.empty()) return;
      // The other worker forgets the flow first.
      const size_t owner = events[0].record.worker;
      const uint32_t id = rig.open(1, false, owner);
      CHECK(rig.engine->splice_application(id, events[0].record.id) == 0);
      rig.settle();
      rig.engine->close_flow(id);
      rig.engine->turn(1 - owner);
      rig.settle();
    }
  });

  test("a peer that is spliced to a second flow stays with it when the first one lets go", [] {
    LoopbackSocket application;
    EngineRig rig;
    const auto port = rig.listen_udp();
    const auto send = [&] {
      CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
      rig.settle();
    };
    send();
    const uint32_t peer = rig.events().at(0).record.id;
    const uint32_t first = rig.open(1), second = rig.open(2);
    for (const uint32_t id : {first, second}) CHECK(rig.engine->splice_application(id, peer) == 0);
    rig.engine->unsplice(first);
    send();
    rig.engine->close_flow(first);
    send();
    CHECK(rig.engine->counters()->flow(second).sent_datagrams == 2);
  });

  test("a flow is spliced once; its endpoint is not taken away like a peer", [] {
    LoopbackSocket backend, other;
    EngineRig rig;
    const char* syscall = "";
    const uint32_t id = rig.open(1);
    CHECK(rig.engine->splice_udp(id, backend.endpoint(), {{1}}, syscall) == 0);
    CHECK(rig.engine->splice_udp(id, other.endpoint(), {{2}}, syscall) == -EISCONN);
    CHECK(rig.engine->splice_application(id, 1) == -EISCONN);
    rig.engine->unsplice(id);
    rig.settle();
    uint16_t port = 0;
    CHECK(backend.receive(port).size() == 1);
    CHECK(!other.receive(port).data());
    CHECK(backend.send(port, std::vector<uint8_t>{3, 4}, 2));
    rig.settle();
    CHECK(rig.engine->counters()->flow(id).sent_datagrams == 1);
  });
}

void flood_tests() {
  test("of SYNs that go on coming faster than they are read a share is answered, and those that come again", [] {
    constexpr uint16_t kBatch = 64, kPatience = 32, kShare = 16;  // of test_policy()
    EngineRig rig;
    const EngineCounters& counters = rig.engine->counters()->engine();
    const uint64_t& refused = counters.dropped[static_cast<size_t>(DropReason::kSynLimit)];
    rig.engine->listen(443, {});
    rig.settle();
    const auto put = [&](uint16_t first, uint16_t many) {
      for (uint16_t port = first; port < first + many; ++port) rig.put(port, 7, {}, 0, kSyn);
    };
    put(1, 1);  // always one more than is read
    for (uint16_t i = 0; i < kPatience; ++i) {
      put(1000 + i * kBatch, kBatch);
      rig.engine->turn(0);
    }
    CHECK(counters.syns_answered == kPatience * kBatch && refused == 0);
    // One in 256 passes for one that came before.
    put(10'000, kBatch);
    rig.engine->turn(0);
    CHECK(refused > kBatch / 2);
    put(20'000, kShare);
    put(10'000 + kShare, kShare);  // they were refused
    put(30'000, kBatch - 2 * kShare);
    const uint64_t before = counters.syns_answered;
    rig.engine->turn(0);
    CHECK(counters.syns_answered >= before + 2 * kShare - 1);
    CHECK(refused > kBatch / 2 + kShare);

    rig.settle();
    const uint64_t in_all = refused;
    put(40'000, 1);
    rig.settle();
    CHECK(refused == in_all);
  });
}

void keepalive_tests() {
  test("keepalives of all flows at once are answered, many of one flow are not", [] {
    constexpr uint16_t kFlows = 4000;
    EngineRig rig(kFlows);
    const EngineCounters& counters = rig.engine->counters()->engine();
    for (uint16_t port = 1; port <= kFlows; ++port) (void)rig.open(port);
    rig.settle();
    for (uint16_t port = 1; port <= kFlows; ++port) {
      rig.put(port, 0, {});
      rig.engine->turn(0);
    }
    CHECK(counters.challenges == kFlows);
    for (int i = 0; i < 100; ++i) rig.put(1, 0, {});
    rig.settle();
    CHECK(counters.challenges < kFlows + 50);
    CHECK(counters.challenges + counters.dropped[static_cast<size_t>(DropReason::kChallengeLimit)] == kFlows + 100);
  });
}

}  // namespace

int main() {
  end_tests();
  flood_tests();
  keepalive_tests();
  abandoned_tests();
  splice_tests();
  id_tests();
  return done();
}
