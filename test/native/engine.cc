// The engine with its workers and both paths, without Node and without threads; built with AddressSanitizer and UBSan.
#include <fcntl.h>
#include <sys/resource.h>

#include <cerrno>
#include <set>
#include <string>

#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"
#include "wire/bytes.h"
#include "wire/note.h"

using namespace guise;
using Bytes = EngineRig::Bytes;

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
  test("a note opens no connection: it would be taken for a datagram, and its number for the next", [] {
    EngineRig rig;
    rig.engine->listen({{}, 443}, {});
    rig.settle();
    rig.put(1, 7, {}, 0, kSyn);
    rig.settle();
    const Bytes answer = rig.next_packet();
    const uint32_t isn = read32(&answer[20 + 4]);
    Bytes note(100);
    write_note(note.data(), {.type = Note::Type::kProbe, .size = 100}, 1);
    rig.put(1, 8 - 1000, note, 0, kAck, isn + 1);
    rig.settle();
    // A RST tells the peer that nobody knows its connection.
    const auto strange = rig.events();
    CHECK(strange.size() == 1 && strange[0].record.type == EventType::kSegment);
    CHECK(rig.dropped(DropReason::kStranger) == 1);
    rig.put(1, 8, {1, 2, 3}, 0, kAck, isn + 1);
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 1 && events[0].record.type == EventType::kOpening);
  });

  test("of SYNs that go on coming faster than they are read a share is answered, and those that come again", [] {
    constexpr uint16_t kBatch = 64, kPatience = 32, kShare = 16;  // of test_policy()
    EngineRig rig;
    const EngineCounters& counters = rig.engine->counters()->engine();
    const uint64_t& refused = counters.dropped[static_cast<size_t>(DropReason::kSynLimit)];
    rig.engine->listen({{}, 443}, {});
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

void control_event_tests() {
  test("when the buffer is full of datagrams JavaScript still hears of all else, behind them", [] {
    Policy policy = test_policy();
    policy.event_buffer_bytes = 4096;
    LoopbackSocket application;
    EngineRig rig(64, 1, policy);
    const uint16_t port = rig.listen_udp();
    const uint32_t flow = rig.open(1, true), other = rig.open(2, true);
    rig.settle();
    CHECK(EngineRig::count_of(rig.events(), EventType::kAttached) == 2);
    uint32_t seq = 1;
    const auto put = [&] {
      rig.put(1, seq, EngineRig::Bytes(100, 7));
      seq += 100;
      rig.settle();
    };
    while (rig.dropped(DropReason::kEventsFull) == 0) put();
    const uint64_t received = rig.engine->counters()->flow(flow).received_datagrams;
    std::vector<uint32_t> opened;
    for (uint16_t i = 0; i < 60; ++i) opened.push_back(rig.open(static_cast<uint16_t>(100 + i)));
    for (int times = 0; times < 100; ++times) {
      rig.put(1, seq, {}, 0, kFin | kAck);
      rig.put(2, 1, {}, 0, kRst);
      rig.settle();
    }
    CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
    rig.settle();
    put();  // nothing overtakes what waits
    rig.wires[0] = UniqueFd();
    rig.settle();

    const auto events = rig.events();
    const uint64_t dropped = rig.dropped(DropReason::kEventsFull);
    CHECK(dropped == 2 && rig.engine->counters()->flow(flow).received_drops == dropped);
    CHECK(EngineRig::count_of(events, EventType::kDatagram) == received + 1 - dropped);
    for (const uint32_t id : opened) CHECK(EngineRig::count_of(events, EventType::kAttached, id) == 1);
    CHECK(EngineRig::count_of(events, EventType::kFlowEnd, flow) == 1 &&
          EngineRig::count_of(events, EventType::kFlowEnd, other) == 1);
    CHECK(EngineRig::count_of(events, EventType::kApplication) == 1 &&
          EngineRig::count_of(events, EventType::kDeviceGone) == 1);
    const auto type_of = [](const auto& event) { return event.record.type; };
    const auto end = std::ranges::find(events, EventType::kFlowEnd, type_of);
    CHECK(std::ranges::find(end, events.end(), EventType::kDatagram, type_of) == events.end());
    CHECK(events.back().record.type == EventType::kDeviceGone);
    CHECK(rig.events().empty());
  });
}

void gone_application_tests() {
  test("a flow that is spliced to an application that is gone does not hold what comes", [] {
    LoopbackSocket application;
    EngineRig rig;
    const uint16_t port = rig.listen_udp();
    const auto come = [&] {
      CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
      rig.settle();
      const auto events = rig.events();
      const auto found =
          std::ranges::find(events, EventType::kApplication, [](const auto& e) { return e.record.type; });
      return found == events.end() ? 0 : found->record.id;
    };
    const uint32_t known = come();
    CHECK(known != 0);
    // Known at once: even before the worker has done it.
    rig.engine->forget_application(known);
    const uint32_t first = rig.open(1);
    CHECK(rig.engine->splice_application(first, known) == -ENOENT);
    CHECK(rig.engine->splice_application(first, 12345) == -ENOENT);

    // Gone a moment later: the end of the flow that carries it takes it along.
    const uint32_t racing = come();
    const uint32_t second = rig.open(2), third = rig.open(3);
    CHECK(rig.engine->splice_application(second, racing) == 0);
    rig.settle();
    rig.put(3, 1, {1, 2, 3});
    rig.settle();
    rig.engine->close_flow(second);
    CHECK(rig.engine->splice_application(third, racing) == 0);
    rig.settle();
    CHECK(EngineRig::count_of(rig.events(), EventType::kApplicationGone, third) == 1);
    rig.put(3, 4, {4, 5, 6});
    rig.settle();
    CHECK(rig.dropped(DropReason::kApplicationGone) == 2);
    CHECK(rig.engine->counters()->flow(third).received_drops == 2);
    CHECK(rig.engine->counters()->engine().waiting_bytes == 0);
  });

  test("an application is carried only by a flow of its own worker", [] {
    LoopbackSocket application;
    EngineRig rig(8, 2);
    const uint16_t port = rig.listen_udp();
    CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
    rig.settle();
    for (size_t worker = 0; worker < 2; ++worker) {
      for (const auto& event : rig.events(worker)) {
        CHECK(event.record.type == EventType::kApplication);
        const uint32_t id = rig.open(1, false, 1 - worker);
        CHECK(rig.engine->splice_application(id, event.record.id) == -EXDEV);
      }
    }
  });
}

void listener_tests() {
  test("two UDP listeners with one port on two addresses each have their own applications", [] {
    EngineRig rig;
    constexpr uint8_t kOther[] = {127, 0, 0, 2};
    const char* syscall = "";
    const int one = rig.engine->listen_udp(LoopbackSocket::loopback(AF_INET, 0), syscall);
    CHECK(one > 0);
    const uint16_t port = rig.engine->udp_port(static_cast<uint32_t>(one));
    const int two = rig.engine->listen_udp({Address::from_v4(kOther), port}, syscall);
    CHECK(two > 0 && two != one);
    CHECK(rig.engine->udp_port(static_cast<uint32_t>(two)) == port);
    LoopbackSocket first, second;
    CHECK(first.send(port, std::vector<uint8_t>{1}, 1));
    CHECK(second.send_to({Address::from_v4(kOther), port}, std::vector<uint8_t>{2, 2}));
    rig.settle();
    const auto events = rig.events();
    CHECK(events.size() == 2);
    std::array<uint32_t, 2> flows{};
    for (const auto& [record, payload] : events) {
      const bool of_first = record.detail == static_cast<uint32_t>(one);
      CHECK(of_first || record.detail == static_cast<uint32_t>(two));
      CHECK(record.remote_port == (of_first ? first : second).endpoint().port);
      const uint32_t id = rig.open(of_first ? 1 : 2);
      flows[of_first ? 0 : 1] = id;
      CHECK(rig.engine->splice_application(id, record.id) == 0);
    }
    rig.put(1, 1, {1});
    rig.put(2, 1, {2, 2});
    rig.settle();
    uint16_t from = 0;
    CHECK(first.receive(from).size() == 1 && second.receive(from).size() == 2);
    CHECK(rig.engine->counters()->flow(flows[0]).sent_bytes == 1);
    CHECK(rig.engine->counters()->flow(flows[1]).sent_bytes == 2);
    // What closes one leaves the other.
    rig.engine->close_udp(static_cast<uint32_t>(one));
    rig.settle();
    CHECK(second.send_to({Address::from_v4(kOther), port}, std::vector<uint8_t>{2, 2}));
    rig.settle();
    CHECK(rig.engine->counters()->flow(flows[1]).sent_bytes == 4);
  });

  test("a UDP listener that is closed leaves no descriptor and no application, and says which flows it served", [] {
    for (const size_t workers : {1, 2}) {
      LoopbackSocket application, unspliced;
      EngineRig rig(8, workers);
      const size_t before = open_descriptors();
      const char* syscall = "";
      const int listener = rig.engine->listen_udp(LoopbackSocket::loopback(AF_INET, 0), syscall);
      const uint16_t port = rig.engine->udp_port(static_cast<uint32_t>(listener));
      CHECK(open_descriptors() == before + workers);
      CHECK(application.send(port, std::vector<uint8_t>{1}, 1));
      CHECK(unspliced.send(port, std::vector<uint8_t>{1}, 1));
      rig.settle();
      std::vector<std::pair<uint32_t, uint32_t>> served;  // flow, application
      for (size_t worker = 0; worker < workers; ++worker) {
        for (const auto& [record, payload] : rig.events(worker)) {
          const uint32_t id = rig.open(static_cast<uint16_t>(1 + served.size()), false, worker);
          CHECK(rig.engine->splice_application(id, record.id) == 0);
          served.emplace_back(id, record.id);
        }
      }
      CHECK(served.size() == 2);
      rig.engine->unsplice(served[1].first);  // what comes on it still goes to the application
      rig.settle();
      rig.engine->close_udp(static_cast<uint32_t>(listener));
      CHECK(rig.engine->udp_port(static_cast<uint32_t>(listener)) == 0);
      const uint32_t late = rig.open(7);
      CHECK(rig.engine->splice_application(late, served[1].second) == -ENOENT);
      rig.settle();
      CHECK(open_descriptors() == before);
      size_t told = 0;
      for (size_t worker = 0; worker < workers; ++worker) {
        told += EngineRig::count_of(rig.events(worker), EventType::kApplicationGone);
      }
      CHECK(told == 2);
      rig.put(1, 1, {1, 2});
      rig.settle();
      CHECK(rig.dropped(DropReason::kApplicationGone) == 1);
      for (const auto& [flow, id] : served) rig.engine->close_flow(flow);
      rig.settle();
    }
  });
}

// What JavaScript was told of refusals of a flow: errnos, 0 when the other end was heard again.
std::vector<uint32_t> refusals_of(EngineRig& rig, uint32_t flow) {
  std::vector<uint32_t> errors;
  for (const auto& [record, payload] : rig.events()) {
    if (record.type == EventType::kRefused && record.id == flow) errors.push_back(record.seq);
  }
  return errors;
}

void refusal_tests() {
  test("datagrams that a backend refuses are counted one by one, and told of once until it answers", [] {
    for (const int family : {AF_INET, AF_INET6}) {
      if (!LoopbackSocket::available(family)) continue;
      LoopbackSocket backend(family), other(family);
      EngineRig rig;
      const char* syscall = "";
      const uint32_t id = rig.open(1);
      const FlowCounters& counters = rig.engine->counters()->flow(id);
      CHECK(rig.engine->splice_udp(id, backend.endpoint(), {{1}}, syscall) == 0);
      rig.settle();
      uint16_t port = 0;
      CHECK(backend.receive(port).size() == 1);
      backend.refuse();
      uint32_t seq = 1;
      for (int i = 0; i < 5; ++i) {
        rig.put(1, seq++, {7});
        rig.settle();
      }
      CHECK(rig.dropped(DropReason::kBackendRefused) == 5 && counters.received_drops == 5);
      for (int i = 0; i < 10; ++i) rig.put(1, seq++, {7});  // one run
      rig.settle();
      CHECK(rig.dropped(DropReason::kBackendRefused) == 15);
      CHECK(refusals_of(rig, id) == std::vector<uint32_t>{ECONNREFUSED});
      CHECK(backend.send(port, std::vector<uint8_t>{1, 2}, 2));
      rig.settle();
      CHECK(refusals_of(rig, id) == std::vector<uint32_t>{0} && counters.sent_datagrams == 1);
      rig.put(1, seq++, {7});
      rig.settle();
      CHECK(refusals_of(rig, id) == std::vector<uint32_t>{ECONNREFUSED});
      CHECK(rig.dropped(DropReason::kUdpSendFailed) == 0);
    }
  });

  test("of an application that is gone the neighbours at its port lose nothing, in either direction", [] {
    for (const int family : {AF_INET, AF_INET6}) {
      if (!LoopbackSocket::available(family)) continue;
      LoopbackSocket gone(family), neighbour(family);
      EngineRig rig;
      const uint16_t port = rig.listen_udp(family);
      rig.settle();
      rig.events();
      uint32_t ids[2];
      for (size_t i = 0; LoopbackSocket * each : {&gone, &neighbour}) {
        CHECK(each->send(port, std::vector<uint8_t>{1}, 1));
        rig.settle();
        uint32_t application = 0;
        for (const auto& [record, payload] : rig.events()) {
          if (record.type == EventType::kApplication) application = record.id;
        }
        ids[i] = rig.open(static_cast<uint16_t>(i + 1));
        CHECK(rig.engine->splice_application(ids[i], application) == 0);
        ++i;
      }
      rig.settle();
      rig.events();
      gone.refuse();
      constexpr uint32_t kTimes = 20;
      for (uint32_t i = 0; i < kTimes; ++i) {
        // An error of the one waits when the other is sent to, and when it has sent.
        for (const uint16_t flow : {1, 2}) rig.put(flow, 1 + i, {static_cast<uint8_t>(i)});
        CHECK(neighbour.send(port, std::vector<uint8_t>{1, 2, 3, 4}, 2));
        rig.settle();
      }
      uint32_t received = 0;
      uint16_t from = 0;
      while (neighbour.receive(from).size() == 1) ++received;
      CHECK(received == kTimes);
      CHECK(rig.engine->counters()->flow(ids[1]).sent_datagrams == 1 + 2 * kTimes);
      CHECK(rig.engine->counters()->flow(ids[1]).received_drops == 0);
      CHECK(rig.dropped(DropReason::kApplicationRefused) == kTimes);
      CHECK(rig.engine->counters()->flow(ids[0]).received_drops == kTimes);
      CHECK(rig.dropped(DropReason::kUdpSendFailed) == 0);
    }
  });
}

void creation_tests() {
  test("the next datagram on a flow that is watched is told of, once, in whichever way it leaves", [] {
    EngineRig rig;
    const uint32_t id = rig.open(1);
    rig.engine->set_path_limit(id, {.payload = 1000, .fragments = true});
    const auto told = [&](const std::vector<Datagram>& datagrams) {
      rig.engine->send_datagrams(id, datagrams);
      rig.settle();
      while (!rig.next_packet().empty()) {
      }
      return EngineRig::count_of(rig.events(), EventType::kAwake, id);
    };
    CHECK(told({Datagram(1)}) == 0);
    for (const size_t size : {1, 1200, 0}) {
      rig.engine->watch_sending(id);
      rig.put(1, 1, {});  // what only comes is nothing
      rig.settle();
      CHECK(EngineRig::count_of(rig.events(), EventType::kAwake) == 0);
      CHECK(told({Datagram(size), Datagram(size)}) == 1);
      CHECK(told({Datagram(size)}) == 0);
    }
    rig.engine->watch_sending(id);
    rig.engine->close_flow(id);
    rig.engine->watch_sending(id);
    rig.settle();
    CHECK(EngineRig::count_of(rig.events(), EventType::kAwake) == 0);
  });

  test("an engine that cannot be made says which call failed and leaves no descriptor", [] {
    const size_t before = open_descriptors();
    rlimit saved{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &saved) == 0);
    std::set<std::string> failed;
    bool made = false;
    for (rlim_t room = 0; room <= 16 && !made; ++room) {
      int fds[2];
      CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
      UniqueFd wire(fds[1]);
      Engine::Options options;
      options.devices.push_back(EngineRig::device(fds[0]));
      options.max_flows = 1;
      options.policy = test_policy();
      options.wake = {[](void*) {}, nullptr};
      const rlimit low{static_cast<rlim_t>(fds[1]) + 1 + room, saved.rlim_max};
      CHECK(::setrlimit(RLIMIT_NOFILE, &low) == 0);
      std::unique_ptr<Engine> engine;
      const char* syscall = "";
      int error = Engine::create(std::move(options), engine, syscall);
      if (error == 0) error = engine->listen_udp(LoopbackSocket::loopback(AF_INET, 0), syscall);
      CHECK(::setrlimit(RLIMIT_NOFILE, &saved) == 0);
      made = error > 0;
      if (!made) {
        CHECK(error == -EMFILE);
        failed.insert(syscall);
      }
      engine.reset();
      wire = UniqueFd();
      CHECK(open_descriptors() == before);
    }
    CHECK(made);
    CHECK((failed == std::set<std::string>{"epoll_create1", "eventfd", "timerfd_create", "socket"}));
  });

  test("a port or an endpoint that there is no descriptor for leaves nothing half made", [] {
    LoopbackSocket backend;
    EngineRig rig(8, 2);
    const uint32_t id = rig.open(1);
    rig.settle();
    const size_t before = open_descriptors();
    rlimit saved{};
    CHECK(::getrlimit(RLIMIT_NOFILE, &saved) == 0);
    const UniqueFd next(::dup(rig.wires[0].get()));
    for (rlim_t room = 0; room < 3; ++room) {
      const rlimit low{static_cast<rlim_t>(next.get()) + 1 + room, saved.rlim_max};
      CHECK(::setrlimit(RLIMIT_NOFILE, &low) == 0);
      const char* syscall = "";
      // A probe that is closed again, and a socket for each worker.
      const int listener = rig.engine->listen_udp(LoopbackSocket::loopback(AF_INET, 0), syscall);
      const int spliced = room == 0 ? rig.engine->splice_udp(id, backend.endpoint(), {}, syscall) : -EMFILE;
      CHECK(::setrlimit(RLIMIT_NOFILE, &saved) == 0);
      CHECK(room == 2 ? listener > 0 : listener == -EMFILE);
      CHECK(spliced == -EMFILE);
      CHECK(room == 2 || std::string(syscall) == "socket");
      if (listener > 0) rig.engine->close_udp(static_cast<uint32_t>(listener));
      rig.settle();
      CHECK(open_descriptors() == before + 1);
    }
    const char* syscall = "";
    CHECK(rig.engine->splice_udp(id, backend.endpoint(), {{1}}, syscall) == 0);
    rig.settle();
    uint16_t from = 0;
    CHECK(backend.receive(from).size() == 1);
  });

  test("a device that cannot be watched is refused", [] {
    const size_t before = open_descriptors();
    Engine::Options options;
    options.devices.push_back(EngineRig::device(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
    options.max_flows = 1;
    options.policy = test_policy();
    std::unique_ptr<Engine> engine;
    const char* syscall = "";
    CHECK(Engine::create(std::move(options), engine, syscall) == -EPERM);
    CHECK(std::string(syscall) == "epoll_ctl" && !engine);
    CHECK(open_descriptors() == before);
  });
}

}  // namespace

int main() {
  creation_tests();
  control_event_tests();
  gone_application_tests();
  listener_tests();
  end_tests();
  flood_tests();
  keepalive_tests();
  abandoned_tests();
  splice_tests();
  refusal_tests();
  id_tests();
  return done();
}
