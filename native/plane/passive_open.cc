#include "plane/passive_open.h"

#include "plane/clock.h"

namespace guise {
namespace {

constexpr uint8_t kEndOfOptions = 0, kNoOperation = 1, kSackPermitted = 4;

bool has_option(std::span<const uint8_t> options, uint8_t wanted) {
  for (size_t at = 0; at < options.size();) {
    const uint8_t kind = options[at];
    if (kind == wanted) return true;
    if (kind == kEndOfOptions) return false;
    const size_t length = kind == kNoOperation ? 1 : at + 1 < options.size() ? options[at + 1] : 0;
    if (length < (kind == kNoOperation ? 1 : 2)) return false;
    at += length;
  }
  return false;
}

// A router may add an MSS option to phantun's SYN, so its ISN of 0 decides together with the missing SACK.
SynKind kind_of(const SegmentView& syn) {
  return syn.seq == 0 && !has_option(syn.options, kSackPermitted) ? SynKind::kPhantun : SynKind::kGuise;
}

}  // namespace

void PassiveOpen::receive(const SegmentView& segment) {
  if (segment.flags & kRst) return context_.counters.drop(DropReason::kStranger);
  if (segment.flags & kSyn && !(segment.flags & kAck)) {
    return answer_syn(segment, ports_.find(segment.tuple.local.port)->second);
  }
  const uint64_t now = coarse_milliseconds();
  const auto kind = (segment.flags & (kSyn | kFin | kAck)) == kAck
                        ? cookies_.check(segment.tuple, segment.ack - 1, now / 1000)
                        : std::nullopt;
  if (!kind) {
    context_.counters.drop(DropReason::kStranger);
    if (!strangers_.take(now)) return;
  }
  context_.emit_segment(kind ? EventType::kOpening : EventType::kSegment, 0, segment,
                        kind == SynKind::kPhantun ? 1 : 0);
}

void PassiveOpen::next_batch(bool more_wait) {
  full_batches_ = more_wait ? full_batches_ + 1 : 0;
  answers_left_ = second_answers_left_ = full_batches_ < kPatience ? SIZE_MAX : kAnswersWhenBusy;
}

bool PassiveOpen::may_answer(uint32_t cookie) {
  size_t& left = answers_left_ == 0 && refused_.contains(cookie) ? second_answers_left_ : answers_left_;
  if (left == 0) return false;
  --left;
  return true;
}

void PassiveOpen::answer_syn(const SegmentView& syn, const SynAckOptions& options) {
  const SynKind kind = kind_of(syn);
  const uint32_t isn = cookies_.make(syn.tuple, kind, coarse_milliseconds() / 1000);
  if (!may_answer(isn)) {
    refused_.add(isn);
    return context_.counters.drop(DropReason::kSynLimit);
  }
  const auto& chosen = kind == SynKind::kPhantun         ? options.phantun
                       : syn.tuple.local.address.is_v4() ? options.guise4
                                                         : options.guise6;
  count(context_.counters.engine().syns_answered);
  (void)context_.devices[context_.index]->write_segment(SegmentHeader(syn.tuple), isn, syn.seq + 1, kSyn | kAck, chosen,
                                                        {});
}

}  // namespace guise
