/** A segment arrives (RFC 9293 §3.10.7), with the defences of RFC 5961 and RFC 7323. */
import { acknowledge } from './acknowledgment.js';
import { isClosedByAck } from './closing.js';
import type { ControlBlock } from './control_block.js';
import { agree, establish, synArrived } from './handshake.js';
import { hurry, noteDuplicate, takeFin, takePayload } from './receiving.js';
import { ACK, CE, CWR, ECE, FIN, RST, SYN, type IncomingSegment } from './segment.js';
import { atOrAfter, atOrBefore, isAfter, isBefore } from './sequence.js';
import { sendResetAt, sendSyn } from './sending.js';
import { STATE } from './states.js';

/** A time stamp is too old to tell anything: half of the numbers at one a millisecond (RFC 7323 §5.5). */
const STALE = 24 * 24 * 3_600_000;

export function arrive(c: ControlBlock, segment: IncomingSegment, now: number): boolean {
  if (c.state === STATE.closed) return true;
  if (c.state === STATE.synSent) arriveSynSent(c, segment, now);
  else if (c.state === STATE.timeWait) return arriveTimeWait(c, segment, now);
  else arriveSynchronized(c, segment, now);
  return true;
}

function arriveSynSent(c: ControlBlock, segment: IncomingSegment, now: number): void {
  const { flags } = segment;
  const hasAck = (flags & ACK) !== 0;
  if (hasAck && (atOrBefore(segment.ack, c.iss) || isAfter(segment.ack, c.nxt))) {
    if (!(flags & RST)) sendResetAt(c, segment.ack);
    return;
  }
  if (flags & RST) {
    if (hasAck) c.finish('ECONNREFUSED');
    return;
  }
  if (!(flags & SYN)) return;
  agree(c, segment);
  synArrived(c, segment, now);
  if (!hasAck) {
    // Both have opened at once.
    c.ecn = false;
    c.state = STATE.synReceived;
    c.synTries = 0;
    sendSyn(c, now);
    return;
  }
  c.ecn &&= (flags & (ECE | CWR)) === ECE;
  establish(c, segment, now);
  c.ackNow = true;
}

function arriveTimeWait(c: ControlBlock, segment: IncomingSegment, now: number): boolean {
  const { flags } = segment;
  if (flags & RST) return true; // RFC 1337: it would end what protects the next connection
  const isNewer =
    c.timestamps && segment.hasTimestamp ? isAfter(segment.timestamp, c.tsRecent) : isAfter(segment.seq, c.rcvNxt);
  if ((flags & (SYN | ACK)) === SYN && isNewer) {
    // RFC 9293 §3.6.1 and RFC 6191: it opens a connection of its own.
    c.finish(undefined);
    return false;
  }
  if (flags & FIN) c.closeAt = now + c.options.timeWait;
  if (segment.size > 0 || flags & (FIN | SYN)) c.ackNow = true;
  return true;
}

function arriveSynchronized(c: ControlBlock, segment: IncomingSegment, now: number): void {
  const { flags } = segment;
  if (!isAcceptable(c, segment, now)) {
    if (flags & RST) return;
    if (c.state === STATE.synReceived && flags & SYN && segment.seq === c.irs) {
      if (flags & ACK && segment.ack === c.nxt) {
        // Both have opened at once, and this is the answer to our SYN.
        establish(c, segment, now);
        c.ackNow = true;
      } else {
        // Our SYN-ACK got lost.
        sendSyn(c, now);
      }
      return;
    }
    noteDuplicate(c, segment.seq, segment.size);
    if (segment.size > 0) hurry(c);
    else if (c.carrier.mayChallenge(now)) c.ackNow = true;
    return;
  }
  if (flags & RST) {
    if (segment.seq === c.rcvNxt) c.finish(c.state === STATE.synReceived && !c.passive ? 'ECONNREFUSED' : 'ECONNRESET');
    else if (c.carrier.mayChallenge(now)) c.ackNow = true; // RFC 5961 §3.2
    return;
  }
  if (flags & SYN) {
    if (c.carrier.mayChallenge(now)) c.ackNow = true; // RFC 5961 §4.2
    return;
  }
  if (!(flags & ACK)) return;
  c.lastHeard = now;
  c.unanswered = 0;
  if (!c.isOpen) {
    if (atOrBefore(segment.ack, c.una) || isAfter(segment.ack, c.nxt)) {
      sendResetAt(c, segment.ack);
      return;
    }
    establish(c, segment, now);
  }
  if (isAfter(segment.ack, c.nxt) || isAfter((c.una - Math.max(c.mostWindow, 1)) | 0, segment.ack)) {
    if (c.carrier.mayChallenge(now)) c.ackNow = true; // RFC 5961 §5.2
    return;
  }
  if (c.timestamps && segment.hasTimestamp && atOrBefore(segment.seq, c.lastAckSent)) {
    c.tsRecent = segment.timestamp;
    c.tsRecentAt = now;
  }
  if (c.ecn) noteCongestion(c, segment);
  acknowledge(c, segment, now);
  if (isClosedByAck(c, now)) return;
  if (segment.size > 0) takePayload(c, segment, now);
  // What takes payload may have ended the connection.
  if (flags & FIN && c.state >= STATE.established) takeFin(c, (segment.seq + segment.size) | 0, now);
}

/** RFC 9293 §3.10.7.4, first; with PAWS in front (RFC 7323 §5.3). */
function isAcceptable(c: ControlBlock, segment: IncomingSegment, now: number): boolean {
  const { seq, flags } = segment;
  if (
    c.timestamps &&
    segment.hasTimestamp &&
    !(flags & RST) &&
    isBefore(segment.timestamp, c.tsRecent) &&
    now - c.tsRecentAt < STALE
  ) {
    return false;
  }
  const length = segment.size + (flags & SYN ? 1 : 0) + (flags & FIN ? 1 : 0);
  const end = (seq + length) | 0;
  // A window of zero takes ACKs and RSTs with the next number, and payload with it, which is cut off (third paragraph).
  if (atOrBefore(seq, c.rcvNxt))
    return atOrAfter(end, c.rcvNxt) && (length === 0 ? seq === c.rcvNxt : isAfter(end, c.rcvNxt));
  return isBefore(seq, c.edge) || (length === 0 && seq === c.edge);
}

/** ECN's two halves of receiving (RFC 3168 §6.1.3). */
function noteCongestion(c: ControlBlock, segment: IncomingSegment): void {
  if (segment.flags & CWR) c.echoCongestion = false;
  if (segment.ecn !== CE) return;
  if (!c.echoCongestion) c.ackNow = true;
  c.echoCongestion = true;
}
