/** What an ACK does (RFC 9293 §3.10.7.4, fifth; RFC 5681, RFC 6675, RFC 8985). */
import { AckSample } from './congestion/control.js';
import type { ControlBlock } from './control_block.js';
import { DUPLICATES } from './rack.js';
import { congestionEchoed, enterRecovery, leaveIfDone } from './recovery.js';
import { LOST, RESENT, type Run } from './scoreboard.js';
import { ECE, FIN, SYN, type IncomingSegment } from './segment.js';
import { atOrAfter, atOrBefore, isAfter, isBefore } from './sequence.js';
import { MODE } from './states.js';
import { schedule } from './schedule.js';

// One ACK at a time is looked at: what belongs to it needs no object of its own.
const sample = new AckSample();
let connection: ControlBlock;
let moment = 0;
let echo = 0;
let hasEcho = false;
let delivered = 0;
let newestSentAt = 0;
/** Bytes that arrived by retransmissions, and of those, what had not come the first time either. */
let resentBytes = 0;
let repairedBytes = 0;

/** A run has arrived for the first time, or a part of one. */
function arrived(run: Run): void {
  const c = connection;
  const resent = (run.state & RESENT) !== 0;
  const late = resent && hasEcho && isBefore(echo, c.stamp(run.sentAt));
  c.rack.arrived(run, moment, c.roundTrip.least, late);
  c.rate.onDelivered(run, run.size, moment);
  delivered += run.size;
  if (resent) {
    resentBytes += run.size;
    if (!late) repairedBytes += run.size;
  } else if (run.sentAt > newestSentAt) newestSentAt = run.sentAt;
}

/** `segment.ack` lies where an ACK of this connection may. */
export function acknowledge(c: ControlBlock, segment: IncomingSegment, now: number): void {
  const { ack } = segment;
  const isOld = isBefore(ack, c.una); // what it SACKs may be news
  const advanced = isOld ? 0 : (ack - c.una) | 0;
  const hadWindow = c.sendWindow;
  if (!isOld) updateWindow(c, segment);
  if (c.board.isEmpty) return;

  connection = c;
  moment = now;
  echo = segment.timestampEcho;
  hasEcho = c.timestamps && segment.hasTimestamp;
  delivered = newestSentAt = resentBytes = repairedBytes = 0;
  const priorInFlight = c.inFlight;
  const isLimited = isWindowLimited(c);

  let bytes = 0;
  if (advanced > 0) {
    c.board.acknowledge(ack, arrived);
    c.una = ack;
    bytes = Math.min(advanced, c.queue.size);
    c.queue.acknowledge(bytes);
    c.rtoFrom = c.probeFrom = c.waitingSince = now;
    c.backoff = 0;
  }
  let duplicate = false;
  if (c.sackPermitted) {
    if (segment.sackCount > 0) duplicate = takeBlocks(c, segment);
  } else if (advanced > 0) {
    // Those that duplicates stood for were counted then.
    const counted = Math.min(c.assumedSacked, Math.max(0, advanced - c.segmentSize));
    c.assumedSacked -= counted;
    delivered -= counted;
    if (c.mode === MODE.open) c.duplicates = c.assumedSacked = 0;
  } else if (!isOld && isDuplicate(segment, hadWindow, c)) {
    c.duplicates += 1;
    c.assumedSacked = Math.min(c.assumedSacked + c.segmentSize, (c.nxt - c.una) | 0);
    delivered += c.segmentSize;
  }
  measure(c, now);
  if (c.probing) endProbe(c, ack, duplicate, now);

  const lostEarlier = c.board.lost;
  const wait = findLosses(c, advanced, now);
  const newlyLost = Math.max(0, c.board.lost - lostEarlier);
  leaveIfDone(c, advanced, echo, hasEcho, now);
  if (newlyLost > 0 && c.mode <= MODE.reduced) enterRecovery(c, now);
  if (c.ecn && segment.flags & ECE) congestionEchoed(c, now);

  sample.now = now;
  sample.acknowledged = advanced > 0 ? delivered : 0;
  sample.lost = newlyLost;
  sample.priorInFlight = priorInFlight;
  sample.inFlight = c.inFlight;
  sample.rtt = newestSentAt > 0 ? Math.max(now - newestSentAt, 0.001) : 0;
  sample.isWindowLimited = isLimited;
  sample.inRecovery = c.mode === MODE.recovery || c.mode === MODE.reduced;
  c.rate.finish(sample, now, c.roundTrip.least);
  // Without SACK it is duplicate ACKs that say what arrives behind a hole.
  sample.delivered = delivered;
  c.congestion.acknowledged(sample);
  if (sample.rate > 0) c.deliveryRate = sample.rate;
  if (sample.inRecovery && !c.congestion.ownsRecovery) {
    const progress = advanced > 0 && newlyLost === 0;
    const first = c.mode === MODE.recovery && !c.hasResent;
    const { threshold } = c.congestion;
    c.recoveryWindow = c.prr!.window(c.inFlight, threshold, delivered, c.segmentSize, progress, first);
  }
  schedule(c, wait, now);
  if (bytes > 0) {
    if (c.sendLimit < c.options.sendBufferMost) growSendBuffer(c);
    c.application?.acknowledged(bytes);
  }
}

/** The window holds the sender: or half of it would, in slow start, as kernels have it (tcp_is_cwnd_limited). */
function isWindowLimited(c: ControlBlock): boolean {
  if (c.isLimited) return true;
  const { window, threshold } = c.congestion;
  return window < threshold && window < 2 * c.mostFlight;
}

/** RFC 9293 §3.10.7.4: a window counts when the segment is no older than the one that told the last. */
function updateWindow(c: ControlBlock, segment: IncomingSegment): void {
  const isNews =
    isBefore(c.windowSeq, segment.seq) || (c.windowSeq === segment.seq && atOrBefore(c.windowAck, segment.ack));
  if (!isNews) return;
  c.windowSeq = segment.seq;
  c.windowAck = segment.ack;
  c.sendWindow = segment.window * 2 ** c.sendScale;
  if (c.sendWindow > c.mostWindow) c.mostWindow = c.sendWindow;
  if (c.sendWindow > 0 && c.persistAt !== 0) c.persistAt = c.persistBackoff = 0;
}

/** RFC 5681 §2. */
function isDuplicate(segment: IncomingSegment, hadWindow: number, c: ControlBlock): boolean {
  return segment.size === 0 && (segment.flags & (SYN | FIN)) === 0 && c.sendWindow === hadWindow;
}

/** SACK blocks; true: the first is a D-SACK (RFC 2883 §4). */
function takeBlocks(c: ControlBlock, segment: IncomingSegment): boolean {
  const { sack, sackCount } = segment;
  let first = 0;
  const start = sack[0]!;
  const end = sack[1]!;
  const inNext = sackCount > 1 && atOrAfter(start, sack[2]!) && atOrBefore(end, sack[3]!);
  const duplicate = isAfter(end, start) && (isBefore(start, segment.ack) || inNext);
  if (duplicate) {
    first = 1;
    c.rack.duplicate(c.nxt, c.una);
    // What is older than this loss was sent again for another.
    if (c.hasResent && atOrAfter(start, c.lossAt)) c.resentBytes -= (end - start) | 0;
  }
  for (let i = first; i < sackCount; ++i) {
    const from = sack[2 * i]!;
    const to = sack[2 * i + 1]!;
    if (!isAfter(to, from) || isBefore(from, c.una) || isAfter(to, c.nxt)) continue;
    c.board.sack(from, to, arrived);
  }
  return duplicate;
}

/** The round trip, of what was sent once; of time stamps where all was sent again. */
function measure(c: ControlBlock, now: number): void {
  if (newestSentAt > 0) c.roundTrip.sample(Math.max(now - newestSentAt, 0.001), now);
  else if (resentBytes > 0 && hasEcho && echo !== 0) {
    c.roundTrip.sample(Math.max(1, (c.stamp(now) - echo) | 0), now);
  }
}

/** Marks what is lost; milliseconds until more may be. */
function findLosses(c: ControlBlock, advanced: number, now: number): number {
  if (c.board.isEmpty) return 0;
  if (c.sackPermitted) return detect(c, now);
  // RFC 6582: the first segment is lost behind three duplicates, and each that a partial ACK stops at.
  const first = c.board.first!;
  const third = c.mode <= MODE.reduced && c.duplicates >= DUPLICATES && isAfter(c.una, c.recoverAt);
  const partial = c.mode === MODE.recovery && advanced > 0 && isBefore(c.una, c.recoverAt);
  if ((third || partial) && !(first.state & (LOST | RESENT))) c.board.lose(c.board.cut(first, first.segmentSize));
  return 0;
}

function detect(c: ControlBlock, now: number): number {
  const segments = Math.ceil(c.board.sacked / c.segmentSize);
  const { least, smoothed } = c.roundTrip;
  return c.rack.detect(c.board, now, segments, c.mode >= MODE.recovery, least, smoothed);
}

/** RACK's timer: marks what is lost by now; milliseconds until more may be. */
export function findLate(c: ControlBlock, now: number): number {
  const before = c.board.lost;
  const wait = detect(c, now);
  if (c.board.lost > before && c.mode <= MODE.reduced) {
    enterRecovery(c, now);
    c.recoveryWindow = Math.max(c.recoveryWindow, c.inFlight + c.segmentSize);
  }
  return wait;
}

/** RFC 8985 §7.4: the probe has told whether something was lost, or has repaired it. */
function endProbe(c: ControlBlock, ack: number, duplicate: boolean, now: number): void {
  if (!atOrAfter(ack, c.probeEnd)) return;
  c.probing = false;
  if (duplicate || c.mode !== MODE.open || repairedBytes === 0) return;
  // The last segment had been lost, and nobody but the probe has noticed.
  c.congestion.lossFound((c.nxt - c.una) | 0, now);
  c.congestion.recovered(now);
}

/** The send buffer follows the window: what is under way, and as much behind it (tcp_sndbuf_expand). */
function growSendBuffer(c: ControlBlock): void {
  c.sendLimit = Math.min(c.options.sendBufferMost, Math.max(c.sendLimit, 2 * c.congestion.window));
}
