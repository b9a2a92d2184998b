/** The window that we announce, and the buffer behind it (RFC 9293 §3.8.6). */
import type { ControlBlock } from './control_block.js';
import { STATE } from './states.js';

/** A window smaller than it was by less than this part is not worth a segment that only tells of it. */
const TELL_BELOW = 0.5;

/** Bytes that may be announced now. The right edge never moves back (RFC 9293 §3.8.6.2.1). */
export function windowNow(c: ControlBlock): number {
  const announced = Math.max(0, (c.edge - c.rcvNxt) | 0);
  // What no header can tell is no room (RFC 7323 §2.2).
  const free = Math.min(c.receiveLimit - c.unread, 65_535 * 2 ** c.receiveScale);
  // Silly windows (§3.8.6.2.2): an opening of less than a segment is none.
  if (free - announced < Math.min(c.receiveLimit / 2, c.peerSegment)) return announced;
  return Math.max(announced, free);
}

export function consumed(c: ControlBlock, bytes: number, now: number): void {
  if (c.state === STATE.closed) return;
  c.unread -= bytes;
  c.growBytes += bytes;
  grow(c, now);
  const announced = Math.max(0, (c.edge - c.rcvNxt) | 0);
  const worth = windowNow(c) - announced;
  if (worth >= 2 * c.peerSegment && announced < c.receiveLimit * TELL_BELOW) {
    c.ackNow = true;
    c.carrier.changed(c);
  } else if (announced < c.peerSegment && worth > 0) {
    c.ackNow = true;
    c.carrier.changed(c);
  }
}

/**
 * The buffer follows the path: it holds two round trips of what the reader takes (Dynamic Right-Sizing, as
 * tcp_rcv_space_adjust in the kernel's net/ipv4/tcp_input.c).
 */
export function grow(c: ControlBlock, now: number): void {
  const round = Math.max(c.roundTrip.smoothed, 0.1);
  if (now - c.growAt < round) return;
  const wanted = Math.min(c.options.receiveBufferMost, 2 * c.growBytes + 16 * c.peerSegment);
  // What came in less than a round of ours tells nothing of what a round would bring.
  if (wanted > c.receiveLimit) {
    const more = c.carrier.grant(wanted - c.receiveLimit);
    c.granted += more;
    c.receiveLimit += more;
  }
  c.growBytes = 0;
  c.growAt = now;
}
