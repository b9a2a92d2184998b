#include "plane/downlink.h"

#include <algorithm>

#include "io/clock.h"

namespace guise {

Downlink::Downlink(WorkerContext& context, PassiveOpen& passive_open, const std::atomic<bool>& commands_waiting)
    : context_(context),
      passive_open_(passive_open),
      commands_waiting_(commands_waiting),
      icmp_errors_(context.policy.icmp_errors_per_second),
      reassembly_({.bytes = context.policy.fragment_bytes,
                   .fragments = context.policy.fragments_of_packet,
                   .wait4 = context.policy.fragment_wait4,
                   .wait6 = context.policy.fragment_wait6},
                  context.engine.hash_key) {}

Downlink::Received Downlink::receive(PacketDevice& device) {
  if (std::exchange(paused_, false)) {
    take_known_or_not(waiting_);
  } else {
    begin(device);
  }
  Packet packet;
  PacketDevice::Read read;
  while ((read = device.read(packet)) == PacketDevice::Read::kPacket) {
    count(context_.counters.engine().device_reads);
    if (!take(packet)) {
      flush();  // commands may end the flow of the run
      paused_ = true;
      return Received::kCommandsWait;
    }
  }
  flush();
  acknowledge_wanted();
  if (const uint64_t lost = device.take_overruns()) context_.counters.drop(DropReason::kDeviceOverrun, lost);
  count_lost_fragments();
  passive_open_.next_batch(read == PacketDevice::Read::kFull);
  return read == PacketDevice::Read::kGone ? Received::kDeviceGone : Received::kAll;
}

void Downlink::begin(PacketDevice& device) {
  device.begin();
  reassembly_.release();
  if (reassembly_.bytes() > 0) reassembly_.expire(coarse_milliseconds());
}

bool Downlink::take(const Packet& packet) {
  SegmentView segment;
  const ParseError refused = parse_segment(packet.bytes, packet.offload_or_null(), segment);
  if (refused == ParseError::kFragment) {
    if (!parse_fragments(packet.bytes, segment)) return true;
  } else if (refused != ParseError::kNone) {
    if (refused != ParseError::kNotTcp || !take_icmp(packet)) context_.counters.drop(drop_reason_of(refused));
    return true;
  }
  segment.way = packet.way;
  Flow* flow = context_.flows.find(segment.tuple);
  if (flow) {
    take_established(*flow, segment);
    return true;
  }
  if (commands_waiting_.load(std::memory_order_relaxed)) {
    waiting_ = segment;
    return false;
  }
  take_unknown(segment);
  return true;
}

// Only somebody who sees the connection knows what is under way (RFC 5927 §4.1).
bool Downlink::take_icmp(const Packet& packet) {
  const auto error = parse_icmp_error(packet.bytes, packet.offload_or_null());
  if (!error) return false;
  const Flow* flow = context_.flows.find(error->tuple);
  if (flow && !flow->is_under_way(error->seq)) {
    context_.counters.drop(DropReason::kIcmpForged);
  } else if (icmp_errors_.take(coarse_milliseconds())) {
    context_.emit_icmp(flow, *error);
  }
  return true;
}

void Downlink::take_note(Flow& flow, const Note& note, size_t size) {
  if (note.type == Note::Type::kAnswer) context_.emit_answer(flow, note);
  if (note.type == Note::Type::kProbe) take_probe(flow, note, size);
  if (note.type == Note::Type::kEmpty) take_empty(flow);
}

void Downlink::take_empty(Flow& flow) {
  count(flow.counters.received_datagrams);
  switch (flow.delivery.load(std::memory_order_acquire)) {
    case Delivery::kSpliced:
      flush();
      return context_.count_send(flow, flow.port->socket.send(flow.target, run_));
    case Delivery::kJavaScript: {
      SegmentView empty;
      empty.tuple = flow.tuple;
      if (!context_.emit(EventType::kDatagram, flow.id, flow.generation, empty))
        drop_received(flow, DropReason::kEventsFull, 1);
      return;
    }
    case Delivery::kHeld:  // the queue is bounded by bytes, of which there are none
    case Delivery::kDropped:
      return drop_received(flow, DropReason::kEmptyDatagram, 1);
  }
}

// The answer lies behind what the peer has acknowledged, as the probe does.
void Downlink::take_probe(Flow& flow, const Note& probe, size_t size) {
  uint8_t answer[Note::kSize];
  const auto came = static_cast<uint16_t>(size);
  write_note(answer, {.type = Note::Type::kAnswer, .size = came, .token = probe.token}, context_.next_nonce());
  context_.write_segment(flow, flow.numbers().peer_ack - sizeof answer, flow.acknowledge(), kAck, answer);
  if (came != probe.size && !flow.recut_said.exchange(true)) context_.emit_control(EventType::kRecut, flow);
}

bool Downlink::parse_fragments(std::span<const uint8_t> packet, SegmentView& segment) {
  const auto fragment = parse_fragment(packet);
  const auto& addresses = context_.local_addresses;
  if (!fragment || (addresses && !addresses->contains(fragment->destination))) {
    context_.counters.drop(fragment ? DropReason::kNotLocal : DropReason::kFragment);
    return false;
  }
  const uint64_t now = coarse_milliseconds();
  const auto whole = reassembly_.take(*fragment, now);
  if (whole.empty()) return false;
  const ParseError refused = parse_segment(whole, nullptr, segment);
  segment.reassembled = true;
  if (refused == ParseError::kNone) return true;
  context_.counters.drop(drop_reason_of(refused));
  // It may be the first of another packet with this identification. That of all of ours is 0.
  if (refused == ParseError::kBadChecksum) (void)reassembly_.take(*fragment, now);
  return false;
}

void Downlink::count_lost_fragments() {
  const Reassembly::Lost lost = reassembly_.take_lost();
  if (lost.overlapping > 0) context_.counters.drop(DropReason::kFragmentOverlap, lost.overlapping);
  if (lost.late > 0) context_.counters.drop(DropReason::kFragmentLate, lost.late);
  if (lost.crowded > 0) context_.counters.drop(DropReason::kFragmentCrowded, lost.crowded);
}

void Downlink::take_known_or_not(const SegmentView& segment) {
  if (Flow* flow = context_.flows.find(segment.tuple)) return take_established(*flow, segment);
  take_unknown(segment);
}

void Downlink::take_unknown(const SegmentView& segment) {
  const bool listens = passive_open_.listens(segment.tuple.local);
  if (const auto& addresses = context_.local_addresses) {
    if (!addresses->contains(segment.tuple.local.address)) return context_.counters.drop(DropReason::kNotLocal);
    if (!listens && !passive_open_.may_matter(segment)) return context_.counters.drop(DropReason::kStranger);
  }
  const auto take_one = [&](const SegmentView& one) {
    if (listens) return passive_open_.receive(one);
    // The kernel does not keep other programs' connections away here.
    if (one.reassembled) return context_.counters.drop(DropReason::kStranger);
    const uint32_t detail = one.hop_limit | (one.has_foreign_window() ? kForeignWindow : 0);
    if (!context_.emit(EventType::kSegment, 0, detail, one)) context_.counters.drop(DropReason::kEventsFull);
  };
  if (segment.payload.empty()) return take_one(segment);
  // Of a merged segment each datagram is taken by itself, so that the control plane sees plain segments.
  SegmentView one = segment;
  each_datagram(segment.payload, segment.segment_size, [&](std::span<const uint8_t> datagram) {
    one.payload = datagram;
    take_one(one);
    one.seq += static_cast<uint32_t>(datagram.size());
  });
}

void Downlink::take_established(Flow& flow, const SegmentView& segment) {
  const FlowNumbers numbers = flow.numbers();
  const Verdict verdict = judge(segment, numbers, context_.windows);
  if (verdict != Verdict::kLate || segment.datagrams() == 1) return take_judged(flow, segment, numbers, verdict);
  // A note may have been merged with what came behind it.
  SegmentView one = segment;
  each_datagram(segment.payload, segment.segment_size, [&](std::span<const uint8_t> datagram) {
    one.payload = datagram;
    const FlowNumbers now = flow.numbers();
    take_judged(flow, one, now, judge(one, now, context_.windows));
    one.seq += static_cast<uint32_t>(datagram.size());
  });
}

void Downlink::take_judged(Flow& flow, const SegmentView& segment, const FlowNumbers& numbers, Verdict verdict) {
  std::optional<Note> note;
  switch (verdict) {
    case Verdict::kBadAck:
      return context_.counters.drop(DropReason::kBadAck, std::max<size_t>(1, segment.datagrams()));
    case Verdict::kOutOfWindow:
      if (segment.payload.empty() || !flow.believes_stray(segment)) {
        return context_.counters.drop(DropReason::kOutOfWindow, std::max<size_t>(1, segment.datagrams()));
      }
      flow.set_receive_next(segment.seq);
      break;
    case Verdict::kReset:
    case Verdict::kFinished:
      return take_end(flow, segment);
    case Verdict::kLate:
      note = read_note(segment.payload);
      break;
    default:
      break;
  }
  count(flow.counters.received_segments);
  if (verdict == Verdict::kChallenge) return challenge(flow);
  flow.learn_way(segment, numbers);
  flow.take_ack(segment.ack);
  if (!flow.window_open.load(std::memory_order_relaxed)) move_window(flow);
  if (ahead(segment.seq, numbers.receive_next) > 0) flow.acks.gap();
  if (note) return take_note(flow, *note, segment.payload.size());
  if (verdict == Verdict::kDeliver || verdict == Verdict::kLate || verdict == Verdict::kOutOfWindow)
    return take_datagrams(flow, segment);
  if (verdict != Verdict::kSkip) return;
  flow.advance(segment.seq);
  acknowledge(flow);
}

void Downlink::move_window(Flow& flow) {
  if (flow.scaled) flow.window_open.store(true);
  if (flow.waits.exchange(false)) opened_.push_back(flow.shared_from_this());
}

void Downlink::take_datagrams(Flow& flow, const SegmentView& segment) {
  flow.advance(segment.seq + static_cast<uint32_t>(segment.payload.size()));
  count(flow.counters.received_datagrams, segment.datagrams());
  count(flow.counters.received_bytes, segment.payload.size());
  count(flow.counters.received_batches);
  deliver(flow, segment);
  acknowledge(flow);
}

// What is with a FIN is nobody's: its place in the sequence is all that JavaScript needs.
void Downlink::take_end(Flow& flow, const SegmentView& segment) {
  flush();
  if (segment.datagrams() > 0) context_.counters.drop(DropReason::kFinData, segment.datagrams());
  EventRecord record = context_.record_of(EventType::kFlowEnd, flow.id, flow.generation, flow.tuple);
  record.flags = segment.flags;
  record.seq = segment.seq + static_cast<uint32_t>(segment.payload.size());
  record.ack = segment.ack;
  context_.emit_control(record);
}

// NOLINTNEXTLINE(misc-no-recursion): once deeper at most, since what is no longer held never is again
void Downlink::deliver(Flow& flow, const SegmentView& segment) {
  switch (flow.delivery.load(std::memory_order_acquire)) {
    case Delivery::kHeld:
      return deliver_held(flow, segment);
    case Delivery::kJavaScript:
      return deliver_to_javascript(flow, segment);
    case Delivery::kDropped:
      return drop_received(flow, DropReason::kApplicationGone, segment.datagrams());
    case Delivery::kSpliced:
      break;
  }
  if (flow_ != &flow) {
    flush();
    flow_ = &flow;
  }
  run_.add_all(segment.payload, segment.segment_size, [&] {
    flush();
    flow_ = &flow;
  });
}

void Downlink::deliver_to_javascript(Flow& flow, const SegmentView& segment) {
  SegmentView one = segment;
  each_datagram(segment.payload, segment.segment_size, [&](std::span<const uint8_t> datagram) {
    one.payload = datagram;
    if (context_.emit(EventType::kDatagram, flow.id, flow.generation, one)) return;
    drop_received(flow, DropReason::kEventsFull, 1);
  });
}

// NOLINTNEXTLINE(misc-no-recursion): see deliver
void Downlink::deliver_held(Flow& flow, const SegmentView& segment) {
  std::unique_lock lock(flow.held_mutex);
  if (flow.delivery.load(std::memory_order_relaxed) != Delivery::kHeld) {
    lock.unlock();
    return deliver(flow, segment);
  }
  each_datagram(segment.payload, segment.segment_size, [&](std::span<const uint8_t> datagram) {
    if (!context_.has_room(flow.held, datagram.size())) return drop_received(flow, DropReason::kHeldFull, 1);
    flow.held.push(datagram);
  });
}

void Downlink::drop_received(Flow& flow, DropReason reason, size_t datagrams) {
  context_.counters.drop(reason, datagrams);
  count(flow.counters.received_drops, datagrams);
}

void Downlink::splice(Flow& flow, const std::vector<Datagram>& datagrams) {
  flush();
  const std::lock_guard lock(flow.held_mutex);
  const auto send = [&](const Datagram& datagram) {
    if (!datagram.empty()) run_.add(datagram.data(), datagram.size(), datagram.size());
    context_.count_send(flow, flow.port->socket.send(flow.target, run_));
    run_.clear();
  };
  std::ranges::for_each(datagrams, send);
  for (; !flow.held.empty(); flow.held.pop()) send(flow.held.front());
  flow.delivery.store(Delivery::kSpliced, std::memory_order_release);
}

void Downlink::read(Flow& flow) {
  const std::lock_guard lock(flow.held_mutex);
  if (flow.delivery.load(std::memory_order_relaxed) != Delivery::kHeld) return;
  SegmentView held;
  held.tuple = flow.tuple;
  for (; !flow.held.empty(); flow.held.pop()) {
    held.payload = flow.held.front();
    held.segment_size = held.payload.size();
    deliver_to_javascript(flow, held);
  }
  flow.delivery.store(Delivery::kJavaScript, std::memory_order_release);
}

void Downlink::drop(Flow& flow) {
  const std::lock_guard lock(flow.held_mutex);
  for (; !flow.held.empty(); flow.held.pop()) drop_received(flow, DropReason::kApplicationGone, 1);
  flow.delivery.store(Delivery::kDropped, std::memory_order_release);
}

void Downlink::flush() {
  if (!flow_) return;
  Flow& flow = *flow_;
  flow_ = nullptr;
  if (run_.empty()) return;
  context_.count_send(flow, flow.port->socket.send(flow.target, run_));
  run_.clear();
}

void Downlink::challenge(Flow& flow) {
  if (!flow.may_challenge(static_cast<uint32_t>(coarse_milliseconds()))) {
    return context_.counters.drop(DropReason::kChallengeLimit);
  }
  count(context_.counters.engine().challenges);
  send_ack(flow);
}

void Downlink::send_ack(Flow& flow) {
  context_.write_segment(flow, flow.send_next(), flow.acknowledge(), kAck);
  flow.acks.acknowledged(flow.numbers().receive_next, static_cast<uint32_t>(coarse_milliseconds()));
}

// With the end of the batch after so many bytes, see AckPace, and after Policy::ack_interval for what is left.
void Downlink::acknowledge(Flow& flow) {
  const uint32_t unacknowledged = flow.unacknowledged();
  if (unacknowledged == 0) return;
  const bool first = !flow.first_ack_sent.load(std::memory_order_relaxed) && !flow.first_ack_sent.exchange(true);
  if (first || unacknowledged >= flow.acks.bytes()) {
    if (!flow.ack_wanted.exchange(true, std::memory_order_relaxed)) wanted_.push_back(flow.shared_from_this());
  } else if (!flow.ack_due.exchange(true, std::memory_order_relaxed)) {
    due_.push_back(flow.shared_from_this());
  }
}

void Downlink::acknowledge_wanted() {
  for (const auto& flow : wanted_) {
    flow->ack_wanted.store(false, std::memory_order_relaxed);
    if (flow->unacknowledged() != 0) send_ack(*flow);
  }
  wanted_.clear();
}

void Downlink::acknowledge_due() {
  for (const auto& flow : std::exchange(due_, {})) {
    flow->ack_due.store(false, std::memory_order_relaxed);
    if (flow->unacknowledged() != 0) send_ack(*flow);
  }
}

}  // namespace guise
