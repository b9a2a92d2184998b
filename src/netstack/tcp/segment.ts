/** What a segment says, without bytes of headers: those are the data plane's. */

/** Control bits (RFC 9293 §3.1). */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

/** ECN field of the IP header (RFC 3168 §5). */
export const NOT_ECT = 0;
export const ECT_1 = 1;
export const ECT_0 = 2;
export const CE = 3;

/** A segment has room for so many SACK blocks (RFC 2018 §3: 40 bytes of options; 3 beside timestamps). */
export const MOST_SACK_BLOCKS = 4;

/**
 * A segment that has come. One object is filled again and again: whoever wants to keep something of it copies it. A
 * super-segment, which the kernel has put together from segments of one size, is one.
 */
export class IncomingSegment {
  /** Sequence and acknowledgment number, 32 bits, signed. */
  seq = 0;
  ack = 0;
  flags = 0;
  /** As it stands in the header: 0 to 65 535, not scaled. */
  window = 0;
  /** ECN field of the IP header. */
  ecn = NOT_ECT;
  /** Bytes of each segment that it was put together from, but the last; 0 without payload. */
  segmentSize = 0;
  /** MSS option, 0 without. */
  mss = 0;
  /** Window scale option, -1 without. */
  scale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  timestamp = 0;
  timestampEcho = 0;
  sackCount = 0;
  /** start and end of each SACK block. */
  readonly sack = new Int32Array(2 * MOST_SACK_BLOCKS);

  /** Its payload is `size` bytes of `slab` from `offset`. The bytes stay what they are: a part of it may be kept. */
  slab: Uint8Array = EMPTY;
  offset = 0;
  size = 0;
}

/** A segment, or with payload one or many of one size, on its way out. One object is filled again and again. */
export class OutgoingSegment {
  seq = 0;
  ack = 0;
  /** FIN and PSH belong to the last of many, CWR to the first. */
  flags = 0;
  /** As it stands in the header. */
  window = 0;
  ecn = NOT_ECT;
  /** MSS option, 0 for none. */
  mss = 0;
  /** Window scale option, -1 for none. */
  scale = -1;
  sackPermitted = false;
  hasTimestamp = false;
  timestamp = 0;
  timestampEcho = 0;
  sackCount = 0;
  readonly sack = new Int32Array(2 * MOST_SACK_BLOCKS);

  /** Payload: `size` bytes that begin `offset` bytes into the first of `chunks`. */
  chunks: readonly Uint8Array[] = NONE;
  /** The chunk that it begins in. */
  first = 0;
  offset = 0;
  size = 0;
  /** Bytes of payload of each segment but the last. */
  segmentSize = 0;
}

const EMPTY = new Uint8Array(0);
const NONE: readonly Uint8Array[] = [];
