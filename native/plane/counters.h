// Counters in one slab of memory that JavaScript reads as a BigUint64Array, at no cost to the data path. The binding
// exports where each is (native/binding/layout.cc).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "plane/drop_reason.h"
#include "plane/mapped_memory.h"

namespace guise {

// A counter may be anybody's: every access is atomic.
inline void count(uint64_t& counter, uint64_t amount = 1) {
  std::atomic_ref(counter).fetch_add(amount, std::memory_order_relaxed);
}
[[nodiscard]] inline uint64_t read_counter(uint64_t& counter) {
  return std::atomic_ref(counter).load(std::memory_order_relaxed);
}

// One flow. The workers that read its segments write the first cache line, the worker that sends on it the second:
// where these are two they do not contend for one.
struct alignas(128) FlowCounters {
  // device -> UDP or JavaScript
  uint64_t received_datagrams = 0;
  uint64_t received_bytes = 0;
  uint64_t received_batches = 0;
  uint64_t received_drops = 0;
  uint64_t received_segments = 0;  // of any kind: signs of life
  uint64_t receive_next = 0;       // RCV.NXT, 32 bits
  uint64_t peer_ack = 0;           // the last ACK number received, 32 bits
  uint64_t unused_received = 0;
  // UDP or JavaScript -> device
  uint64_t sent_datagrams = 0;
  uint64_t sent_bytes = 0;
  uint64_t sent_batches = 0;
  uint64_t sent_drops = 0;
  uint64_t send_next = 0;  // SND.NXT, 32 bits
  uint64_t ack_sent = 0;   // the last ACK number sent, 32 bits; a reader that sends a pure ACK writes it too
  // How many flows have had this id: events say whose they are. Only the JavaScript thread writes it.
  uint64_t generation = 0;
  uint64_t unused_sent = 0;
};
static_assert(sizeof(FlowCounters) == 128 && offsetof(FlowCounters, sent_datagrams) == 64);

// What belongs to no flow.
struct EngineCounters {
  uint64_t dropped[40];  // by DropReason
  uint64_t device_reads;
  uint64_t device_writes;
  uint64_t segmentation_fallbacks;  // times that an offload was turned off because the kernel refused it
  uint64_t syns_answered;
  uint64_t challenges;  // ACKs to segments that nobody who sees the connection would send (RFC 5961), and to keepalives
  uint64_t waiting_bytes;  // a gauge: in the queues of all applications and flows together
  uint64_t fragmented;     // datagrams that left in fragments
  uint64_t unused[17];
};
static_assert(sizeof(EngineCounters) % sizeof(FlowCounters) == 0);
static_assert(static_cast<size_t>(DropReason::kCount) <= sizeof(EngineCounters::dropped) / sizeof(uint64_t));

// Reserves address space for all flows; pages come into being when a flow first uses them.
class CounterSlab {
 public:
  // Of mapped_size() bytes.
  explicit CounterSlab(MappedMemory memory) : memory_(std::move(memory)) {}

  [[nodiscard]] static size_t mapped_size(size_t max_flows) {
    return sizeof(EngineCounters) + (max_flows + 1) * sizeof(FlowCounters);
  }

  [[nodiscard]] EngineCounters& engine() const { return *reinterpret_cast<EngineCounters*>(memory_.data()); }
  // By id, from 1 on.
  [[nodiscard]] FlowCounters& flow(size_t id) const {
    return reinterpret_cast<FlowCounters*>(memory_.data() + sizeof(EngineCounters))[id];
  }
  [[nodiscard]] void* data() const { return memory_.data(); }
  [[nodiscard]] size_t size() const { return memory_.size(); }

  void drop(DropReason reason, uint64_t amount = 1) const {
    count(engine().dropped[static_cast<size_t>(reason)], amount);
  }

 private:
  MappedMemory memory_;
};

}  // namespace guise
