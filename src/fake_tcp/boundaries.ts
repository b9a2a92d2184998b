/**
 * Whether segments come as they left. A fake TCP connection keeps its datagrams apart by the boundaries of segments: a
 * proxy that ends the connection and opens another, or a network card that joins segments, damages every datagram and
 * says nothing. So each side sends pairs of probes early: they have to come as two, each in its size. No I/O, no clock.
 */
import { BOUNDARIES } from '../policy.js';
import type { PathProbe } from '../native/types.js';

/** Tokens of these probes have this bit; those of the path's size do not. */
const TOKEN_BIT = 2 ** 31;

export interface BoundaryStep {
  readonly probes: readonly PathProbe[];
  /** When to call `check` again; Infinity when there is nothing more to find out. */
  readonly next: number;
}

export class Boundaries {
  /** Bytes of the large probes. */
  readonly #largest: number;
  #wait: number = BOUNDARIES.wait;
  #tries = 0;
  /** Of the large ones that came as they left: each bit is one of a pair. */
  #kept = 0;

  /** @param largest bytes of the largest datagram that leaves in one packet */
  constructor(largest: number) {
    this.#largest = Math.max(BOUNDARIES.small, Math.min(BOUNDARIES.large, largest));
  }

  /** Whether an answer with this token is to a probe of these. */
  static asked(token: number): boolean {
    return token >= TOKEN_BIT;
  }

  /**
   * @param heard something has come of the peer behind the handshake: before that it would not know the connection
   * @param may whether probes may be sent now; asked at most once
   */
  check(now: number, heard: boolean, may: () => boolean): BoundaryStep {
    if (this.#kept === 3 || this.#tries === BOUNDARIES.tries) return { probes: [], next: Infinity };
    if (!heard) {
      this.#wait = Math.min(2 * this.#wait, BOUNDARIES.longestWait);
      return { probes: [], next: now + this.#wait };
    }
    if (!may()) return { probes: [], next: now + BOUNDARIES.wait };
    this.#tries++;
    const span = 2 * this.#largest;
    const pair = (token: number, size: number): PathProbe => ({ token, size, span, pair: true });
    // Who cuts may cut large ones only, and the path may carry small ones only.
    return {
      probes: [pair(TOKEN_BIT, this.#largest), pair(TOKEN_BIT + 2, BOUNDARIES.small)],
      next: now + BOUNDARIES.wait,
    };
  }

  /** A probe has been answered, of which `size` bytes came. Whether something on the path cuts or joins segments. */
  answer(token: number, size: number): boolean {
    const which = token - TOKEN_BIT;
    if (which < 2) this.#kept |= 1 << which;
    return size !== (which < 2 ? this.#largest : BOUNDARIES.small);
  }
}
