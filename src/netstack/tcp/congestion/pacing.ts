/** How much leaves at once when sending is paced. */

/** Beyond so many bytes no super-segment goes: what an IP packet holds, less its headers. */
const MOST = 65_535 - 320;
/** 1.2 Mbit/s in bytes a millisecond (net/ipv4/tcp_bbr.c): slower paths get one segment at a time. */
const SLOW = 150;

/**
 * Bytes that may leave together at a rate of `rate` bytes a millisecond: what it takes 1/1024 s to send, as Linux sizes
 * its super-segments, in whole segments, at least two (one on slow paths).
 */
export function sendQuantum(rate: number, segmentSize: number): number {
  const segments = Math.floor(Math.min((rate * 1000) / 1024, MOST) / segmentSize);
  return segmentSize * Math.max(segments, rate < SLOW ? 1 : 2);
}
