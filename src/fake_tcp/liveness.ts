/**
 * Whether the peer of a connection lives: what it sends tells, never what we send. No I/O, no clock.
 *
 * A fake TCP connection whose path or peer is gone looks like one that is idle: nothing is retransmitted, nothing fails.
 * So a side that sends and hears nothing probes, and after some unanswered probes takes the peer for dead.
 *
 * Of guise's peers more is known: they acknowledge soon, so that silence is suspicious after a round trip. Then many
 * probes are sent, which some answer survives whatever the path loses, and a SYN from another port asks whether the
 * server is there at all. Only where it answers that and no probe the connection is dead before the time that is allowed:
 * a peer that is suspended or overloaded, or a path that is down or slow, does neither.
 */

import { LIVENESS } from '../policy.js';
import { RoundTrip } from './round_trip.js';

export interface LivenessOptions {
  /** Milliseconds without a segment from the peer until it is probed although nothing is sent; Infinity for never. */
  readonly keepalive: number;
  /** Milliseconds without a segment from the peer, while datagrams were sent, until it is probed. */
  readonly deadAfter: number;
  /**
   * The peer acknowledges what it gets, as guise does: milliseconds from its SYN to the answer, undefined where it is not
   * known.
   */
  readonly acknowledges?: { readonly roundTrip: number | undefined };
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

/** `ask`: probe, and ask by a SYN from another port whether the server is there; `answered` is to be called when it is. */
export type Finding = 'fine' | 'probe' | 'ask' | 'dead';

/** Checks in a row that find nothing to wait for, until it is enough to hear of the next datagram. */
const WATCHED = 2;

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #roundTrip: RoundTrip | undefined;
  #checkedAt: number;
  #heardAt: number;
  #received: number;
  #sent: number;
  #sentWhenHeard: number;
  #probes = 0;
  #firstProbeAt = 0;
  #probedAt = 0;
  #askedAt = -Infinity;
  #answered = false;
  /** Checks in a row that found nothing to wait for. */
  #idleChecks = 0;

  constructor(options: LivenessOptions, now: number, { received, sent }: Signs) {
    this.#options = options;
    this.#roundTrip = options.acknowledges && new RoundTrip(options.acknowledges.roundTrip);
    this.#checkedAt = now;
    this.#heardAt = now;
    this.#received = received;
    this.#sent = sent;
    this.#sentWhenHeard = sent;
  }

  /**
   * When the next check is due. While nothing is sent and nothing comes that is when the keepalive is: two checks in a
   * row find it so, then `awake` is to be called with the next datagram, and a third finds what left beside the second.
   */
  get nextCheck(): number {
    const { keepalive } = this.#options;
    if (this.#probes > 0) return this.#checkedAt + this.#probeWait;
    if (this.#idleChecks > WATCHED) return this.#heardAt + keepalive;
    const often = this.#roundTrip ? LIVENESS.acknowledgedCheckInterval : LIVENESS.checkInterval;
    const next = this.#checkedAt + (this.isWatched ? LIVENESS.idleCheckInterval : often);
    return Math.min(next, this.#heardAt + this.#patience);
  }

  /** Whether `awake` is to be called when a datagram is sent. */
  get isWatched(): boolean {
    return this.#idleChecks === WATCHED;
  }

  /** A datagram has been sent, the first for some time. Silence counts from here. */
  awake(now: number): void {
    this.#idleChecks = 0;
    this.#checkedAt = this.#heardAt = now;
  }

  /** The server has answered a SYN from another port: it is there, and so is the path. */
  answered(): void {
    this.#answered = this.#probes > 0;
  }

  /** What to do now; `probe` counts as done. */
  check(now: number, { received, sent, acknowledged }: Signs): Finding {
    if (this.#roundTrip) this.#forgive(now - this.nextCheck);
    const [checkedBefore, sentBefore] = [this.#checkedAt, this.#sent];
    [this.#checkedAt, this.#sent] = [now, sent];
    if (received !== this.#received) {
      this.#received = received;
      // Of several probes nobody knows which was answered (RFC 6298 §3).
      if (this.#probes === 1) this.#roundTrip?.add(now - this.#probedAt);
      // Some time since the last check, which may be a while ago.
      this.#heardAt = this.#idleChecks > WATCHED ? checkedBefore : (checkedBefore + now) / 2;
      // What was sent since the last check may have left after the peer was heard, unless it says otherwise.
      this.#sentWhenHeard = acknowledged ? sent : sentBefore;
      this.#probes = this.#idleChecks = 0;
      this.#answered = false;
      return 'fine';
    }
    if (this.#probes === 0 && now - this.#heardAt < this.#patience) {
      this.#idleChecks = sent === this.#sentWhenHeard ? Math.min(this.#idleChecks + 1, WATCHED + 1) : 0;
      return 'fine';
    }
    this.#idleChecks = 0;
    return this.#isDead(now) ? 'dead' : this.#probe(now);
  }

  /** Milliseconds of silence until the first probe. */
  get #patience(): number {
    const { keepalive } = this.#options;
    if (this.#sent === this.#sentWhenHeard) return keepalive;
    return Math.min(keepalive, this.#late);
  }

  /** Milliseconds after which an acknowledgement is late. */
  get #late(): number {
    const { deadAfter } = this.#options;
    if (!this.#roundTrip || deadAfter === Infinity) return deadAfter;
    return Math.min(deadAfter, LIVENESS.ackWait + this.#roundTrip.timeout);
  }

  /** Milliseconds from one probe to the next. */
  get #probeWait(): number {
    if (!this.#roundTrip || this.#probes > LIVENESS.manyProbes) return LIVENESS.probeWait;
    return this.#probes < LIVENESS.manyProbes ? LIVENESS.shortProbeWait : this.#roundTrip.timeout;
  }

  /** What this side did not look at, because it was suspended itself or had too much to do, is no silence of the peer. */
  #forgive(late: number): void {
    if (late < LIVENESS.forgiven) return;
    this.#heardAt += late;
    this.#firstProbeAt += late;
    this.#probedAt += late;
  }

  #isDead(now: number): boolean {
    if (!this.#roundTrip) return this.#probes === LIVENESS.probes;
    if (this.#probes === 0) return false;
    const { deadAfter } = this.#options;
    const left = deadAfter === Infinity ? LIVENESS.deadAfter : deadAfter - this.#late;
    if (now - this.#firstProbeAt >= left + LIVENESS.probes * LIVENESS.probeWait) return true;
    return this.#answered && this.#probes >= LIVENESS.manyProbes && now - this.#probedAt >= this.#roundTrip.timeout;
  }

  #probe(now: number): 'probe' | 'ask' {
    if (this.#probes === 0) this.#firstProbeAt = now;
    // Those that follow do not make an answer later: the last of the many is waited for.
    if (this.#probes < LIVENESS.manyProbes) this.#probedAt = now;
    this.#probes++;
    const asks = this.#roundTrip && this.#probes > LIVENESS.askAfter && !this.#answered;
    if (!asks || now - this.#askedAt < LIVENESS.askWait) return 'probe';
    this.#askedAt = now;
    return 'ask';
  }
}
