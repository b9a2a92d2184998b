/** What a connection can be in. */

/** The states of RFC 9293 §3.3.2. */
export const STATE = {
  closed: 0,
  listen: 1,
  synSent: 2,
  synReceived: 3,
  established: 4,
  finWait1: 5,
  finWait2: 6,
  closing: 7,
  timeWait: 8,
  closeWait: 9,
  lastAck: 10,
} as const;

/** What is amiss with what is under way: nothing; the window is reduced; it recovers; a time-out has come. */
export const MODE = { open: 0, reduced: 1, recovery: 2, loss: 3 } as const;

/** What the one timer of what is under way does next (RFC 8985 §7 has them share it). */
export const RESEND = { none: 0, syn: 1, timeout: 2, probe: 3, reorder: 4 } as const;
