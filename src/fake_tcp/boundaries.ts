/**
 * Whether segments come as they left. A fake TCP connection keeps its datagrams apart by the boundaries of segments: a
 * proxy that ends the connection and opens another, or a network card that joins segments, damages every datagram and
 * says nothing. So each side sends pairs of probes early: they have to come as two, each in its size. A proxy passes
 * none of them on, since its kernel has their numbers already. No I/O, no clock.
 */
import { BOUNDARIES } from '../policy.js';
import type { PathProbe } from '../native/types.js';
import type { Turns } from './turns.js';

/** Tokens of these probes have this bit; those of the path's size do not. */
const TOKEN_BIT = 2 ** 31;

export interface BoundaryStep {
  readonly probes: readonly PathProbe[];
  /** When to call `check` again; Infinity when there is nothing more to find out. */
  readonly next: number;
  /** Something on the path cuts or joins segments. */
  readonly recut?: true;
}

export class Boundaries {
  /** Bytes of the large probes. */
  readonly #largest: number;
  readonly #foreign: boolean;
  #wait: number = BOUNDARIES.wait;
  /** When it may ask, while it waits for that. */
  #turn: number | undefined;
  #tries = 0;
  #answers = 0;
  /** Segments that had come when the first probes were sent. */
  #received = 0;
  /** Of the large ones that came as they left: each bit is one of a pair. */
  #kept = 0;

  /**
   * @param largest bytes of the largest datagram that leaves in one packet
   * @param foreign the handshake had a window that no guise sends: a proxy has made it, or a box has changed it
   */
  constructor(largest: number, foreign: boolean) {
    this.#largest = Math.max(BOUNDARIES.small, Math.min(BOUNDARIES.large, largest));
    this.#foreign = foreign;
  }

  /** Whether an answer with this token is to a probe of these. */
  static asked(token: number): boolean {
    return token >= TOKEN_BIT;
  }

  /**
   * @param received segments that have come behind the handshake: before the first the peer may not know the connection
   * @param turns when probes may be sent
   */
  check(now: number, received: number, turns: Pick<Turns, 'take'>): BoundaryStep {
    if (this.#kept === 3) return { probes: [], next: Infinity };
    if (this.#tries === BOUNDARIES.tries) {
      return { probes: [], next: Infinity, ...(this.isProxied(received) ? { recut: true } : {}) };
    }
    if (received === 0) {
      this.#wait = Math.min(2 * this.#wait, BOUNDARIES.longestWait);
      return { probes: [], next: now + this.#wait };
    }
    this.#turn ??= turns.take(now);
    if (this.#turn > now) return { probes: [], next: this.#turn };
    this.#turn = undefined;
    if (this.#tries++ === 0) this.#received = received;
    const span = 2 * this.#largest;
    const pair = (token: number, size: number): PathProbe => ({ token, size, span, pair: true });
    // Who cuts may cut large ones only, and the path may carry small ones only.
    return {
      probes: [pair(TOKEN_BIT, this.#largest), pair(TOKEN_BIT + 2, BOUNDARIES.small)],
      next: now + BOUNDARIES.wait,
    };
  }

  /** Whether somebody is there who is no guise; to be asked in the end, or when the connection ends before. */
  isProxied(received: number): boolean {
    return this.#foreign && this.#tries > 0 && this.#answers === 0 && received > this.#received;
  }

  /** A probe has been answered, of which `size` bytes came. Whether something on the path cuts or joins segments. */
  answer(token: number, size: number): boolean {
    this.#answers++;
    const which = token - TOKEN_BIT;
    if (which < 2) this.#kept |= 1 << which;
    return size !== (which < 2 ? this.#largest : BOUNDARIES.small);
  }
}
