#include "plane/uplink.h"

#include <algorithm>
#include <utility>

#include "io/clock.h"

namespace guise {
namespace {

constexpr size_t kMostErrors = 256;  // as many as a burst of datagrams draws

uint32_t now() { return static_cast<uint32_t>(coarse_milliseconds()); }

// What leaves next of what waits; null when nothing does.
DatagramQueue* waiting(Flow& flow) {
  if (!flow.unsent.empty()) return &flow.unsent;
  return flow.application && !flow.application->pending.empty() ? &flow.application->pending : nullptr;
}

}  // namespace

Uplink::Uplink(WorkerContext& context)
    : context_(context), batch_(context.policy.udp_batch_messages, context.policy.udp_batch_large_messages) {}

void Uplink::receive(UdpPort& port) {
  const size_t messages = port.socket.receive(batch_);
  for (size_t i = 0; i < messages; ++i) {
    const std::span<const uint8_t> bytes = batch_.bytes(i);
    if (bytes.empty()) {
      take_empty(port, i);
      continue;
    }
    Application* application = port.connected() ? port.endpoint.get() : application_of(port, i);
    if (!application) continue;
    const size_t segment_size = batch_.segment_size(i);
    Flow* flow = application->flow;
    if (flow && flow->refused.load(std::memory_order_relaxed) != 0) [[unlikely]]
      context_.tell_refused(*flow, 0);
    if (flow && application->pending.empty() && flow->window_open.load(std::memory_order_relaxed)) {
      send(*flow, bytes, segment_size);
    } else {
      queue(*application, bytes, segment_size);
      if (flow && !flow->waits.load(std::memory_order_relaxed)) release(*flow);
    }
  }
  flush();
}

void Uplink::take_errors(UdpPort& port) {
  // What is left is told of again: others have their turn.
  UdpError reported;
  for (size_t i = 0; i < kMostErrors && port.socket.take_error(reported); ++i) {
    if (!is_refusal(reported.error)) continue;
    const Application* application = port.connected() ? port.endpoint.get()
                                                      : context_.applications.find(Tuple{
                                                            .local = {reported.local, port.number},
                                                            .remote = reported.remote,
                                                        });
    Flow* flow = application ? application->flow : nullptr;
    context_.count_refused(port, flow, port.socket.last_sent(), reported.error);
  }
}

Tuple Uplink::tuple_of(const UdpPort& port, size_t message) const {
  return {.local = {batch_.destination(message), port.number}, .remote = batch_.source(message)};
}

Application* Uplink::application_of(UdpPort& port, size_t message) {
  const Tuple tuple = tuple_of(port, message);
  Application* application = context_.applications.find(tuple);
  return application ? application : admit(port, tuple);
}

Application* Uplink::admit(UdpPort& port, const Tuple& tuple) {
  if (context_.applications.size() >= context_.policy.max_applications) {
    context_.counters.drop(DropReason::kApplicationsFull);
    return nullptr;
  }
  auto application = std::make_unique<Application>(port, context_.counters.engine());
  application->tuple = tuple;
  application->id = free_application_id();
  Application* admitted = application.get();
  context_.applications_by_id.emplace(admitted->id, admitted);
  context_.application_ids.add(admitted->id, port.listener);
  context_.applications.insert(std::move(application));
  context_.emit_control(context_.record_of(EventType::kApplication, admitted->id, port.listener, tuple));
  return admitted;
}

// The worker's index, and a number that comes again when all others have been used.
uint32_t Uplink::free_application_id() {
  for (;;) {
    next_application_id_ = (next_application_id_ + 1) & 0xffffff;
    const uint32_t id = uint32_t{context_.index} << 24 | next_application_id_;
    if (next_application_id_ != 0 && !context_.applications_by_id.contains(id)) return id;
  }
}

void Uplink::queue(Application& application, std::span<const uint8_t> bytes, size_t segment_size) {
  each_datagram(bytes, segment_size, [&](std::span<const uint8_t> datagram) {
    for (; !application.pending.empty() && !context_.has_room(application.pending, datagram.size());
         application.pending.pop()) {
      context_.counters.drop(DropReason::kPendingFull);
    }
    if (context_.has_room(application.pending, datagram.size()))
      application.pending.push(datagram);
    else
      context_.counters.drop(DropReason::kPendingFull);
  });
}

// A SYN-ACK's window is not scaled, so a router with strict conntrack takes more than 64 KiB in flight for INVALID
// until it sees the peer's first ACK with a scaled one (net/netfilter/nf_conntrack_proto_tcp.c, tcp_in_window). Where
// something has taken the option out of the handshake it does so for good.
void Uplink::release(Flow& flow) {
  DatagramQueue* queue = nullptr;
  for (;;) {
    (void)flow.waits.exchange(false);
    while ((queue = waiting(flow)) && flow.has_window(queue->front().size())) {
      send_first(flow, *queue);
      flow.stalled_since = now();
    }
    if (!queue) return;
    // A reader takes an ACK first, and exchanges then: either it finds what waits, or this exchange finds the ACK.
    (void)flow.waits.exchange(true);
    if (!flow.has_window(queue->front().size())) break;
  }
  if (std::exchange(flow.stalled, true)) return;
  flow.stalled_since = now();
  stalled_.push_back(flow.shared_from_this());
}

void Uplink::release_unsent(Flow& flow) {
  while (!flow.unsent.empty()) send_first(flow, flow.unsent);
}

void Uplink::send_or_keep(Flow& flow, const std::vector<Datagram>& datagrams) {
  if (!flow.window_open.load(std::memory_order_relaxed) || !flow.unsent.empty()) {
    for (const Datagram& datagram : datagrams) {
      if (datagram.empty()) {
        send_empty(flow);
      } else {
        flow.unsent.push(datagram);
      }
    }
    return release(flow);
  }
  size_t bytes = 0;
  for (const Datagram& datagram : datagrams) {
    bytes += datagram.size();
    if (datagram.empty()) send_empty(flow);
    send(flow, datagram, datagram.size());
  }
  flush();
  flow.posted_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

void Uplink::push_stalled() {
  for (const auto& flow : std::exchange(stalled_, {})) {
    if (!waiting(*flow)) {
      flow->stalled = false;
    } else if (now() - flow->stalled_since < context_.policy.ack_interval) {
      stalled_.push_back(flow);
    } else {
      flow->stalled = false;
      push(*flow);
    }
  }
}

// A peer that stays silent must not stop the flow for good: its first ACK may be lost, or the last datagrams, which
// nobody acknowledges then. The next one tells the peer that they are missing, and the probe asks for an ACK at once.
void Uplink::push(Flow& flow) {
  if (flow.scaled) {
    flow.window_open.store(true);
  } else if (!flow.acknowledges) {
    flow.window_base = flow.send_next();
  } else {
    send_first(flow, *waiting(flow));
    context_.write_segment(flow, flow.numbers().peer_ack - 1, flow.acknowledge(), kAck);
  }
  release(flow);
}

void Uplink::send_first(Flow& flow, DatagramQueue& queue) {
  const size_t size = queue.front().size();
  send(flow, queue.front(), size);
  flush();
  queue.pop();
  if (&queue == &flow.unsent) flow.posted_bytes.fetch_sub(size, std::memory_order_relaxed);
}

void Uplink::send(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size) {
  if (std::min(segment_size, bytes.size()) > flow.usual_size) return send_large(flow, bytes, segment_size);
  add(flow, bytes, segment_size);
}

void Uplink::add(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size) {
  if (flow_ != &flow) {
    flush();
    flow_ = &flow;
    run_.limit_bytes(kMaxPacket - flow.header.size());
  }
  run_.add_all(bytes, segment_size, [&] {
    flush();
    flow_ = &flow;
  });
}

void Uplink::send_large(Flow& flow, std::span<const uint8_t> bytes, size_t segment_size) {
  const size_t largest = std::min(segment_size, bytes.size());
  if (largest > flow.path_limit.watched) say_large(flow, largest);
  if (largest <= flow.path_limit.payload) return add(flow, bytes, segment_size);
  each_datagram(bytes, segment_size, [&](std::span<const uint8_t> datagram) {
    if (datagram.size() <= flow.path_limit.payload) return add(flow, datagram, datagram.size());
    if (datagram.size() > flow.max_payload) return drop_sent(flow, DropReason::kOversize);
    if (!flow.path_limit.fragments) return drop_sent(flow, DropReason::kPathMtu);
    send_in_fragments(flow, datagram);
  });
}

void Uplink::send_in_fragments(Flow& flow, std::span<const uint8_t> datagram) {
  flush();
  const uint32_t seq = flow.take_sequence(datagram.size());
  count_sent(flow, 1, datagram.size());
  count(context_.counters.engine().fragmented);
  const uint32_t refused = context_.write_fragments(flow, seq, flow.push ? kAck | kPsh : kAck, datagram);
  if (refused > 0) count(flow.counters.sent_drops, refused);
}

void Uplink::take_empty(const UdpPort& port, size_t message) {
  const Application* application =
      port.connected() ? port.endpoint.get() : context_.applications.find(tuple_of(port, message));
  if (application && application->flow) return send_empty(*application->flow);
  context_.counters.drop(DropReason::kEmptyDatagram);
}

// A segment without data is an ACK, so a note says it: out of order, behind what the peer has acknowledged.
void Uplink::send_empty(Flow& flow) {
  if (!flow.takes_notes()) return drop_sent(flow, DropReason::kEmptyDatagram);
  uint8_t note[Note::kSize];
  write_note(note, {.type = Note::Type::kEmpty}, context_.next_nonce());
  count_sent(flow, 1, 0);
  context_.write_segment(flow, flow.numbers().peer_ack - sizeof note, flow.acknowledge(), kAck, note);
}

void Uplink::send_beside(Flow& flow, uint32_t seq, std::span<const uint8_t> bytes, size_t segment_size) {
  run_.limit_bytes(kMaxPacket - flow.header.size());
  (void)run_.add(bytes.data(), bytes.size(), segment_size);
  const Way way = flow.way();
  PacketDevice& device = context_.device_of(flow);
  (void)context_.wrote(flow, way, device.write_run(way, flow.header, seq, flow.acknowledge(), false, run_));
  run_.clear();
}

void Uplink::count_sent(Flow& flow, size_t datagrams, size_t bytes) {
  count(flow.counters.sent_datagrams, datagrams);
  count(flow.counters.sent_bytes, bytes);
  count(flow.counters.sent_batches);
  if (flow.asleep.load(std::memory_order_relaxed) && flow.asleep.exchange(false)) [[unlikely]]
    context_.emit_control(EventType::kAwake, flow);
}

void Uplink::drop_sent(Flow& flow, DropReason reason) {
  context_.counters.drop(reason);
  count(flow.counters.sent_drops);
}

// Once; JavaScript asks for it again.
void Uplink::say_large(Flow& flow, size_t datagram_size) {
  PathLimit limit = flow.path_limit;
  limit.watched = UINT32_MAX;
  flow.set_path_limit(limit);
  EventRecord record = context_.record_of(EventType::kLargeSent, flow.id, flow.generation, flow.tuple);
  record.seq = static_cast<uint32_t>(datagram_size);
  context_.emit_control(record);
}

void Uplink::flush() {
  if (!flow_) return;
  Flow& flow = *flow_;
  flow_ = nullptr;
  if (run_.empty()) return;
  const uint32_t seq = flow.take_sequence(run_.bytes());
  count_sent(flow, run_.segments(), run_.bytes());
  const Way way = flow.way();
  PacketDevice& device = context_.device_of(flow);
  const uint32_t refused =
      context_.wrote(flow, way, device.write_run(way, flow.header, seq, flow.acknowledge(), flow.push, run_));
  if (refused > 0) count(flow.counters.sent_drops, refused);
  run_.clear();
  if (flow.send_next() - flow.progress_send_next >= context_.policy.unanswered_bytes) look_for_progress(flow);
}

// Where a firewall stops what exceeds some bytes that nobody has acknowledged, the peer gets nothing more, acknowledges
// nothing more, and all that is sent is lost for good. A bare ACK passes, and tells the peer how far we are. Over a
// long way the first answer takes a while, too: each next one is sent after twice the time.
void Uplink::look_for_progress(Flow& flow) {
  constexpr uint8_t kMostDoublings = 5;
  const uint32_t acknowledged = flow.numbers().peer_ack, time = now();
  if (acknowledged != flow.progress_ack) {
    flow.progress_ack = acknowledged;
    flow.progress_send_next = flow.send_next();
    flow.unanswered = 0;
  } else if (time - flow.progress_at < context_.policy.unanswered_wait << flow.unanswered) {
    return;
  } else {
    context_.write_segment(flow, flow.send_next(), flow.acknowledge(), kAck);
    flow.unanswered = std::min<uint8_t>(flow.unanswered + 1, kMostDoublings);
  }
  flow.progress_at = time;
}

}  // namespace guise
