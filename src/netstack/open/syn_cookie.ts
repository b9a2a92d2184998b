/**
 * Connections that nothing is kept of until the peer's ACK brings back what its SYN said (RFC 4987 §3.6). The ISN of the
 * SYN-ACK is the cookie: 24 bits of a keyed hash of both ends and a slot of time, as many as Linux has
 * (net/ipv4/syncookies.c), and 8 that remember the SYN.
 */
import type { SynFacts } from '../tcp/options.js';

/** Milliseconds of a slot. A cookie is good in its own and in the next. */
const SLOT = 64_000;
/** MSS that can be remembered; one in between becomes the next smaller: 1220 is IPv6's least, 1452 that of PPPoE. */
const SIZES = [536, 1220, 1360, 1400, 1440, 1452, 1460, 8940] as const;
const SACK_BIT = 8;
const SCALE_SHIFT = 4;
/** Scales are 14 at most (RFC 7323 §2.3). */
const NO_SCALE = 15;
const MOST_SCALE = 14;
const FACT_BITS = 0xff;
/** Slots are counted by so many bits: a word is never one that is hashed for something else. */
const SLOT_MASK = 0xfffff;

/** A keyed hash of both ends of a segment, and of a word: 32 bits. */
export type Hash = (word: number) => number;

export type CookieFacts = Omit<SynFacts, 'hasTimestamp'>;

/** The ISN to answer a SYN with. `seq` is the SYN's own. */
export function makeCookie(hash: Hash, seq: number, { mss, scale, sackPermitted }: CookieFacts, now: number): number {
  const size = Math.max(
    0,
    SIZES.findLastIndex((each) => each <= mss),
  );
  const bits =
    size | (sackPermitted ? SACK_BIT : 0) | ((scale < 0 ? NO_SCALE : Math.min(scale, MOST_SCALE)) << SCALE_SHIFT);
  return cookie(hash, seq, bits, slotOf(now));
}

/**
 * What the SYN said that is brought back.
 *
 * @param seq the SYN's own, and so one less than the ACK's
 * @returns undefined when the number is no cookie, or not good any more
 */
export function readCookie(hash: Hash, seq: number, isn: number, now: number): CookieFacts | undefined {
  const bits = isn & FACT_BITS;
  const slot = slotOf(now);
  if (cookie(hash, seq, bits, slot) !== isn && cookie(hash, seq, bits, slot - 1) !== isn) return undefined;
  const scale = bits >> SCALE_SHIFT;
  return {
    mss: SIZES[bits & (SIZES.length - 1)]!,
    scale: scale === NO_SCALE ? -1 : scale,
    sackPermitted: (bits & SACK_BIT) !== 0,
  };
}

/** Whether a cookie of that time may still come back. */
export function mayComeBack(made: number, now: number): boolean {
  return now - made < 2 * SLOT;
}

function slotOf(now: number): number {
  return Math.floor(now / SLOT);
}

function cookie(hash: Hash, seq: number, bits: number, slot: number): number {
  const word = ((slot & SLOT_MASK) << 8) | bits;
  return ((hash(word) + seq) & ~FACT_BITS) | bits;
}
