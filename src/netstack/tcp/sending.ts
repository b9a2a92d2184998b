/** What leaves, and when: the windows, Nagle's rule, silly windows (RFC 9293 §3.8.6.2.1, RFC 1122 §4.2.3.4), pacing. */
import { sendQuantum } from './congestion/pacing.js';
import type { ControlBlock } from './control_block.js';
import { largestMss, raiseIfDue } from './path_mtu.js';
import { noteResent, windowOf } from './recovery.js';
import { INITIAL_RTO } from './round_trip.js';
import { Run } from './scoreboard.js';
import { ACK, CWR, ECE, ECT_0, FIN, NOT_ECT, OutgoingSegment, PSH, RST, SYN } from './segment.js';
import { isAfter } from './sequence.js';
import { blank } from './stray.js';
import { MODE, RESEND, STATE } from './states.js';
import { persistIn, schedule } from './schedule.js';
import { windowNow } from './receive_window.js';

/** Bytes of payload that leave in one call, as a super-segment: an IP packet has at most 65 535 (RFC 791), headers included. */
const MOST_BURST = 65_535 - 60 - 40;
/** Milliseconds that a paced connection may be behind its time, and catch up with at once: timers come late. */
const PACING_SLACK = 10;

// One segment leaves at a time.
const out = new OutgoingSegment();

/** What every segment of a connection has. */
function header(c: ControlBlock, seq: number, flags: number, now: number): void {
  blank(out);
  out.seq = seq;
  out.ack = c.rcvNxt;
  out.flags = flags;
  if (c.timestamps) {
    out.hasTimestamp = true;
    out.timestamp = c.stamp(now);
    out.timestampEcho = flags & ACK ? c.tsRecent : 0;
  }
  c.lastSent = now;
}

/** The window that a segment announces, which tells the latest ACK with it. */
function announce(c: ControlBlock): void {
  const unit = 2 ** c.receiveScale;
  const announced = Math.max(0, (c.edge - c.rcvNxt) | 0);
  let value = Math.floor(windowNow(c) / unit);
  if (value * unit < announced) value = Math.ceil(announced / unit);
  out.window = Math.min(65_535, value);
  const edge = (c.rcvNxt + out.window * unit) | 0;
  if (isAfter(edge, c.edge)) c.edge = edge;
  if (c.echoCongestion) out.flags |= ECE;
  c.lastAckSent = c.rcvNxt;
  c.unacknowledged = c.ackAt = 0;
  if (c.quickAcks > 0) c.quickAcks -= 1;
  c.ackNow = false;
}

/** Sends the SYN, or the SYN-ACK, again and again. */
export function sendSyn(c: ControlBlock, now: number): void {
  const answers = c.state !== STATE.synSent;
  header(c, c.iss, answers ? SYN | ACK : SYN, now);
  if (c.ecn) out.flags |= answers ? ECE : ECE | CWR;
  // The window of a SYN is not scaled (RFC 7323 §2.2).
  out.window = Math.min(65_535, c.receiveLimit);
  c.edge = (c.rcvNxt + out.window) | 0;
  out.mss = largestMss(c.options);
  out.sackPermitted = c.sackPermitted;
  const scales = answers ? c.scaled : c.options.windowScaling;
  out.scale = scales ? c.receiveScale : -1;
  c.resendKind = RESEND.syn;
  c.resendAt = now + INITIAL_RTO * 2 ** Math.min(c.synTries, 6);
  c.synTries += 1;
  c.carrier.send(c, out);
}

/**
 * The number of a segment without payload. A peer that has taken back some of its window, as kernels do where memory is
 * short, drops what lies behind it, the ACK included (RFC 9293 §3.8.6.2.1; tcp_acceptable_seq in net/ipv4/tcp_output.c).
 */
function bareSeq(c: ControlBlock): number {
  const edge = (c.una + c.sendWindow) | 0;
  return c.isOpen && isAfter(c.nxt, edge) ? edge : c.nxt;
}

function sendAck(c: ControlBlock, now: number): void {
  header(c, bareSeq(c), ACK, now);
  if (c.sackPermitted) addBlocks(c);
  announce(c);
  c.carrier.send(c, out);
}

/** RFC 2018 §4, RFC 2883 §4: what came twice in front, then what grew last. */
function addBlocks(c: ControlBlock): void {
  let count = 0;
  if (c.hasDuplicate) {
    out.sack[0] = c.duplicateStart;
    out.sack[1] = c.duplicateEnd;
    c.hasDuplicate = false;
    count = 1;
  }
  if (c.reassembly && !c.reassembly.isEmpty) {
    count += c.reassembly.blocks(out.sack, 2 * count, (c.timestamps ? 3 : 4) - count);
  }
  out.sackCount = count;
}

export function sendReset(c: ControlBlock, now: number): void {
  header(c, bareSeq(c), RST | ACK, now);
  c.carrier.send(c, out);
}

/** The answer to a segment that acknowledges what was never sent (RFC 9293 §3.10.7.3 and 4). */
export function sendResetAt(c: ControlBlock, seq: number): void {
  blank(out);
  out.seq = seq;
  out.ack = 0;
  out.flags = RST;
  c.carrier.send(c, out);
}

/** A number that the peer has, so that it answers (RFC 9293 §3.8.4): it asks about a window, or whether somebody is there. */
export function probeWindow(c: ControlBlock, now: number): void {
  const unsent = c.queue.size - ((c.nxt - c.una) | 0);
  if (unsent > 0 && c.sendWindow > 0 && c.board.isEmpty) {
    // The window is open, but too small for anybody's liking: what fits leaves.
    sendNew(c, Math.min(unsent, c.sendWindow, c.segmentSize), now);
    return;
  }
  header(c, (c.una - 1) | 0, ACK, now);
  announce(c);
  c.carrier.send(c, out);
}

/** Payload from `start`, at most a super-segment of it. The run is in the scoreboard. */
function transmit(c: ControlBlock, run: Run, now: number): void {
  const hasFin = c.finSent && run.end === c.nxt;
  const size = run.size - (hasFin ? 1 : 0);
  header(c, run.start, hasFin ? ACK | FIN : ACK, now);
  announce(c);
  if (size > 0) {
    const at = (run.start - c.una) | 0;
    c.queue.seek(at);
    out.chunks = c.queue.chunks;
    out.first = c.queue.foundChunk;
    out.offset = c.queue.foundOffset;
    out.size = size;
    out.segmentSize = c.segmentSize;
    if (at + size === c.queue.size) out.flags |= PSH;
    c.lastData = now;
    if (c.ecn) markCapable(c, run);
  }
  run.order = ++c.transmissions;
  c.rate.onSend(run, now, Math.max(0, c.inFlight - run.size));
  c.carrier.send(c, out);
}

/** RFC 3168 §6.1.2, §6.1.5: new data may be marked; a retransmission may not. */
function markCapable(c: ControlBlock, run: Run): void {
  const isNew = run.state === 0;
  out.ecn = isNew ? ECT_0 : NOT_ECT;
  if (!isNew || !c.tellReduced) return;
  out.flags |= CWR;
  c.tellReduced = false;
}

/** New data, and the FIN where it follows. */
function sendNew(c: ControlBlock, size: number, now: number): void {
  if (c.board.isEmpty) c.rtoFrom = now;
  const run = new Run(c.nxt, (c.nxt + size) | 0, c.segmentSize);
  const isLast = ((c.nxt - c.una) | 0) + size === c.queue.size;
  if (isLast && c.finQueued) {
    c.finSent = true;
    run.end = (run.end + 1) | 0;
  }
  if (size % c.segmentSize !== 0) c.smallEnd = run.end;
  c.bytesSent += size;
  c.nxt = run.end;
  c.probeFrom = now;
  transmit(c, run, now);
  c.board.add(run);
  if (c.mode >= MODE.reduced) c.prr?.sent(run.size);
}

/** A run that is LOST leaves again, as much of it as `room` allows. */
function sendAgain(c: ControlBlock, lost: Run, room: number, now: number): void {
  const run = c.board.cut(lost, room);
  if (run === c.board.first) c.rtoFrom = now;
  c.board.resent(run);
  if (run.segmentSize > c.segmentSize) run.segmentSize = c.segmentSize;
  transmit(c, run, now);
  noteResent(c, run.size, now);
  if (c.mode >= MODE.reduced) c.prr?.sent(run.size);
}

/** RFC 8985 §7.3: one segment more, so that the tail's loss shows. */
export function probeForLoss(c: ControlBlock, now: number): void {
  const unsent = c.finSent ? 0 : c.queue.size - ((c.nxt - c.una) | 0);
  const room = Math.min(unsent, c.sendWindow - ((c.nxt - c.una) | 0), c.segmentSize);
  if (room > 0) {
    sendNew(c, room, now);
  } else {
    const { last } = c.board;
    if (!last) return;
    const tail = c.board.cutTail(last, c.segmentSize);
    c.board.resent(tail);
    transmit(c, tail, now);
    noteResent(c, tail.size, now);
  }
  c.probing = true;
  c.probeEnd = c.nxt;
}

export function flush(c: ControlBlock, now: number): void {
  if (c.state === STATE.closed || c.state === STATE.synSent) return;
  if (c.isOpen && c.state !== STATE.timeWait) {
    if (c.ackNow && c.reassembly && !c.reassembly.isEmpty) sendAck(c, now); // data segments have no room for SACK blocks
    raiseIfDue(c, now);
    const before = c.nxt;
    const again = c.bytesResent;
    if (c.board.lost > 0) sendLost(c, now);
    sendWaiting(c, now);
    // What RACK waits for stays what is waited for.
    if ((c.nxt !== before || c.bytesResent !== again) && c.resendKind !== RESEND.reorder) schedule(c, 0, now);
  }
  if (c.ackNow) sendAck(c, now);
}

function sendLost(c: ControlBlock, now: number): void {
  for (;;) {
    const run = c.board.firstLost;
    if (!run) return;
    const inFlight = c.inFlight;
    const room = windowOf(c) - inFlight;
    if (inFlight > 0 && room < Math.min(run.size, c.segmentSize)) return;
    if (!mayBurst(c, now)) return;
    sendAgain(c, run, Math.min(Math.max(room, run.segmentSize), burstSize(c)), now);
    paceBehind(c, run.size, now);
  }
}

/** RFC 5681 §4.1: what the path took before a silence tells little of what it takes now. */
function restartIfIdle(c: ControlBlock, now: number): void {
  const isIdle = c.board.isEmpty && c.lastData !== 0 && now - c.lastData > c.roundTrip.timeout;
  if (isIdle && c.queue.size > 0 && c.sendWindow > 0) c.congestion.idleEnded(now);
}

function sendWaiting(c: ControlBlock, now: number): void {
  restartIfIdle(c, now);
  let blocked = false;
  let limited = false;
  const before = c.nxt;
  for (;;) {
    if (c.finSent) break;
    const sent = (c.nxt - c.una) | 0;
    const unsent = c.queue.size - sent;
    if (unsent === 0) {
      if (c.finQueued) sendNew(c, 0, now);
      else if (c.board.lost === 0 && windowOf(c) > c.inFlight) c.rate.markAppLimited(c.inFlight);
      break;
    }
    const window = c.sendWindow - sent;
    const congestion = windowOf(c) - c.inFlight;
    const size = sizeToSend(c, unsent, window, congestion);
    if (size === 0) {
      blocked = true;
      limited = congestion < Math.min(unsent, c.segmentSize) && congestion < window;
      break;
    }
    if (!mayBurst(c, now)) break;
    sendNew(c, size, now);
    paceBehind(c, size, now);
  }
  if (limited || c.nxt !== before) noteUsage(c, limited);
  // Nothing is under way that would bring news of the window.
  if (blocked && c.board.isEmpty && c.persistAt === 0) c.persistAt = now + persistIn(c);
}

/** What a flight used of the congestion window: as the kernel's tcp_cwnd_validate. */
function noteUsage(c: ControlBlock, limited: boolean): void {
  const flight = (c.nxt - c.una) | 0;
  if (isAfter(c.usageEnd, c.una) && !limited && (c.isLimited || flight <= c.mostFlight)) return;
  c.isLimited = limited;
  c.mostFlight = flight;
  c.usageEnd = c.nxt;
}

/** Bytes of new data that may leave in one call; 0: none. */
function sizeToSend(c: ControlBlock, unsent: number, window: number, congestion: number): number {
  const segment = c.segmentSize;
  const room = Math.min(unsent, window, congestion, burstSize(c));
  if (room >= segment) {
    const tail = room % segment;
    if (tail === 0) return room;
    // The tail is the end of all that is there, or waits for more room.
    return room === unsent && tailMayLeave(c) ? room : room - tail;
  }
  if (room <= 0) return 0;
  if (room === unsent) return tailMayLeave(c) ? room : 0;
  // RFC 1122 §4.2.3.4: half of the largest window ever is worth a segment.
  return room === window && window >= c.mostWindow / 2 ? room : 0;
}

/** Nagle's rule, of the kind that looks for small segments under way only (Minshall). */
const tailMayLeave = (c: ControlBlock): boolean => c.noDelay || c.finQueued || !isAfter(c.smallEnd, c.una);

function burstSize(c: ControlBlock): number {
  const most = MOST_BURST - (MOST_BURST % c.segmentSize);
  const { pacingRate } = c.congestion;
  if (pacingRate === Infinity) return most;
  return Math.min(most, sendQuantum(pacingRate, c.segmentSize));
}

/** Whether a paced connection's next burst may leave; sets the timer where it may not. */
function mayBurst(c: ControlBlock, now: number): boolean {
  if (c.congestion.pacingRate === Infinity || c.nextBurst <= now) return true;
  c.paceAt = c.nextBurst;
  return false;
}

function paceBehind(c: ControlBlock, size: number, now: number): void {
  const { pacingRate } = c.congestion;
  if (pacingRate === Infinity) return;
  c.nextBurst = Math.max(c.nextBurst, now - PACING_SLACK) + size / pacingRate;
}
