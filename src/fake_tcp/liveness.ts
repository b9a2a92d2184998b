/**
 * Whether the peer of a connection lives: what it sends tells, never what we send. No I/O, no clock.
 *
 * A fake TCP connection whose path or peer is gone looks like one that is idle: nothing is retransmitted, nothing fails.
 * So a side that sends and hears nothing probes, and after some unanswered probes takes the peer for dead.
 */

import { LIVENESS } from '../policy.js';

export interface LivenessOptions {
  /** Milliseconds without a segment from the peer until it is probed although nothing is sent; Infinity for never. */
  readonly keepalive: number;
  /** Milliseconds without a segment from the peer, while datagrams were sent, until it is probed. */
  readonly deadAfter: number;
}

/** What a flow's counters say. */
export interface Signs {
  /** Segments of any kind that came. */
  readonly received: number;
  /** Datagrams that were sent. */
  readonly sent: number;
  /** The peer has said that it has all of them. */
  readonly acknowledged: boolean;
}

export type Finding = 'fine' | 'probe' | 'dead';

export class Liveness {
  readonly #options: LivenessOptions;
  #checkedAt: number;
  #heardAt: number;
  #received: number;
  #sent: number;
  #sentWhenHeard: number;
  #probes = 0;

  constructor(options: LivenessOptions, now: number, { received, sent }: Signs) {
    this.#options = options;
    this.#checkedAt = now;
    this.#heardAt = now;
    this.#received = received;
    this.#sent = sent;
    this.#sentWhenHeard = sent;
  }

  /**
   * When the next check is due. What is sent to a peer that has been idle for longer than `deadAfter` makes the next check
   * probe it, so that checks which are almost as far apart as `deadAfter` are enough.
   */
  get nextCheck(): number {
    const { keepalive, deadAfter } = this.#options;
    if (this.#probes > 0) return this.#checkedAt + LIVENESS.probeWait;
    const soon = this.#checkedAt + LIVENESS.checkInterval;
    if (this.#sent !== this.#sentWhenHeard) return Math.min(soon, this.#heardAt + deadAfter);
    if (this.#checkedAt - this.#heardAt < deadAfter) return soon;
    return Math.max(soon, Math.min(this.#checkedAt + deadAfter - LIVENESS.checkInterval, this.#heardAt + keepalive));
  }

  /** What to do now; `probe` counts as done. */
  check(now: number, { received, sent, acknowledged }: Signs): Finding {
    const [checkedBefore, sentBefore] = [this.#checkedAt, this.#sent];
    [this.#checkedAt, this.#sent] = [now, sent];
    if (received !== this.#received) {
      this.#received = received;
      // Some time since the last check.
      this.#heardAt = (checkedBefore + now) / 2;
      // What was sent since the last check may have left after the peer was heard, unless it says otherwise.
      this.#sentWhenHeard = acknowledged ? sent : sentBefore;
      this.#probes = 0;
      return 'fine';
    }
    const { keepalive, deadAfter } = this.#options;
    const patience = sent === this.#sentWhenHeard ? keepalive : Math.min(deadAfter, keepalive);
    if (this.#probes === 0 && now - this.#heardAt < patience) return 'fine';
    if (this.#probes === LIVENESS.probes) return 'dead';
    this.#probes++;
    return 'probe';
  }
}
