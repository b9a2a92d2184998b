// One fake TCP connection that is established: its numbers, its headers, where its datagrams go.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "counters.h"
#include "datagram_queue.h"
#include "packet/segment.h"
#include "udp_port.h"

namespace guise {

struct Peer;

// Where received datagrams go.
enum class Delivery : uint8_t {
  kHeld,        // nowhere yet: queued, bounded
  kJavaScript,  // as events
  kSpliced,     // to a UDP endpoint
};

struct Flow : std::enable_shared_from_this<Flow> {
  Flow(const Tuple& with_tuple, uint32_t with_id, uint16_t with_owner, FlowCounters& with_counters)
      : tuple(with_tuple), header(with_tuple), id(with_id), owner(with_owner), counters(with_counters) {}

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

  // Bytes that JavaScript gave and the owner has not taken yet.
  std::atomic<size_t> posted_bytes{0};

  std::atomic<Delivery> delivery{Delivery::kHeld};
  std::mutex held_mutex;  // taken only while delivery is kHeld
  DatagramQueue held;

  // Set before delivery becomes kSpliced.
  std::shared_ptr<UdpPort> udp;
  UdpTarget target;
  // The other way round: whose datagrams it carries. The owner's; it ends the circle of the two when it forgets one.
  std::shared_ptr<Peer> peer;

  // Takes the numbers of a segment of `bytes` payload at `seq`. Late segments do not move RCV.NXT back; one that is
  // further off than the window (2^30, RFC 7323 §2.3) resynchronizes it: after a long outage the old number is no use.
  void advance(uint32_t seq, uint32_t bytes) {
    const uint32_t end = seq + bytes;
    const uint32_t next = receive_next.load(std::memory_order_relaxed);
    const auto ahead = static_cast<int32_t>(end - next);
    if (ahead > 0 || ahead < -(1 << 30)) {
      receive_next.store(end, std::memory_order_relaxed);
      std::atomic_ref(counters.receive_next).store(end, std::memory_order_relaxed);
    }
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
