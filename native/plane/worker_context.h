// What the two paths of a worker share: its tables and its events, and what all workers of an engine share.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "host/local_addresses.h"
#include "io/clock.h"
#include "io/packet_device.h"
#include "plane/application_ids.h"
#include "plane/counters.h"
#include "plane/event_queue.h"
#include "plane/flow.h"
#include "plane/policy.h"
#include "plane/syn_cookie.h"
#include "wire/icmp.h"
#include "wire/note.h"
#include "wire/tuple_table.h"

namespace guise {

class Worker;

// How a worker says that events wait: the one call that leaves the data plane, at most one a batch. Any thread.
struct Wake {
  void (*call)(void* argument) = nullptr;
  void* argument = nullptr;
};

// What all workers of an engine share. It does not change while they run.
struct EngineContext {
  const Policy policy;
  const std::shared_ptr<CounterSlab> counters;  // shared with JavaScript
  const SynCookies cookies;
  const uint64_t hash_key;
  const bool udp_offload;  // UDP_GRO and UDP_SEGMENT
  const Wake wake;
  std::vector<std::unique_ptr<PacketDevice>> devices;  // one a worker
  std::vector<Worker*> workers;                        // the engine owns them
};

// One worker's; used by its thread only, but for `events` and `application_ids`.
struct WorkerContext {
  WorkerContext(uint8_t with_index, const EngineContext& with_engine, std::shared_ptr<EventQueue> with_events)
      : index(with_index),
        engine(with_engine),
        policy(with_engine.policy),
        counters(*with_engine.counters),
        windows{policy.late_window, policy.fin_window, policy.fin_late_window},
        events(std::move(with_events)),
        flows(with_engine.hash_key),
        applications(with_engine.hash_key) {}

  const uint8_t index;
  const EngineContext& engine;
  const Policy& policy;
  const CounterSlab& counters;
  const Windows windows;
  const std::shared_ptr<EventQueue> events;  // shared with JavaScript
  ApplicationIds application_ids;
  std::unique_ptr<LocalAddresses> local_addresses;  // where the device carries packets of others too

  TupleTable<std::shared_ptr<Flow>> flows;
  TupleTable<std::unique_ptr<Application>> applications;
  std::unordered_map<uint32_t, Application*> applications_by_id;

  [[nodiscard]] PacketDevice& device() const { return *engine.devices[index]; }
  [[nodiscard]] PacketDevice& device_of(const Flow& flow) const { return *engine.devices[flow.owner]; }

  [[nodiscard]] bool has_room(const DatagramQueue& queue, size_t bytes) const {
    return queue.bytes() + bytes <= policy.queue_bytes && queue.total() + bytes <= policy.all_queues_bytes;
  }

  // A segment of a flow, most often without payload.
  void write_segment(Flow& flow, uint32_t seq, uint32_t ack, uint8_t flags,
                     std::span<const uint8_t> payload = {}) const {
    const Way way = flow.way();
    (void)wrote(flow, way, device_of(flow).write_segment(way, flow.header, seq, ack, flags, {}, payload));
  }

  // … in packets of what its path carries. The owner. What was refused.
  [[nodiscard]] uint32_t write_fragments(Flow& flow, uint32_t seq, uint8_t flags,
                                         std::span<const uint8_t> payload) const {
    const Way way = flow.way();
    const size_t mtu = flow.header.size() + flow.path_limit.payload;
    return wrote(flow, way,
                 device_of(flow).write_fragments(way, flow.header, seq, flow.acknowledge(), flags, payload, mtu));
  }

  // Of a note: each another, and none that looks like the last.
  [[nodiscard]] uint64_t next_nonce() { return (last_nonce_ += 0x9e3779b97f4a7c15) ^ engine.hash_key; }

  // Counts what a write did that went `way`. What was refused.
  [[nodiscard]] uint32_t wrote(Flow& flow, Way way, const Written& written) const {
    if (written.way_lost) flow.forget_way(way);
    count_write(written);
    return written.refused;
  }

  void count_write(const Written& written) const {
    count(counters.engine().device_writes, written.writes);
    if (written.fell_back) count(counters.engine().segmentation_fallbacks);
    if (written.refused > 0) counters.drop(DropReason::kDeviceRefused, written.refused);
  }

  void count_send(Flow& flow, const Sent& sent) {
    if (sent.fell_back) count(counters.engine().segmentation_fallbacks);
    if (sent.failed > 0) count_undelivered(flow, DropReason::kUdpSendFailed, sent.failed);
    if (sent.refused > 0) count_refused(*flow.port, &flow, sent.refused, sent.error);
  }

  // Datagrams that the other end of a port did not take: `error`, an errno, says why. `flow` is null when nothing is
  // known of whose they were.
  void count_refused(const UdpPort& port, Flow* flow, uint32_t datagrams, int error) {
    const auto reason = port.connected() ? DropReason::kBackendRefused : DropReason::kApplicationRefused;
    if (!flow) return counters.drop(reason, datagrams);
    count_undelivered(*flow, reason, datagrams);
    tell_refused(*flow, error);
  }

  // Tells JavaScript why the UDP side of a flow takes no datagrams, or that it is heard again: 0. Once each time.
  void tell_refused(Flow& flow, int error) {
    const int before = flow.refused.exchange(error, std::memory_order_relaxed);
    if (before == error) return;
    EventRecord record = record_of(EventType::kRefused, flow.id, flow.generation, flow.tuple);
    record.seq = static_cast<uint32_t>(error);
    if (!emit(record)) flow.refused.store(before, std::memory_order_relaxed);  // the next time tells
  }

  void count_undelivered(Flow& flow, DropReason reason, uint32_t datagrams) const {
    counters.drop(reason, datagrams);
    count(flow.counters.received_drops, datagrams);
  }

  // Tells JavaScript of something that comes from outside at any rate. False when the buffer is full: count it.
  [[nodiscard]] bool emit(EventType type, uint32_t id, uint32_t detail, const SegmentView& segment) {
    EventRecord record = record_of(type, id, detail, segment.tuple);
    record.flags = segment.flags;
    record.seq = segment.seq;
    record.ack = segment.ack;
    record.way = segment.way.word();
    return emit(record, segment.options, segment.payload);
  }
  [[nodiscard]] bool emit(const EventRecord& record, std::span<const uint8_t> options = {},
                          std::span<const uint8_t> payload = {}) {
    bool first = false;
    if (!events->push(record, options, payload, first)) return false;
    if (first) engine.wake.call(engine.wake.argument);
    return true;
  }

  // … of an error about a segment of `flow`, or of none that is known. It is lost when the buffer is full.
  void emit_icmp(const Flow* flow, const IcmpError& error) {
    EventRecord record =
        record_of(EventType::kIcmpError, flow ? flow->id : 0, flow ? flow->generation : 0, error.tuple);
    record.flags = static_cast<uint8_t>(error.kind);
    record.seq = error.seq;
    record.ack = error.mtu;
    uint8_t payload[1 + sizeof error.from.bytes] = {error.code};
    std::memcpy(payload + 1, error.from.bytes.data(), sizeof error.from.bytes);
    (void)emit(record, {}, payload);
  }

  // … of an answer to a note; lost when the buffer is full, as it may be on the way.
  void emit_answer(const Flow& flow, const Note& note) {
    EventRecord record = record_of(EventType::kAnswer, flow.id, flow.generation, flow.tuple);
    record.seq = note.token;
    record.ack = note.size;
    (void)emit(record);
  }

  // Tells JavaScript of what it must hear of.
  void emit_control(const EventRecord& record) {
    bool first = false;
    events->push_control(record, first);
    if (first) engine.wake.call(engine.wake.argument);
  }
  void emit_control(EventType type, const Flow& flow) {
    emit_control(record_of(type, flow.id, flow.generation, flow.tuple));
  }

  [[nodiscard]] EventRecord record_of(EventType type, uint32_t id, uint32_t detail, const Tuple& tuple) const {
    EventRecord record;
    record.type = type;
    record.worker = index;
    record.id = id;
    record.detail = detail;
    record.set_tuple(tuple);
    return record;
  }

 private:
  uint64_t last_nonce_ = coarse_milliseconds();
};

}  // namespace guise
