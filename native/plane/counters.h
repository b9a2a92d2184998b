// Counters in one slab of memory that JavaScript reads as a BigUint64Array, at no cost to the data path.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <new>

#include "plane/drop_reason.h"

namespace guise {

inline void count(uint64_t& counter, uint64_t amount = 1) {
  std::atomic_ref(counter).fetch_add(amount, std::memory_order_relaxed);
}

// One flow: two cache lines, one per direction, so that two workers do not share one. src/native/engine.ts mirrors the
// order.
struct alignas(128) FlowCounters {
  // device -> UDP or JavaScript
  uint64_t received_datagrams;
  uint64_t received_bytes;
  uint64_t received_batches;
  uint64_t receive_next;  // RCV.NXT, 32 bits
  uint64_t ack_sent;      // the last ACK number sent, 32 bits
  uint64_t peer_ack;      // the last ACK number received, 32 bits
  uint64_t received_drops;
  uint64_t received_any;  // segments of any kind: signs of life
  // UDP or JavaScript -> device
  uint64_t sent_datagrams;
  uint64_t sent_bytes;
  uint64_t sent_batches;
  uint64_t send_next;  // SND.NXT, 32 bits
  uint64_t sent_drops;
  uint64_t life;  // how many flows have had this id: events say whose they are
  uint64_t unused[2];
};
static_assert(sizeof(FlowCounters) == 128);

// What belongs to no flow.
struct EngineCounters {
  uint64_t dropped[32];  // by DropReason
  uint64_t device_reads;
  uint64_t device_writes;
  uint64_t segmentation_fallbacks;  // times that an offload was turned off because the kernel refused it
  uint64_t syns_answered;
  uint64_t challenges;  // ACKs to segments that nobody who sees the connection would send (RFC 5961), and to keepalives
  uint64_t waiting_bytes;  // a gauge: in the queues of all applications and flows together
  uint64_t unused[26];
};
static_assert(sizeof(EngineCounters) % sizeof(FlowCounters) == 0);

// Reserves address space for all flows; pages come into being when a flow first uses them.
class CounterSlab {
 public:
  explicit CounterSlab(size_t max_flows)
      : size_(sizeof(EngineCounters) + max_flows * sizeof(FlowCounters)),
        memory_(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  CounterSlab(const CounterSlab&) = delete;
  CounterSlab& operator=(const CounterSlab&) = delete;
  ~CounterSlab() { ::munmap(memory_, size_); }

  [[nodiscard]] EngineCounters& engine() const { return *static_cast<EngineCounters*>(memory_); }
  [[nodiscard]] FlowCounters& flow(size_t slot) const {
    return reinterpret_cast<FlowCounters*>(static_cast<uint8_t*>(memory_) + sizeof(EngineCounters))[slot];
  }
  [[nodiscard]] void* data() const { return memory_; }
  [[nodiscard]] size_t size() const { return size_; }

  void drop(DropReason reason, uint64_t amount = 1) const {
    count(engine().dropped[static_cast<size_t>(reason)], amount);
  }

 private:
  size_t size_;
  void* memory_;
};

}  // namespace guise
