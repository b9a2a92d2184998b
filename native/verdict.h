// What an arriving segment means for an established flow (RFC 9293 §3.10.7.4; RFC 5961 §3.2, §4.2, §5.2): only
// somebody who sees the connection knows its numbers, and a guess must neither end it nor get a datagram in.
// No I/O, no clock, no state.
#pragma once

#include <cstdint>

#include "packet/segment.h"

namespace guise {

enum class Verdict : uint8_t {
  kDeliver,      // datagrams inside the window
  kNothing,      // an ACK that asks for nothing
  kChallenge,    // answer with an ACK: a keepalive wants one, and an honest peer then proves itself with exact numbers
  kReset,        // the peer has reset the connection
  kFinished,     // the peer has nothing more to send
  kOutOfWindow,  // nothing that the peer would send now
  kBadAck,       // acknowledges what was never sent, or nothing
};

// SND.NXT and RCV.NXT.
struct FlowNumbers {
  uint32_t send_next;
  uint32_t receive_next;
};

// The window that we announce, 65535 << 14 rounded up to a power of 2 (RFC 7323 §2.3).
inline constexpr uint32_t kReceiveWindow = 1u << 30;
// How far behind RCV.NXT a datagram may come that others have overtaken: 100 ms of 10 Gbit/s.
inline constexpr uint32_t kLateWindow = 1u << 27;

// How far `a` is ahead of `b`, negative when behind.
inline int32_t ahead(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b); }

// RFC 5961 §5.2 with a largest window of kReceiveWindow.
inline bool acknowledges_what_was_sent(uint32_t ack, const FlowNumbers& numbers) {
  return numbers.send_next - ack <= kReceiveWindow;
}

inline Verdict judge(const SegmentView& segment, const FlowNumbers& numbers) {
  const int32_t offset = ahead(segment.seq, numbers.receive_next);
  const bool in_window = offset >= 0 && static_cast<uint32_t>(offset) < kReceiveWindow;
  if (segment.flags & kRst) {
    // phantun's has no ACK number.
    return offset == 0 ? Verdict::kReset : in_window ? Verdict::kChallenge : Verdict::kOutOfWindow;
  }
  if (segment.flags & kSyn) return Verdict::kChallenge;
  if (!(segment.flags & kAck) || !acknowledges_what_was_sent(segment.ack, numbers)) return Verdict::kBadAck;
  const auto size = static_cast<uint32_t>(segment.payload.size());
  if (segment.flags & kFin) {
    // What came before it may be lost, so it may be ahead; one that was answered already may come again.
    const bool again = segment.seq + size + 1 == numbers.receive_next;
    return in_window || again ? Verdict::kFinished : Verdict::kChallenge;
  }
  if (size == 0) return offset < 0 ? Verdict::kChallenge : Verdict::kNothing;
  return in_window || (offset < 0 && offset >= -static_cast<int32_t>(kLateWindow)) ? Verdict::kDeliver
                                                                                  : Verdict::kOutOfWindow;
}

}  // namespace guise
