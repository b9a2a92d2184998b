// The server's side of the handshake, without state: SYNs are answered here with a cookie, and JavaScript hears of a
// connection when an ACK brings it back. A flood of SYNs, ACKs or RSTs costs processor time and nothing else.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "syn_cookie.h"
#include "token_bucket.h"
#include "worker_context.h"

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

 private:
  // Segments with neither a flow nor a cookie that JavaScript hears of each second: it answers some with a RST.
  static constexpr uint32_t kStrangersPerSecond = 100;

  void answer_syn(const SegmentView& segment, const SynAckOptions& options);

  WorkerContext& context_;
  const SynCookies& cookies_;
  std::unordered_map<uint16_t, SynAckOptions> ports_;
  TokenBucket strangers_{kStrangersPerSecond};
};

}  // namespace guise
