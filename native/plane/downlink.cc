#include "plane/downlink.h"

#include <algorithm>
#include <cstring>

#include "plane/clock.h"

namespace guise {

Downlink::Downlink(WorkerContext& context, PassiveOpen& passive_open, const std::atomic<bool>& commands_waiting,
                   std::function<void()> refresh, std::function<void(Flow&)> opened)
    : context_(context),
      passive_open_(passive_open),
      commands_waiting_(commands_waiting),
      refresh_(std::move(refresh)),
      opened_(std::move(opened)),
      arena_(new uint8_t[kArena]) {}

bool Downlink::receive(PacketDevice& device) {
  const size_t largest = device.prefix() + kMaxPacket;
  size_t used = 0;
  bool alive = true, more_wait = true;
  for (size_t reads = 0; reads < kReads && used + largest <= kArena; ++reads) {
    uint8_t* buffer = &arena_[used];
    const ssize_t got = device.read(buffer, largest);
    if (got <= 0) {
      // 0: the other end of a socketpair closed. EBADFD: the interface was deleted.
      alive = got == -EAGAIN || got == -EINTR;
      more_wait = false;
      break;
    }
    const auto size = static_cast<size_t>(got);
    if (size <= device.prefix()) {
      context_.counters.drop(DropReason::kTruncated);
      continue;
    }
    used += (size + 63) & ~size_t{63};
    if (device.prefix() > 0) {
      VirtioNetHeader offload;
      std::memcpy(&offload, buffer, sizeof offload);
      take({buffer + sizeof offload, size - sizeof offload}, &offload);
    } else {
      take({buffer, size}, nullptr);
    }
  }
  flush();
  passive_open_.next_batch(more_wait);
  return alive;
}

void Downlink::take(std::span<const uint8_t> packet, const VirtioNetHeader* offload) {
  SegmentView segment;
  const DropReason refused = parse_segment(packet, offload, segment);
  if (refused != DropReason::kNone) return context_.counters.drop(refused);

  Flow* flow = context_.flows.find(segment.tuple);
  if (!flow && commands_waiting_.load(std::memory_order_relaxed)) {
    flush();  // commands may end the flow of the run
    refresh_();
    flow = context_.flows.find(segment.tuple);
  }
  if (flow) return take_established(*flow, segment);

  // Of a merged segment each datagram is taken by itself, so that the control plane sees plain segments.
  SegmentView one = segment;
  size_t at = 0;
  do {
    one.payload = segment.payload.subspan(at, std::min(segment.segment_size, segment.payload.size() - at));
    one.seq = segment.seq + static_cast<uint32_t>(at);
    take_unknown(one);
    at += segment.segment_size;
  } while (at < segment.payload.size());
}

void Downlink::take_unknown(const SegmentView& segment) {
  if (passive_open_.listens(segment.tuple.local.port)) return passive_open_.receive(segment);
  context_.emit_segment(EventType::kSegment, 0, segment);
}

void Downlink::take_established(Flow& flow, const SegmentView& segment) {
  const Verdict verdict = judge(segment, flow.numbers());
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
      flush();
      return context_.emit_segment(EventType::kSegment, flow, segment);
    default:
      break;
  }
  count(flow.counters.received_any);
  if (verdict == Verdict::kChallenge) return challenge(flow);
  flow.take_ack(segment.ack);
  if (!flow.window_open.load(std::memory_order_relaxed) && !flow.window_open.exchange(true)) opened_(flow);
  if (verdict != Verdict::kNothing) take_datagrams(flow, segment);
}

void Downlink::take_datagrams(Flow& flow, const SegmentView& segment) {
  flow.advance(segment.seq + static_cast<uint32_t>(segment.payload.size()));
  count(flow.counters.received_datagrams, segment.datagrams());
  count(flow.counters.received_bytes, segment.payload.size());
  count(flow.counters.received_batches);
  deliver(flow, segment);
  acknowledge(flow);
}

void Downlink::deliver(Flow& flow, const SegmentView& segment) {
  switch (flow.delivery.load(std::memory_order_acquire)) {
    case Delivery::kHeld:
      return deliver_held(flow, segment);
    case Delivery::kJavaScript: {
      SegmentView one = segment;
      for (size_t at = 0; at < segment.payload.size(); at += segment.segment_size) {
        one.payload = segment.payload.subspan(at, std::min(segment.segment_size, segment.payload.size() - at));
        context_.emit_segment(EventType::kDatagram, flow, one);
      }
      return;
    }
    case Delivery::kSpliced:
      break;
  }
  if (flow_ != &flow) {
    flush();
    flow_ = &flow;
  }
  for (auto bytes = segment.payload; !bytes.empty();) {
    const size_t taken = run_.add(bytes.data(), bytes.size(), segment.segment_size);
    bytes = bytes.subspan(taken);
    if (taken == 0) {
      flush();
      flow_ = &flow;
    }
  }
}

void Downlink::deliver_held(Flow& flow, const SegmentView& segment) {
  std::unique_lock lock(flow.held_mutex);
  if (flow.delivery.load(std::memory_order_relaxed) != Delivery::kHeld) {
    lock.unlock();
    return deliver(flow, segment);
  }
  for (size_t at = 0; at < segment.payload.size(); at += segment.segment_size) {
    const auto one = segment.payload.subspan(at, std::min(segment.segment_size, segment.payload.size() - at));
    if (!context_.has_room(flow.held, one.size())) {
      context_.counters.drop(DropReason::kHeldFull);
      count(flow.counters.received_drops);
      continue;
    }
    flow.held.push(one);
  }
}

void Downlink::splice(Flow& flow, const std::vector<Datagram>& datagrams) {
  flush();
  const std::lock_guard lock(flow.held_mutex);
  const auto send = [&](const Datagram& datagram) {
    if (datagram.empty()) return;
    run_.add(datagram.data(), datagram.size(), datagram.size());
    flow_ = &flow;
    flush();
  };
  std::ranges::for_each(datagrams, send);
  for (; !flow.held.empty(); flow.held.pop()) send(flow.held.front());
  flow.delivery.store(Delivery::kSpliced, std::memory_order_release);
}

void Downlink::read(Flow& flow) {
  const std::lock_guard lock(flow.held_mutex);
  if (flow.delivery.load(std::memory_order_relaxed) != Delivery::kHeld) return;
  for (; !flow.held.empty(); flow.held.pop()) {
    SegmentView datagram;
    datagram.tuple = flow.tuple;
    datagram.payload = flow.held.front();
    context_.emit_segment(EventType::kDatagram, flow, datagram);
  }
  flow.delivery.store(Delivery::kJavaScript, std::memory_order_release);
}

void Downlink::flush() {
  if (!flow_) return;
  Flow& flow = *flow_;
  flow_ = nullptr;
  if (run_.empty()) return;
  flow.udp->send(flow.target, run_);
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
  const uint32_t seq = flow.send_next.load(std::memory_order_relaxed);
  (void)context_.device_of(flow).write_segment(flow.header, seq, flow.acknowledge(), kAck, {}, {});
}

// At once after so many bytes, and after a while for what is left: one-way traffic must stay ESTABLISHED on routers
// that drop what is INVALID, and its conntrack entry must not fall to the 300 s of unacknowledged data.
void Downlink::acknowledge(Flow& flow) {
  const uint32_t unacknowledged = flow.unacknowledged();
  if (unacknowledged == 0) return;
  const bool first = !flow.first_ack_sent.load(std::memory_order_relaxed) && !flow.first_ack_sent.exchange(true);
  if (first || unacknowledged >= context_.policy.ack_bytes) {
    send_ack(flow);
  } else if (!flow.ack_due.exchange(true, std::memory_order_relaxed)) {
    due_.push_back(flow.shared_from_this());
  }
}

void Downlink::acknowledge_due() {
  std::vector<std::shared_ptr<Flow>> due;
  due.swap(due_);
  for (const auto& flow : due) {
    flow->ack_due.store(false, std::memory_order_relaxed);
    if (flow->unacknowledged() != 0) send_ack(*flow);
  }
}

}  // namespace guise
