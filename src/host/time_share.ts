/** A share of the time for work that may be asked for at any moment: what it took is paid back before it is done again. */
export class TimeShare {
  readonly #share: number;
  readonly #ahead: number;
  #spent = 0;
  #since = 0;

  /**
   * @param share part of the time that may be spent, 0 to 1
   * @param ahead milliseconds that may be spent before any is paid back
   */
  constructor(share: number, ahead: number) {
    this.#share = share;
    this.#ahead = ahead;
  }

  /** Whether there is time left. `now` in milliseconds. */
  isLeft(now: number): boolean {
    this.#spent = Math.max(0, this.#spent - (now - this.#since) * this.#share);
    this.#since = now;
    return this.#spent <= this.#ahead;
  }

  /** Spends milliseconds. */
  spend(milliseconds: number): void {
    this.#spent += milliseconds;
  }
}
