// The server's side of the handshake, without state: SYNs are answered here with a cookie, and JavaScript hears of a
// connection when an ACK brings it back. A flood of SYNs, ACKs or RSTs costs processor time and nothing else.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "plane/refused_syns.h"
#include "plane/token_bucket.h"
#include "plane/worker_context.h"

namespace guise {

// TCP options of a SYN-ACK, by the kind of the SYN and the family.
struct SynAckOptions {
  std::vector<uint8_t> guise4, guise6, phantun;
};

class PassiveOpen {
 public:
  explicit PassiveOpen(WorkerContext& context)
      : context_(context),
        strangers_(context.policy.strangers_per_second),
        refused_(context.policy.refused_syn_slots) {}

  void listen(uint16_t port, SynAckOptions options) { ports_.insert_or_assign(port, std::move(options)); }
  void unlisten(uint16_t port) { ports_.erase(port); }

  [[nodiscard]] bool listens(uint16_t port) const { return ports_.contains(port); }

  // Takes a segment of no flow to a port that is listened on.
  void receive(const SegmentView& segment);

  // To be called after each batch of segments; `more_wait`: it took not all that were there.
  void next_batch(bool more_wait);

 private:
  void answer_syn(const SegmentView& syn, const SynAckOptions& options);
  [[nodiscard]] bool may_answer(uint32_t cookie);

  WorkerContext& context_;
  std::unordered_map<uint16_t, SynAckOptions> ports_;
  TokenBucket strangers_;
  size_t full_batches_ = 0;
  size_t answers_left_ = SIZE_MAX, second_answers_left_ = SIZE_MAX;
  RefusedSyns refused_;
};

}  // namespace guise
