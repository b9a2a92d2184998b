// Two and four workers on threads of their own, built with ThreadSanitizer: datagrams in both directions on flows of
// which every worker takes segments, that are opened, spliced, read, unspliced and closed all the while.
//
// With the argument `race` two threads write one number: the sanitizer has to say so, or it sees nothing of the rest.
#include <poll.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <thread>

#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"

using namespace guise;

namespace {

constexpr size_t kRounds = 200;
constexpr uint16_t kFlows = 24;  // at a time
const std::vector<uint8_t> kPayload(200, 0x5a);

Policy impatient() {
  Policy policy = test_policy();
  policy.ack_interval = 1;
  policy.least_ack_bytes = policy.most_ack_bytes = 400;
  policy.event_buffer_bytes = 16 << 10;  // full now and then
  return policy;
}

class Storm {
 public:
  explicit Storm(size_t workers) : workers_(workers), rig_(2 * kFlows, workers, impatient()) {
    listen();
    const char* syscall = "";
    REQUIRE(rig_.engine->start(syscall) == 0);
  }

  // Datagrams and segments that came out somewhere.
  [[nodiscard]] size_t seen() const { return seen_; }

  void round(size_t number) {
    for (auto& application : applications_) (void)application.send(port_, kPayload, kPayload.size());
    std::vector<uint32_t> ids;
    for (uint16_t i = 0; i < kFlows; ++i) {
      const auto owner = i % workers_;
      uint32_t id = 0;
      wait_until([&] { return (id = rig_.open(static_cast<uint16_t>(1000 + i), i % 3 == 2, owner)) != 0; });
      ids.push_back(id);
      const char* syscall = "";
      if (i % 3 == 0) (void)rig_.engine->splice_udp(id, backend_.endpoint(), {kPayload}, syscall);
      if (i % 3 == 1) splice_application(id, owner);
      rig_.engine->send_datagrams(id, {kPayload, kPayload});
    }
    // Each worker has some segments of each flow.
    for (uint32_t segment = 0; segment < 2 * workers_; ++segment) {
      for (uint16_t i = 0; i < kFlows; ++i) {
        const uint32_t seq = 1 + segment * static_cast<uint32_t>(kPayload.size());
        put(i, seq, kPayload, (segment + i) % workers_, kAck);
      }
      for (auto& application : applications_) (void)application.send(port_, kPayload, kPayload.size());
      take();
    }
    if (number % 4 == 0) rig_.engine->unsplice(ids[1]);
    if (number % 8 == 0) {
      rig_.engine->close_udp(listener_);
      listen();
    }
    for (uint16_t i = 0; i < kFlows; ++i) {
      rig_.engine->send_control(ids[i], i % 2 ? kFin | kAck : kRst, -1);
      put(i, 1, {}, i % workers_, kRst);
    }
    take();
    for (const uint32_t id : ids) rig_.engine->close_flow(id);
  }

  // Until all workers are through with what was asked of them.
  void end() {
    for (uint16_t worker = 0; worker < workers_; ++worker) {
      uint32_t id = 0;
      wait_until([&] { return (id = rig_.open(static_cast<uint16_t>(5000 + worker), false, worker)) != 0; });
      wait_until([&] { return attached_.contains(static_cast<uint16_t>(5000 + worker)); });
      rig_.engine->close_flow(id);
    }
    take();
  }

 private:
  void listen() {
    const char* syscall = "";
    const int listener = rig_.engine->listen_udp(LoopbackSocket::loopback(AF_INET, 0), syscall);
    REQUIRE(listener > 0);
    listener_ = static_cast<uint32_t>(listener);
    port_ = rig_.engine->udp_port(listener_);
  }

  void put(uint16_t flow, uint32_t seq, const std::vector<uint8_t>& payload, size_t worker, uint8_t flags) {
    wait_until([&] { return rig_.try_put(static_cast<uint16_t>(1000 + flow), seq, payload, worker, flags); });
  }

  void splice_application(uint32_t flow, size_t worker) {
    take();
    auto& waiting = waiting_[worker];
    if (waiting.empty()) return;
    (void)rig_.engine->splice_application(flow, waiting.back());
    waiting.pop_back();
  }

  template <typename Condition>
  void wait_until(Condition condition) {
    for (int tries = 0; !condition(); ++tries) {
      REQUIRE(tries < 60'000);
      (void)::poll(nullptr, 0, 1);
      take();
    }
  }

  void take() {
    for (size_t worker = 0; worker < workers_; ++worker) {
      for (const auto& [record, payload] : rig_.events(worker)) {
        if (record.type == EventType::kApplication) waiting_[worker].push_back(record.id);
        if (record.type == EventType::kAttached) attached_.insert(record.remote_port);
        if (record.type == EventType::kDatagram) ++seen_;
      }
      std::array<uint8_t, 2048> packet;
      while (::recv(rig_.wires[worker].get(), packet.data(), packet.size(), 0) > 0) ++seen_;
    }
    uint16_t from = 0;
    while (backend_.receive(from).data()) {
      ++seen_;
      (void)backend_.send(from, kPayload, kPayload.size());
    }
    for (auto& application : applications_) {
      while (application.receive(from).data()) ++seen_;
    }
  }

  const size_t workers_;
  EngineRig rig_;
  LoopbackSocket backend_;
  std::array<LoopbackSocket, 8> applications_;
  uint32_t listener_ = 0;
  uint16_t port_ = 0;
  std::map<size_t, std::vector<uint32_t>> waiting_;  // applications, by worker
  std::set<uint16_t> attached_;
  size_t seen_ = 0;
};

// What ThreadSanitizer is there for.
void race() {
  int number = 0;
  std::thread other([&] { ++number; });
  ++number;
  other.join();
  std::printf("# %d\n", number);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "race") {
    race();
    return 0;
  }
  for (const size_t workers : {2, 4}) {
    test(workers == 2 ? "two workers race for nothing" : "four workers race for nothing", [workers] {
      Storm storm(workers);
      for (size_t number = 0; number < kRounds; ++number) storm.round(number);
      storm.end();
      CHECK(storm.seen() > kRounds * kFlows);
    });
  }
  return done();
}
