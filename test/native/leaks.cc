// Flows opened, used and closed many times over, with workers on threads of their own: nothing may grow. Built with
// AddressSanitizer, which knows what is allocated, and LeakSanitizer.
#include <poll.h>

#include <set>

#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"

// Of AddressSanitizer; g++ comes without its header sanitizer/allocator_interface.h.
extern "C" size_t __sanitizer_get_current_allocated_bytes();

using namespace guise;

namespace {

constexpr size_t kRounds = 10;
constexpr size_t kFlowsPerRound = 10'000;
// Flows at a time: a third each is spliced to a peer, spliced to an endpoint, and read by JavaScript.
constexpr size_t kThird = 40;
constexpr size_t kCrowd = 3 * kThird;
constexpr size_t kWorkers = 2;
// Queues and tables may grow once more; a flow that stays takes some 800 bytes.
constexpr size_t kTolerance = 32 << 10;

const std::vector<uint8_t> kPayload(100, 0x5a);

Policy impatient() {
  Policy policy = test_policy();
  policy.ack_interval = 1;
  return policy;
}

class Crowd {
 public:
  Crowd() {
    listening_ = rig_.listen_udp();
    const char* syscall = "";
    REQUIRE(rig_.engine->start(syscall) == 0);
  }

  // Opens kCrowd flows, sends datagrams both ways on each, and closes them. False when something did not arrive.
  bool come_and_go() {
    peers_.clear();
    answered_.clear();
    received_ = sent_ = 0;
    for (auto& application : applications_) (void)application.send(listening_, kPayload, kPayload.size());
    if (!wait_until([&] { return peers_.size() == kThird; })) return false;
    std::vector<uint32_t> ids;
    for (uint16_t i = 0; i < kCrowd; ++i) {
      const bool javascript = i >= 2 * kThird;
      const size_t owner = i < kThird ? peers_[i].worker : i % kWorkers;
      uint32_t id = 0;
      if (!wait_until([&] { return (id = rig_.open(i, javascript, owner)) != 0; })) return false;
      const char* syscall = "";
      if (i < kThird)
        (void)rig_.engine->splice_application(id, peers_[i].id);
      else if (javascript)
        rig_.engine->send_datagrams(id, {kPayload});
      else if (rig_.engine->splice_udp(id, backend_.endpoint(), {}, syscall) != 0)
        return false;
      const auto size = static_cast<uint32_t>(kPayload.size());
      for (const uint32_t seq : {1u, 1 + size}) rig_.put(i, seq, kPayload, i % kWorkers);
      ids.push_back(id);
    }
    const bool arrived = wait_until([&] { return received_ == 2 * kCrowd && sent_ == kCrowd; });
    for (const uint32_t id : ids) rig_.engine->close_flow(id);
    return arrived && wait_for_workers();
  }

  // False when it has not become so after 10 s.
  template <typename Condition>
  bool wait_until(Condition condition) {
    for (int tries = 0; tries < 10'000; ++tries) {
      if (condition()) return true;
      if (tries > 0) (void)::poll(nullptr, 0, 1);
      take();
    }
    return false;
  }

  [[nodiscard]] uint64_t dropped() const {
    uint64_t all = 0;
    for (uint64_t& reason : rig_.engine->counters()->engine().dropped) all += read_counter(reason);
    return all;
  }

 private:
  // Until all workers have done what they were told before: each says so when it comes to one more flow.
  bool wait_for_workers() {
    attached_ = 0;
    for (uint16_t worker = 0; worker < kWorkers; ++worker) {
      const uint32_t id = rig_.open(kCrowd + worker, false, worker);
      if (!wait_until([&] { return attached_ == worker + 1u; })) return false;
      rig_.engine->close_flow(id);
    }
    return true;
  }

  struct Application {
    uint32_t id;
    size_t worker;
  };

  // Takes what has come out everywhere.
  void take() {
    for (size_t worker = 0; worker < kWorkers; ++worker) {
      for (const auto& [record, payload] : rig_.events(worker)) {
        if (record.type == EventType::kApplication) peers_.push_back({record.id, worker});
        if (record.type == EventType::kDatagram) ++received_;
        if (record.type == EventType::kAttached && record.remote_port >= kCrowd) ++attached_;
      }
      std::array<uint8_t, 2048> packet;
      for (ssize_t got; (got = ::recv(rig_.wires[worker].get(), packet.data(), packet.size(), 0)) > 0;) {
        if (static_cast<size_t>(got) > kPayload.size()) ++sent_;
      }
    }
    uint16_t from = 0;
    while (backend_.receive(from).data()) {
      ++received_;
      if (answered_.insert(from).second) (void)backend_.send(from, kPayload, kPayload.size());
    }
    for (auto& application : applications_) {
      while (application.receive(from).data()) ++received_;
    }
  }

  EngineRig rig_{2 * kCrowd, kWorkers, impatient()};
  LoopbackSocket backend_;
  std::array<LoopbackSocket, kThird> applications_;
  uint16_t listening_ = 0;

  std::vector<Application> peers_;
  size_t attached_ = 0;          // of wait_for_workers
  size_t received_ = 0;          // datagrams, on this side of the engine
  std::set<uint16_t> answered_;  // ports of the engine whose first datagram the backend has answered
  size_t sent_ = 0;              // data segments, on the other
};

}  // namespace

int main() {
  test("100 000 flows leave memory and descriptors as they were, and their ids are used again", [] {
    Crowd crowd;
    const size_t descriptors = open_descriptors();
    size_t memory = SIZE_MAX - kTolerance;
    for (size_t round = 0; round < kRounds; ++round) {
      for (size_t flows = 0; flows < kFlowsPerRound; flows += kCrowd) {
        if (!crowd.come_and_go()) return CHECK(!"some datagrams did not arrive");
      }
      const bool as_before = crowd.wait_until([&] {
        return open_descriptors() == descriptors && __sanitizer_get_current_allocated_bytes() <= memory + kTolerance;
      });
      if (!as_before) return CHECK(!"descriptors or memory have grown");
      if (round == 0) memory = __sanitizer_get_current_allocated_bytes();
    }
    CHECK(crowd.dropped() == 0);
  });
  return done();
}
