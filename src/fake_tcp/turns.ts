/** Turns that are taken one behind the other: who has to wait is told how long, and need not ask again before. */
export class Turns {
  readonly #apart: number;
  #next = -Infinity;

  /** @param perSecond turns a second */
  constructor(perSecond: number) {
    this.#apart = 1000 / perSecond;
  }

  /** When whoever asks has his turn: `now`, or later. Milliseconds. */
  take(now: number): number {
    const at = Math.max(now, this.#next);
    this.#next = at + this.#apart;
    return at;
  }
}
