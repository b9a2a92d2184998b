// What the two paths of a worker share: its tables, its devices, its events. Used by that worker's thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "io/packet_device.h"
#include "plane/application.h"
#include "plane/counters.h"
#include "plane/event_queue.h"
#include "plane/flow.h"
#include "plane/tuple_table.h"

namespace guise {

// Numbers that TypeScript decides; src/native/engine.ts documents them.
struct Policy {
  uint32_t ack_bytes = 1 << 20;          // a pure ACK after so much received without one
  uint32_t ack_interval_ms = 200;        // … and after so long
  uint32_t initial_window = 48 << 10;    // bytes sent before the peer's first scaled window is seen
  uint32_t queue_bytes = 1 << 20;        // per waiting application and per held flow
  uint32_t all_queues_bytes = 64 << 20;  // of all of them together
  uint32_t send_queue_bytes = 4 << 20;   // per flow that JavaScript writes
  uint32_t max_applications = 65536;     // applications per worker
  bool offload = true;                   // UDP_GRO and UDP_SEGMENT
};

struct WorkerContext {
  WorkerContext(uint8_t with_index, std::vector<std::unique_ptr<PacketDevice>>& with_devices, const Policy& with_policy,
                const CounterSlab& with_counters, uint64_t hash_key, std::function<void()> wake_javascript)
      : index(with_index),
        devices(with_devices),
        policy(with_policy),
        counters(with_counters),
        flows(hash_key),
        applications(hash_key),
        wake(std::move(wake_javascript)) {}

  const uint8_t index;
  std::vector<std::unique_ptr<PacketDevice>>& devices;  // one per worker
  const Policy& policy;
  const CounterSlab& counters;
  TupleTable<std::shared_ptr<Flow>> flows;
  TupleTable<std::shared_ptr<Application>> applications;
  std::unordered_map<uint32_t, Application*> applications_by_id;
  const std::shared_ptr<EventQueue> events = std::make_shared<EventQueue>();  // shared with JavaScript
  std::function<void()> wake;

  [[nodiscard]] PacketDevice& device_of(const Flow& flow) const { return *devices[flow.owner]; }

  [[nodiscard]] bool has_room(const DatagramQueue& queue, size_t bytes) const {
    return queue.bytes() + bytes <= policy.queue_bytes && queue.total() + bytes <= policy.all_queues_bytes;
  }

  void emit_segment(EventType type, const Flow& flow, const SegmentView& segment) {
    emit_segment(type, flow.id, segment, static_cast<uint32_t>(flow.counters.life));
  }
  void emit_segment(EventType type, uint32_t id, const SegmentView& segment, uint32_t detail = 0) {
    EventRecord record;
    record.type = type;
    record.flags = segment.flags;
    record.worker = index;
    record.id = id;
    record.seq = segment.seq;
    record.ack = segment.ack;
    record.detail = detail;
    record.set_tuple(segment.tuple);
    emit(record, segment.options, segment.payload);
  }

  // Tells JavaScript; a full queue drops and counts.
  bool emit(const EventRecord& record, std::span<const uint8_t> options = {}, std::span<const uint8_t> payload = {}) {
    bool first = false;
    if (!events->push(record, options, payload, first)) {
      counters.drop(DropReason::kEventsFull);
      return false;
    }
    if (first) wake();
    return true;
  }
};

}  // namespace guise
