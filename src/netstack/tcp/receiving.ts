/** What payload does: the stream's order, the window, the ACKs that are due (RFC 9293 §3.8.6, RFC 5681 §4.2). */
import { peerEnded } from './closing.js';
import { QUICK_ACKS, type ControlBlock } from './control_block.js';
import { Reassembly } from './reassembly.js';
import type { IncomingSegment } from './segment.js';
import { isAfter, isBefore } from './sequence.js';
import { sendResetAt } from './sending.js';
import { STATE } from './states.js';
import { grow } from './receive_window.js';

export function takePayload(c: ControlBlock, segment: IncomingSegment, now: number): void {
  if (c.state !== STATE.established && c.state !== STATE.finWait1 && c.state !== STATE.finWait2) return;
  let { seq, offset, size } = segment;
  if (isBefore(seq, c.rcvNxt)) {
    // Its beginning came before.
    const old = (c.rcvNxt - seq) | 0;
    noteDuplicate(c, seq, Math.min(old, size));
    seq = c.rcvNxt;
    offset += old;
    size -= old;
    hurry(c);
  }
  if (isAfter((seq + size) | 0, c.edge)) {
    // More than the window: a probe of it, or a peer that does not keep to it.
    size = Math.max(0, (c.edge - seq) | 0);
    c.ackNow = true;
  }
  if (size <= 0) return;
  if (c.left) {
    // Nobody will read it.
    sendResetAt(c, segment.ack);
    c.finish('ECONNRESET');
    return;
  }
  if (segment.segmentSize > c.peerSegment) c.peerSegment = segment.segmentSize;
  const payload = segment.slab.subarray(offset, offset + size);
  if (seq !== c.rcvNxt) {
    keep(c, seq, payload);
    return;
  }
  deliver(c, payload, now);
  if (c.reassembly && !c.reassembly.isEmpty) {
    const chunks = c.reassembly.take(c.rcvNxt);
    if (chunks) for (const chunk of chunks) deliver(c, chunk, now);
    // A gap that is filled is told at once (RFC 5681 §4.2).
    c.ackNow = true;
  }
  scheduleAck(c, now);
  if (c.hasFin && c.finSeq === c.rcvNxt) peerEnded(c, now);
}

/** Something got lost: the peer's recovery lives on ACKs that do not wait (RFC 5681 §4.2; tcp_enter_quickack_mode). */
export function hurry(c: ControlBlock): void {
  c.ackNow = true;
  c.quickAcks = QUICK_ACKS;
}

function keep(c: ControlBlock, seq: number, payload: Uint8Array): void {
  c.reassembly ??= new Reassembly();
  const room = c.receiveLimit * 2 - c.unread - c.reassembly.cost;
  c.reassembly.insert(seq, payload, room);
  hurry(c);
}

/** What came twice is told by D-SACK (RFC 2883); `size` 0: nothing did. */
export function noteDuplicate(c: ControlBlock, start: number, size: number): void {
  if (!c.sackPermitted || size <= 0 || isAfter((start + size) | 0, c.rcvNxt)) return;
  c.hasDuplicate = true;
  c.duplicateStart = start;
  c.duplicateEnd = (start + size) | 0;
}

function deliver(c: ControlBlock, chunk: Uint8Array, now: number): void {
  if (c.state === STATE.closed) return; // the user has ended it meanwhile
  c.rcvNxt = (c.rcvNxt + chunk.length) | 0;
  c.unread += chunk.length;
  c.bytesReceived += chunk.length;
  c.unacknowledged += chunk.length;
  grow(c, now);
  if (c.application) c.application.received(chunk);
  else if (!c.left) (c.early ??= []).push(chunk);
}

/** Two full segments, or what comes early in a connection, are acknowledged at once; else within the delay. */
function scheduleAck(c: ControlBlock, now: number): void {
  if (c.unacknowledged >= 2 * c.peerSegment || c.quickAcks > 0) c.ackNow = true;
  else if (c.ackAt === 0) c.ackAt = now + c.options.delayedAck;
}

export function takeFin(c: ControlBlock, seq: number, now: number): void {
  if (c.hasFin || isAfter(seq, c.edge)) return;
  c.hasFin = true;
  c.finSeq = seq;
  c.ackNow = true;
  if (seq === c.rcvNxt) peerEnded(c, now);
}

/** What came before there was somebody to receive it. */
export function giveEarly(c: ControlBlock): void {
  const { early, application } = c;
  if (!application) return;
  c.early = undefined;
  if (early) for (const chunk of early) application.received(chunk);
  if (c.state === STATE.closeWait) application.ended();
}
