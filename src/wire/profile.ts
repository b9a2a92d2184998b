/**
 * How a side looks on the wire. Data segments are the same in both profiles but for PSH.
 *
 * `phantun`: what phantun 0.3.1 and later send: ISN 0, NOP and window scale in the SYN, no PSH, RST to close.
 * `guise`: what Linux sends: random ISN; MSS, SACK-permitted and window scale in the SYN, PSH, FIN to close.
 *
 * @example
 * ```ts
 * import type { Profile, Stack } from 'guise';
 *
 * declare const stack: Stack;
 * const profile: Profile = 'phantun';
 * const socket = await stack.connect({ address: '203.0.113.7', port: 443, profile });
 * ```
 */
export type Profile = 'guise' | 'phantun';

/** phantun answers no SYN that has another, and has it in its SYN-ACK too. */
export const PHANTUN_ISN = 0;

/** NOP, window scale (RFC 7323 §2.2). 14 with the constant window 65535 makes 1 GiB: routers never find a segment outside of it. */
const SCALE_14 = [1, 3, 3, 14];

/** All that phantun's SYN carries. */
const PHANTUN_SYN_OPTIONS = Uint8Array.of(...SCALE_14);

/** Linux's order without timestamps (net/ipv4/tcp_output.c): MSS, NOP, NOP, SACK-permitted, NOP, window scale. */
function guiseSynOptions(mss: number): Uint8Array {
  return Uint8Array.of(...unscaledSynOptions(mss), ...SCALE_14);
}

/** Of guise's SYN-ACK to a SYN without a window scale (RFC 7323 §2.2). */
export function unscaledSynOptions(mss: number): Uint8Array {
  return Uint8Array.of(2, 4, mss >> 8, mss & 0xff, 1, 1, 4, 2);
}

/** @param mss bytes of payload that one segment may carry: 1 to 65535 */
export function synOptions(profile: Profile, mss: number): Uint8Array {
  return profile === 'phantun' ? PHANTUN_SYN_OPTIONS : guiseSynOptions(mss);
}
