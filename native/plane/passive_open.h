// The server's side of the handshake, without state: SYNs are answered here with a cookie, and JavaScript hears of a
// connection when an ACK brings it back. A flood of SYNs, ACKs or RSTs costs processor time and nothing else.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "plane/refused_syns.h"
#include "plane/syn_cookie.h"
#include "plane/token_bucket.h"
#include "plane/worker_context.h"

namespace guise {

// TCP options of a SYN-ACK, by the kind of the SYN and the family.
struct SynAckOptions {
  std::vector<uint8_t> guise4, guise6, phantun;
};

class PassiveOpen {
 public:
  PassiveOpen(WorkerContext& context, const SynCookies& cookies) : context_(context), cookies_(cookies) {}

  void listen(uint16_t port, SynAckOptions options) { ports_.insert_or_assign(port, std::move(options)); }
  void unlisten(uint16_t port) { ports_.erase(port); }

  [[nodiscard]] bool listens(uint16_t port) const { return ports_.contains(port); }

  // Takes a segment of no flow to a port that is listened on.
  void receive(const SegmentView& segment);

  // To be called after each batch of segments; `more_wait`: it took not all that were there.
  void next_batch(bool more_wait);

 private:
  // Segments with neither a flow nor a cookie that JavaScript hears of each second: it answers some with a RST.
  static constexpr uint32_t kStrangersPerSecond = 100;
  // Batches of 64 segments that each left more waiting, until SYNs are refused: so many clients may come at once.
  static constexpr size_t kPatience = 32;
  // SYNs that are then answered in a batch, and of those that were refused before. An answer takes the kernel on its
  // way to the wire as long as reading and refusing five: with no limit 100 000 SYNs a second keep the device's queue
  // full, and it drops one in ten datagrams of those who are connected.
  static constexpr size_t kAnswersWhenBusy = 16;

  void answer_syn(const SegmentView& segment, const SynAckOptions& options);
  [[nodiscard]] bool may_answer(uint32_t cookie);

  WorkerContext& context_;
  const SynCookies& cookies_;
  std::unordered_map<uint16_t, SynAckOptions> ports_;
  TokenBucket strangers_{kStrangersPerSecond};
  size_t full_batches_ = 0;
  size_t answers_left_ = SIZE_MAX, second_answers_left_ = SIZE_MAX;
  RefusedSyns refused_;
};

}  // namespace guise
