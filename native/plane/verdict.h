// What an arriving segment means for an established flow (RFC 9293 §3.10.7.4; RFC 5961 §3.2, §4.2, §5.2): only
// somebody who sees the connection knows its numbers, and a guess must neither end it nor get a datagram in.
// No I/O, no clock, no state.
#pragma once

#include <cstdint>

#include "wire/segment.h"

namespace guise {

enum class Verdict : uint8_t {
  kDeliver,      // datagrams inside the window
  kLate,         // datagrams that others have overtaken, or a note
  kNothing,      // an ACK that asks for nothing
  kSkip,         // … and says that more was sent than has come: that is lost, and nobody would acknowledge it
  kChallenge,    // answer with an ACK: a keepalive wants one, and an honest peer then proves itself with exact numbers
  kReset,        // the peer has reset the connection
  kFinished,     // the peer has nothing more to send
  kOutOfWindow,  // nothing that the peer would send now
  kBadAck,       // acknowledges what was never sent, or nothing
};

// SND.NXT, RCV.NXT, and the last SEG.ACK.
struct FlowNumbers {
  uint32_t send_next;
  uint32_t receive_next;
  uint32_t peer_ack;
};

// The window that we announce, 65535 << 14 rounded up to a power of 2 (RFC 7323 §2.3).
inline constexpr uint32_t kReceiveWindow = 1u << 30;
// How far off the numbers of a peer may be, in bytes; see src/policy.ts.
struct Windows {
  uint32_t late;      // a datagram behind its place, or its ACK number
  uint32_t fin;       // a FIN or a bare ACK ahead of its place, because what came before it is lost
  uint32_t fin_late;  // the ACK number of one. A FIN ends the connection, so it is believed less than a datagram.
};

// How far `a` is ahead of `b`, negative when behind.
inline int32_t ahead(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b); }

// Stricter than RFC 5961 §5.2, which allows a whole window: a peer never takes back what it has acknowledged, only what
// is overtaken on the way says less. `late`: how much less.
inline bool acknowledges_what_was_sent(uint32_t ack, const FlowNumbers& numbers, uint32_t late) {
  const uint32_t earliest = numbers.peer_ack - late;
  return ack - earliest <= numbers.send_next - earliest;
}

inline Verdict judge(const SegmentView& segment, const FlowNumbers& numbers, const Windows& windows) {
  const int32_t offset = ahead(segment.seq, numbers.receive_next);
  const bool in_window = static_cast<uint32_t>(offset) < kReceiveWindow;
  // Nearly all are these.
  if ((segment.flags & (kRst | kSyn | kFin | kAck)) == kAck && in_window && !segment.payload.empty()) {
    return acknowledges_what_was_sent(segment.ack, numbers, windows.late) ? Verdict::kDeliver : Verdict::kBadAck;
  }
  if (segment.flags & kRst) {
    // phantun's has no ACK number.
    return offset == 0 ? Verdict::kReset : in_window ? Verdict::kChallenge : Verdict::kOutOfWindow;
  }
  if (segment.flags & kSyn) return Verdict::kChallenge;
  if (!(segment.flags & kAck) || !acknowledges_what_was_sent(segment.ack, numbers, windows.late))
    return Verdict::kBadAck;
  const auto size = static_cast<uint32_t>(segment.payload.size());
  if (segment.flags & kFin) {
    // One that was answered already may come again.
    const bool again = segment.seq + size + 1 == numbers.receive_next;
    const bool near = offset >= 0 && static_cast<uint32_t>(offset) < windows.fin;
    const bool believed = acknowledges_what_was_sent(segment.ack, numbers, windows.fin_late);
    return (near || again) && believed ? Verdict::kFinished : Verdict::kChallenge;
  }
  if (size == 0) {
    const bool near = offset > 0 && static_cast<uint32_t>(offset) < windows.fin;
    const bool believed = near && acknowledges_what_was_sent(segment.ack, numbers, windows.fin_late);
    return offset < 0 ? Verdict::kChallenge : believed ? Verdict::kSkip : Verdict::kNothing;
  }
  return offset < 0 && offset >= -static_cast<int32_t>(windows.late) ? Verdict::kLate : Verdict::kOutOfWindow;
}

}  // namespace guise
