// Two engines and a firewall between them that stops what exceeds some bytes which nobody has acknowledged, as long as
// a path of its own: in time that passes here, so that no other work of the machine is in it.
#include <cstdio>
#include <deque>
#include <vector>

#include "../fuzz/clock.h"
#include "../support/loopback.h"
#include "check.h"
#include "engine_rig.h"

using namespace guise;

namespace {

using Bytes = EngineRig::Bytes;

constexpr uint32_t kMicroseconds = 1'000'000;  // of a second
constexpr uint32_t kStep = 50;                 // microseconds that pass at a time

// What src/policy.ts has.
Policy policy() {
  Policy policy = test_policy();
  policy.least_ack_bytes = 2 << 10;
  policy.most_ack_bytes = 256 << 10;
  return policy;
}

struct Path {
  uint32_t limit;   // bytes that may be on their way behind the firewall
  uint32_t before;  // microseconds from the sender to the firewall
  uint32_t behind;  // … and from there to the receiver
};

class Race {
 public:
  explicit Race(const Path& path) : path_(path), sender_(1, 1, policy()), receiver_(1, 1, policy()) {
    Clock::reset();
    Flow::Options options;
    options.tuple = EngineRig::tuple(1);
    options.send_next = options.receive_next = 1;
    options.max_payload = 1460;
    sending_ = static_cast<uint32_t>(sender_.engine->open_flow(options));
    std::swap(options.tuple.local, options.tuple.remote);
    const auto receiving = static_cast<uint32_t>(receiver_.engine->open_flow(options));
    receiver_.engine->read_flow(receiving);
    sender_.settle();
    receiver_.settle();
  }

  // Sends datagrams of `size` bytes for so long.
  void send(uint32_t size, double bytes_a_second, double seconds) {
    const auto steps = static_cast<uint32_t>(seconds * kMicroseconds / kStep);
    double due = 0;
    for (uint32_t step = 0; step < steps; ++step) {
      due += bytes_a_second * kStep / kMicroseconds;
      for (; due >= size; due -= size) send_one(size);
      pass();
    }
  }
  // … so many in one go.
  void send_at_once(uint32_t size, uint32_t datagrams) {
    for (uint32_t i = 0; i < datagrams; ++i) send_one(size);
  }
  void rest(double seconds) {
    for (uint32_t step = 0; step < seconds * kMicroseconds / kStep; ++step) pass();
  }

  size_t swallowed = 0, acks = 0, sent = 0;
  size_t now = 0, last_swallowed = 0;  // microseconds

 private:
  struct OnItsWay {
    size_t due;
    Bytes packet;
  };

  void send_one(uint32_t size) {
    sender_.engine->send_datagrams(sending_, {Datagram(size, 7)});
    sender_.settle();
    for (Bytes packet = sender_.next_packet(); !packet.empty(); packet = sender_.next_packet())
      to_firewall_.push_back({now + path_.before, std::move(packet)});
    ++sent;
  }

  void pass() {
    if ((now += kStep) % 1000 == 0) Clock::pass(1);
    for (; due(to_firewall_); to_firewall_.pop_front()) take(to_firewall_.front().packet);
    for (; due(to_receiver_); to_receiver_.pop_front()) receiver_.put_packet(to_receiver_.front().packet);
    receiver_.settle();
    (void)receiver_.events();
    for (Bytes packet = receiver_.next_packet(); !packet.empty(); packet = receiver_.next_packet())
      from_receiver_.push_back({now + path_.behind, std::move(packet)});
    for (; due(from_receiver_); from_receiver_.pop_front()) {
      acknowledged_ = read_ack(from_receiver_.front().packet);
      ++acks;
      to_sender_.push_back({now + path_.before, std::move(from_receiver_.front().packet)});
    }
    for (; due(to_sender_); to_sender_.pop_front()) sender_.put_packet(to_sender_.front().packet);
    sender_.settle();
    for (Bytes packet = sender_.next_packet(); !packet.empty(); packet = sender_.next_packet())
      to_firewall_.push_back({now + path_.before, std::move(packet)});
  }

  [[nodiscard]] bool due(const std::deque<OnItsWay>& packets) const {
    return !packets.empty() && packets.front().due <= now;
  }

  static uint32_t read_ack(const Bytes& packet) { return view_of(packet).ack; }
  static SegmentView view_of(const Bytes& packet) {
    SegmentView view;
    REQUIRE(parse_segment(packet, nullptr, view) == ParseError::kNone);
    return view;
  }

  void take(const Bytes& packet) {
    const SegmentView view = view_of(packet);
    const uint32_t end = view.seq + static_cast<uint32_t>(view.payload.size());
    if (!view.payload.empty() && ahead(end, acknowledged_ + path_.limit) > 0) {
      ++swallowed;
      last_swallowed = now;
    } else {
      to_receiver_.push_back({now + path_.behind, packet});
    }
  }

  const Path path_;
  EngineRig sender_, receiver_;
  uint32_t sending_ = 0;
  uint32_t acknowledged_ = 1;
  std::deque<OnItsWay> to_firewall_, to_receiver_, from_receiver_, to_sender_;
};

constexpr double kMbit = 1e6 / 8;

// Over a round trip of 5 ms, part of which is behind the firewall.
Path path(uint32_t behind) {
  constexpr uint32_t kOneWay = 2500;
  return {.limit = 64 << 10, .before = kOneWay - behind, .behind = behind};
}

}  // namespace

int main() {
  // A link of 100 Mbit/s has no more than 98 left for what is behind the headers.
  for (const uint32_t behind : {1250, 2500}) {
    test("100 Mbit/s pass a firewall that stops after 64 KiB that nobody has acknowledged, over 5 ms", [behind] {
      for (const uint32_t size : {200, 1200, 1400, 1452}) {
        Race race(path(behind));
        race.send(size, 99 * kMbit, 1);
        CHECK(race.swallowed == 0 && race.acks <= 6100);
        std::printf("# %u bytes, %u us behind the firewall: %zu of %zu stopped, %zu ACKs\n", size, behind,
                    race.swallowed, race.sent, race.acks);
      }
    });
  }

  test("what is faster is acknowledged some 2000 times a second", [] {
    Race race({.limit = 1 << 20, .before = 0, .behind = 2500});
    race.send(1400, 1000 * kMbit, 0.5);
    CHECK(race.swallowed == 0 && race.acks < 1500);
  });

  // A host that has other things to do sends in one go what was due: that no such firewall lets pass.
  test("a connection that the firewall has stopped goes on in 20 ms", [] {
    for (const double stall : {0.005, 0.010, 0.020, 0.040}) {
      Race race(path(1250));
      race.send(1400, 97 * kMbit, 0.2);
      CHECK(race.swallowed == 0);
      race.rest(stall);
      const size_t begin = race.now;
      race.send_at_once(1400, static_cast<uint32_t>(stall * 97 * kMbit / 1400));
      race.send(1400, 97 * kMbit, 0.3);
      CHECK(race.swallowed > 0 && race.last_swallowed < begin + 20'000);
    }
  });
  return done();
}
