/** What a congestion control is told, and what it says. A new one implements this and gets a line in `choose.ts`. */

/**
 * What an ACK has brought (draft-cheng-iccrg-delivery-rate-estimation). One object is filled again and again.
 */
export class AckSample {
  /** Milliseconds, of the machine's clock. */
  now = 0;
  /** Bytes that it acknowledges or selectively acknowledges for the first time. */
  delivered = 0;
  /** Bytes found to be lost since the last sample. */
  lost = 0;
  /** Bytes in flight before it came, and behind it (RFC 6675's pipe). */
  priorInFlight = 0;
  inFlight = 0;
  /** Milliseconds of the newest segment that it acknowledges, which was sent once; 0 when it tells none. */
  rtt = 0;
  /** Bytes a millisecond at which data arrived while this segment was under way; 0 when it tells none. */
  rate = 0;
  /** The rate is what the application gave, not what the path takes. */
  isAppLimited = false;
  /** Bytes delivered over all when the newest segment acknowledged was sent, and now: rounds are counted by them. */
  priorDelivered = 0;
  totalDelivered = 0;
  /** Cumulatively acknowledged bytes: what SND.UNA moved by. */
  acknowledged = 0;
  /** The sender was held by the window, not by the application, when it had sent what this acknowledges. */
  isWindowLimited = false;
  /** In fast recovery: PRR decides what leaves, and `window` need not grow. Behind a time-out it does: not set there. */
  inRecovery = false;
}

export interface CongestionControl {
  readonly name: string;
  /** cwnd, bytes. PRR and the machine's recovery work below it. */
  window: number;
  /** ssthresh, bytes; Infinity at first. */
  threshold: number;
  /** Bytes a millisecond; Infinity: not paced. */
  pacingRate: number;
  /** It answers to a loss itself: no PRR, `window` holds in recovery, too (BBR). */
  readonly ownsRecovery: boolean;
  /** The bytes of a segment have changed. Windows are in bytes, and stay. */
  setSegmentSize(bytes: number): void;
  acknowledged(sample: AckSample): void;
  /** A loss, or ECE: recovery begins. Sets `threshold`; the machine's PRR brings the flight down to it. */
  lossFound(inFlight: number, now: number): void;
  /** Recovery is over, that of a loss or that of a time-out: `window` becomes what it says. */
  recovered(now: number): void;
  /** RTO: `threshold` and a `window` of one segment (RFC 5681 §3.1). */
  timedOut(inFlight: number, now: number): void;
  /** What `lossFound` or `timedOut` did last was wrong: the segments had only been late (RFC 4015). */
  undo(now: number): void;
  /** Something is sent again behind a silence that was longer than an RTO (RFC 5681 §4.1). */
  idleEnded(now: number): void;
}
