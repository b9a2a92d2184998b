/** What a window begins with, and the most that it becomes. */

/** No window of TCP is larger: 65 535 shifted by 14 (RFC 7323 §2.2), rounded up. */
export const MOST_WINDOW = 2 ** 30;

/** Bytes that may leave before anything is acknowledged (RFC 6928 §2): ten segments, of Ethernet's size at most. */
export function initialWindow(segmentSize: number): number {
  return Math.min(10 * segmentSize, Math.max(2 * segmentSize, 14_600));
}
