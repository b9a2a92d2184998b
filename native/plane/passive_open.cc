#include "plane/passive_open.h"

#include <algorithm>
#include <array>

#include "io/clock.h"
#include "wire/note.h"
#include "wire/tcp_options.h"

namespace guise {
namespace {

// A router may add an MSS option to phantun's SYN, so its ISN of 0 decides together with the missing SACK.
SynFacts facts_of(const SegmentView& syn) {
  const SynOptions options = parse_syn_options(syn.options);
  const bool phantun = syn.seq == 0 && !options.sack_permitted;
  return {.kind = phantun ? SynKind::kPhantun : SynKind::kGuise, .scaled = options.scaled, .mss = options.mss};
}

// See EventRecord::detail.
uint32_t detail_of(const SynFacts& facts, const SegmentView& segment) {
  return (segment.has_foreign_window() ? kForeignWindow : 0) | (facts.kind == SynKind::kPhantun ? kOpeningPhantun : 0) |
         (facts.scaled ? kOpeningScaled : 0) | uint32_t{facts.mss} << kOpeningMssShift;
}

// 0.0.0.0 stands for all of IPv4, :: for all.
bool covers(const Address& listening, const Address& address) {
  constexpr uint8_t kAny4[4] = {};
  return listening == address || listening == Address() || (address.is_v4() && listening == Address::from_v4(kAny4));
}

}  // namespace

bool PassiveOpen::may_matter(const SegmentView& segment) {
  const bool answers_syn = (segment.flags & (kSyn | kAck)) == (kSyn | kAck) || segment.flags & kRst;
  return answers_syn || strangers_.take(coarse_milliseconds());
}

void PassiveOpen::receive(const SegmentView& segment) {
  if (segment.flags & kRst) return context_.counters.drop(DropReason::kStranger);
  if (segment.flags & kSyn && !(segment.flags & kAck)) {
    return answer_syn(segment, *find(segment.tuple.local));
  }
  const uint64_t now = coarse_milliseconds();
  auto facts = (segment.flags & (kSyn | kFin | kAck)) == kAck
                   ? context_.engine.cookies.check(segment.tuple, segment.ack - 1, now / 1000)
                   : std::nullopt;
  // A note of a connection that this end has closed meanwhile opens none: it is no datagram.
  if (facts && read_note(segment.payload)) facts.reset();
  if (!facts) {
    context_.counters.drop(DropReason::kStranger);
    if (!strangers_.take(now)) return;
  }
  // The client knows more: what became of the SYN-ACK.
  if (facts && segment.window() == kUnscaledWindow) facts->scaled = false;
  // When JavaScript is too slow, the next segment brings the cookie again.
  const auto type = facts ? EventType::kOpening : EventType::kSegment;
  if (!context_.emit(type, 0, facts ? detail_of(*facts, segment) : 0, segment)) {
    context_.counters.drop(DropReason::kEventsFull);
  }
}

const SynAckOptions* PassiveOpen::find(const Endpoint& local) const {
  const auto port = ports_.find(local.port);
  if (port == ports_.end()) return nullptr;
  for (const Listening& each : port->second) {
    if (covers(each.address, local.address)) return &each.options;
  }
  return nullptr;
}

void PassiveOpen::next_batch(bool more_wait) {
  full_batches_ = more_wait ? full_batches_ + 1 : 0;
  const bool busy = full_batches_ >= context_.policy.full_batches_before_busy;
  answers_left_ = second_answers_left_ = busy ? context_.policy.syn_answers_when_busy : SIZE_MAX;
}

bool PassiveOpen::may_answer(uint64_t hash) {
  size_t& left = answers_left_ == 0 && refused_.contains(hash) ? second_answers_left_ : answers_left_;
  if (left == 0) return false;
  --left;
  return true;
}

void PassiveOpen::answer_syn(const SegmentView& syn, const SynAckOptions& options) {
  const uint64_t hash = syn.tuple.hash(context_.engine.hash_key);
  if (!may_answer(hash)) {
    refused_.add(hash);
    return context_.counters.drop(DropReason::kSynLimit);
  }
  const SynFacts facts = facts_of(syn);
  const uint32_t isn = context_.engine.cookies.make(syn.tuple, facts, coarse_milliseconds() / 1000);
  const std::vector<uint8_t> none;
  const bool v4 = syn.tuple.local.address.is_v4();
  const std::vector<uint8_t>& scaled = facts.kind == SynKind::kPhantun ? options.phantun
                                       : v4                            ? options.guise4
                                                                       : options.guise6;
  const std::vector<uint8_t>& unscaled = facts.kind == SynKind::kPhantun ? none
                                         : v4                            ? options.unscaled4
                                                                         : options.unscaled6;
  const std::vector<uint8_t>& chosen = facts.scaled ? scaled : unscaled;
  count(context_.counters.engine().syns_answered);
  const SegmentHeader header(syn.tuple);
  std::array<uint8_t, kMaxHeaders> fitted;
  std::ranges::copy(chosen, fitted.begin());
  const std::span answer = std::span(fitted).first(chosen.size());
  // What comes back comes over this link.
  if (const size_t mtu = context_.device().mtu_of(syn.way); mtu > header.size()) limit_mss(answer, mtu - header.size());
  context_.count_write(context_.device().write_segment(syn.way, header, isn, syn.seq + 1, kSyn | kAck, answer, {}));
}

}  // namespace guise
