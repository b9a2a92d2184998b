/**
 * Sequence numbers (RFC 9293 §3.4) as signed 32-bit integers: V8 keeps them without boxes, and they wrap by themselves.
 * Two are compared by their distance, which is right while less than 2^31 lie between them.
 */

/** How far `a` is behind `b` in the order of numbers: negative when it comes before. */
export const distance = (a: number, b: number): number => (a - b) | 0;

export const isBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0;
export const isAfter = (a: number, b: number): boolean => ((a - b) | 0) > 0;
export const atOrBefore = (a: number, b: number): boolean => ((a - b) | 0) <= 0;
export const atOrAfter = (a: number, b: number): boolean => ((a - b) | 0) >= 0;

export const later = (a: number, b: number): number => (((a - b) | 0) >= 0 ? a : b);
export const earlier = (a: number, b: number): number => (((a - b) | 0) <= 0 ? a : b);
