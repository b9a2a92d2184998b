// One fake TCP connection that is established: its numbers, its headers, where its datagrams go.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "io/udp_port.h"
#include "plane/counters.h"
#include "plane/datagram_queue.h"
#include "plane/verdict.h"
#include "wire/segment.h"

namespace guise {

struct Application;

// Where received datagrams go.
enum class Delivery : uint8_t {
  kHeld,        // nowhere yet: queued, bounded
  kJavaScript,  // as events
  kSpliced,     // to a UDP endpoint
};

struct Flow : std::enable_shared_from_this<Flow> {
  // Milliseconds: probes of an honest peer come every 500 (src/fake_tcp/liveness.ts). A limit for all flows together
  // would leave keepalives of some unanswered when others are busy with it, and tell strangers of them (CVE-2016-5696).
  static constexpr uint32_t kChallengeInterval = 100;

  Flow(const Tuple& with_tuple, uint32_t with_id, uint16_t with_owner, FlowCounters& with_counters,
       EngineCounters& engine_counters)
      : tuple(with_tuple),
        header(with_tuple),
        id(with_id),
        owner(with_owner),
        counters(with_counters),
        held(engine_counters) {}

  const Tuple tuple;
  const SegmentHeader header;
  const uint32_t id;     // its slot in the counter slab
  const uint16_t owner;  // the worker that sends on it, and whose device queue it uses
  FlowCounters& counters;
  bool push = false;          // PSH on the last segment of a batch; phantun sends none
  size_t max_payload = 1460;  // bytes of the largest datagram

  // Only the owner advances it; others read it for pure ACKs.
  std::atomic<uint32_t> send_next{0};
  // Advanced by whichever worker reads the flow's segments.
  std::atomic<uint32_t> receive_next{0};
  std::atomic<uint32_t> ack_sent{0};
  std::atomic<bool> ack_due{false};
  std::atomic<bool> first_ack_sent{false};
  // False until the peer's first scaled window is known to the path, see uplink.cc.
  std::atomic<bool> window_open{true};
  uint32_t initial_window_end = 0;  // SND.NXT may not pass it before

  bool spliced = false;  // to an application or endpoint, now or before; the JavaScript thread's
  // Bytes that JavaScript gave and the owner has not taken yet.
  std::atomic<size_t> posted_bytes{0};

  std::atomic<Delivery> delivery{Delivery::kHeld};
  std::mutex held_mutex;  // taken only while delivery is kHeld
  DatagramQueue held;

  // Set before delivery becomes kSpliced.
  std::shared_ptr<UdpPort> udp;
  UdpTarget target;
  // The other way round: whose datagrams it carries. The owner's; it ends the circle of the two when it forgets one.
  std::shared_ptr<Application> application;

  // What is outside of the window: where it would go on, and how many datagrams came in a row. See believes_stray.
  std::atomic<uint32_t> stray_next{0};
  std::atomic<uint32_t> strays{0};

  // When it was last challenged, in milliseconds of a steady clock.
  std::atomic<uint32_t> challenged_at{0u - kChallengeInterval};

  [[nodiscard]] FlowNumbers numbers() const {
    return {send_next.load(std::memory_order_relaxed), receive_next.load(std::memory_order_relaxed), peer_ack()};
  }

  [[nodiscard]] uint32_t peer_ack() const {
    return static_cast<uint32_t>(std::atomic_ref(counters.peer_ack).load(std::memory_order_relaxed));
  }

  // The last one, not the highest: phantun answers a probe by what it said last, and goes back with it.
  void take_ack(uint32_t ack) { std::atomic_ref(counters.peer_ack).store(ack, std::memory_order_relaxed); }

  // Takes the numbers of a segment that ends at `end`. Late segments do not move RCV.NXT back.
  void advance(uint32_t end) {
    if (ahead(end, receive_next.load(std::memory_order_relaxed)) > 0) set_receive_next(end);
  }

  void set_receive_next(uint32_t next) {
    receive_next.store(next, std::memory_order_relaxed);
    std::atomic_ref(counters.receive_next).store(next, std::memory_order_relaxed);
  }

  // After an outage the peer may have sent more than a window. Whether this datagram outside of it is the last of
  // enough in a row, each of which acknowledges what only somebody who sees the connection knows. A RST carries none.
  bool believes_stray(const SegmentView& segment) {
    constexpr uint32_t kEnough = 8;
    if (segment.flags & kRst || !acknowledges_what_was_sent(segment.ack, numbers(), kFinLateWindow)) return false;
    const bool in_a_row = segment.seq == stray_next.load(std::memory_order_relaxed);
    const uint32_t datagrams = static_cast<uint32_t>(segment.datagrams());
    const uint32_t before = in_a_row ? strays.load(std::memory_order_relaxed) : 0;
    strays.store(before + datagrams, std::memory_order_relaxed);
    stray_next.store(segment.seq + static_cast<uint32_t>(segment.payload.size()), std::memory_order_relaxed);
    return before + datagrams > kEnough;
  }

  // Whether to answer a segment that asks for an ACK, `now` in milliseconds of a steady clock.
  bool may_challenge(uint32_t now) {
    if (now - challenged_at.load(std::memory_order_relaxed) < kChallengeInterval) return false;
    challenged_at.store(now, std::memory_order_relaxed);
    return true;
  }

  // The ACK number to send now.
  uint32_t acknowledge() {
    const uint32_t next = receive_next.load(std::memory_order_relaxed);
    ack_sent.store(next, std::memory_order_relaxed);
    std::atomic_ref(counters.ack_sent).store(next, std::memory_order_relaxed);
    return next;
  }

  [[nodiscard]] uint32_t unacknowledged() const {
    return receive_next.load(std::memory_order_relaxed) - ack_sent.load(std::memory_order_relaxed);
  }

  // Takes `bytes` of sequence space; returns where they begin.
  uint32_t take_sequence(size_t bytes) {
    const uint32_t seq = send_next.load(std::memory_order_relaxed);
    const auto next = static_cast<uint32_t>(seq + bytes);
    send_next.store(next, std::memory_order_relaxed);
    std::atomic_ref(counters.send_next).store(next, std::memory_order_relaxed);
    return seq;
  }
};

}  // namespace guise
