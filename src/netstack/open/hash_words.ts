/** What the port's keyed hash is used for: a word each, so that none tells of another. SYN cookies have 0 to 2^28 - 1. */
export const ISN_WORD = -1;
export const TIMESTAMP_WORD = -2;
export const PORT_WORD = -3;

/** An ISN by RFC 6528: a keyed hash of both ends, and a clock of 4 µs. `now` in milliseconds. */
export function initialSequence(hash: number, now: number): number {
  return (hash + Math.floor(now * 250)) | 0;
}
