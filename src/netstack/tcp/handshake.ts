/** How a connection opens, and what both ends agree on with their SYNs (RFC 9293 §3.5, RFC 7323 §1.3, RFC 2018 §2). */
import type { ControlBlock } from './control_block.js';
import type { SynFacts } from './options.js';
import { chooseSegmentSize } from './path_mtu.js';
import { SYN, type IncomingSegment } from './segment.js';
import { sendSyn } from './sending.js';
import { RESEND, STATE } from './states.js';
import { updateDeadline } from './schedule.js';

/** RFC 7323 §2.3. */
const MOST_SCALE = 14;
/** What a peer takes that tells none (RFC 9293 §3.7.1). */
const DEFAULT_MSS = 536;
/** A peer that tells less than this cannot mean it: the kernel's TCP_MIN_MSS (include/net/tcp.h). */
const LEAST_MSS = 88;

/** The window scale with which a buffer can be announced. */
export function scaleFor(bytes: number): number {
  let scale = 0;
  while (scale < MOST_SCALE && 65_535 * 2 ** scale < bytes) scale += 1;
  return scale;
}

/** The SYN, or the SYN-ACK, leaves for the first time. */
export function begin(c: ControlBlock, now: number): void {
  c.nxt = (c.iss + 1) | 0;
  c.waitingSince = c.lastHeard = now;
  sendSyn(c, now);
  updateDeadline(c);
  c.carrier.changed(c);
}

/** The peer's SYN says what it can do. */
export function agree(c: ControlBlock, { mss, scale, sackPermitted, hasTimestamp }: SynFacts): void {
  c.peerMss = mss === 0 ? DEFAULT_MSS : Math.max(mss, LEAST_MSS);
  c.timestamps &&= hasTimestamp;
  c.sackPermitted &&= sackPermitted;
  c.scaled &&= scale >= 0;
  if (c.scaled) c.sendScale = Math.min(scale, MOST_SCALE);
  else c.receiveScale = 0;
  chooseSegmentSize(c);
}

/** The peer's numbers count from its SYN. */
export function synArrived(c: ControlBlock, syn: IncomingSegment, now: number): void {
  c.irs = syn.seq;
  c.rcvNxt = c.lastAckSent = c.edge = (syn.seq + 1) | 0;
  if (syn.hasTimestamp) c.tsRecent = syn.timestamp;
  c.tsRecentAt = c.lastHeard = now;
}

/** The peer has acknowledged our SYN with this segment, and we know its SYN: data may flow. */
export function establish(c: ControlBlock, segment: IncomingSegment, now: number): void {
  if (c.synTries === 1) {
    c.roundTrip.sample(Math.max(now - c.waitingSince, 0.001), now);
  } else if (c.timestamps && segment.hasTimestamp && segment.timestampEcho !== 0) {
    c.roundTrip.sample(Math.max(1, (c.stamp(now) - segment.timestampEcho) | 0), now);
  }
  // The window of a SYN-ACK is not scaled (RFC 7323 §2.2).
  const scale = segment.flags & SYN ? 0 : c.sendScale;
  c.sendWindow = c.mostWindow = segment.window * 2 ** scale;
  c.windowSeq = segment.seq;
  c.windowAck = segment.ack;
  c.una = c.nxt;
  c.isOpen = true;
  c.smallEnd = c.usageEnd = c.reducedAt = c.una;
  c.resendAt = c.backoff = 0;
  c.resendKind = RESEND.none;
  c.growAt = c.waitingSince = now;
  c.state = c.finQueued ? STATE.finWait1 : STATE.established;
  c.congestion.setSegmentSize(c.segmentSize);
  if (c.keepAliveTime > 0) c.keepAliveAt = now + c.keepAliveTime;
  c.application?.established();
}
