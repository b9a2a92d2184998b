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

// TCP options of a SYN-ACK, by the kind of the SYN and the family. To a SYN without a window scale: `unscaled`, and
// none to phantun's (RFC 7323 §2.2).
struct SynAckOptions {
  std::vector<uint8_t> guise4, guise6, phantun, unscaled4, unscaled6;
};

class PassiveOpen {
 public:
  explicit PassiveOpen(WorkerContext& context)
      : context_(context),
        strangers_(context.policy.strangers_per_second),
        refused_(context.policy.refused_syn_slots) {}

  // On an address, or on all of them: 0.0.0.0 or ::.
  void listen(const Endpoint& local, SynAckOptions options) {
    unlisten(local);
    ports_[local.port].push_back({local.address, std::move(options)});
  }
  void unlisten(const Endpoint& local) {
    std::erase_if(ports_[local.port], [&](const Listening& each) { return each.address == local.address; });
  }

  [[nodiscard]] bool listens(const Endpoint& local) const { return find(local) != nullptr; }

  // Whether JavaScript has to see a segment of no flow to a port that is not listened on, of a device that carries
  // others' too: what answers a SYN, and of the rest no more than of strangers.
  [[nodiscard]] bool may_matter(const SegmentView& segment);

  // Takes a segment of no flow to a port that is listened on.
  void receive(const SegmentView& segment);

  // To be called after each batch of segments; `more_wait`: it took not all that were there.
  void next_batch(bool more_wait);

 private:
  struct Listening {
    Address address;
    SynAckOptions options;
  };

  [[nodiscard]] const SynAckOptions* find(const Endpoint& local) const;
  void answer_syn(const SegmentView& syn, const SynAckOptions& options);
  [[nodiscard]] bool may_answer(uint64_t hash);

  WorkerContext& context_;
  std::unordered_map<uint16_t, std::vector<Listening>> ports_;
  TokenBucket strangers_;
  size_t full_batches_ = 0;
  size_t answers_left_ = SIZE_MAX, second_answers_left_ = SIZE_MAX;
  RefusedSyns refused_;
};

}  // namespace guise
