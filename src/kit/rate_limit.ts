/** A token bucket: what we send to strangers must not be worth provoking. */
export class RateLimit {
  readonly #perSecond: number;
  #tokens: number;
  #filled = 0;

  /** @param perSecond tokens a second, and how many may be taken at once */
  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
  }

  /** Takes a token if there is one. `now` in milliseconds. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#perSecond, this.#tokens + ((now - this.#filled) / 1000) * this.#perSecond);
    this.#filled = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
