/** How long an answer takes, and how long to wait for one (RFC 6298 §2). No I/O, no clock. */
import { LIVENESS } from '../policy.js';

export class RoundTrip {
  #smoothed: number;
  #variation: number;

  /** @param first milliseconds of the first measurement, undefined where there is none */
  constructor(first: number | undefined) {
    this.#smoothed = first ?? LIVENESS.firstRoundTrip;
    this.#variation = this.#smoothed / 2;
  }

  /** @param milliseconds between something that was sent once and its answer */
  add(milliseconds: number): void {
    this.#variation += (Math.abs(this.#smoothed - milliseconds) - this.#variation) / 4;
    this.#smoothed += (milliseconds - this.#smoothed) / 8;
  }

  /** Milliseconds after which an answer is late. */
  get timeout(): number {
    return Math.max(this.#smoothed + 4 * this.#variation, LIVENESS.leastTimeout);
  }
}
