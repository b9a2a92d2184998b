/** A segment that belongs to no connection (RFC 9293 §3.10.7.1). */
import { ACK, FIN, RST, SYN, type IncomingSegment, type OutgoingSegment } from './segment.js';

/** Fills in the RST that it is answered with; false: with nothing. */
export function answerStray(segment: IncomingSegment, out: OutgoingSegment): boolean {
  if (segment.flags & RST) return false;
  blank(out);
  if (segment.flags & ACK) {
    out.seq = segment.ack;
    out.ack = 0;
    out.flags = RST;
  } else {
    const numbers = segment.size + (segment.flags & SYN ? 1 : 0) + (segment.flags & FIN ? 1 : 0);
    out.seq = 0;
    out.ack = (segment.seq + numbers) | 0;
    out.flags = RST | ACK;
  }
  return true;
}

/** A segment with nothing in it. */
export function blank(out: OutgoingSegment): void {
  out.flags = out.window = out.ecn = out.mss = out.sackCount = out.size = out.segmentSize = 0;
  out.scale = -1;
  out.sackPermitted = out.hasTimestamp = false;
}
