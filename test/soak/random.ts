/** Random numbers that a seed repeats: Mulberry32, whose state is one number of 32 bits. */
export class Random {
  #state: number;

  /** @param seed 0 to 2^32-1 */
  constructor(seed: number) {
    this.#state = seed;
  }

  /** From `low` up to and without `high`. */
  between(low: number, high: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return low + (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (high - low);
  }

  one<T>(items: readonly T[]): T {
    return items[Math.floor(this.between(0, items.length))]!;
  }

  shuffled<T>(items: readonly T[]): T[] {
    const left = [...items];
    return items.map(() => left.splice(Math.floor(this.between(0, left.length)), 1)[0]!);
  }
}
