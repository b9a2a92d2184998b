/** What is due at a time, at a cost of what is due and not of what waits (Varghese and Lauck, 1987). */

/** Of an item that waits for nothing. */
export const NO_SLOT = -1;

/** An item has one time: with another one it forgets the first. */
export interface Timed {
  /** Of the wheel: the number of the interval that it waits for, NO_SLOT at first. */
  slot: number;
}

export class TimingWheel<T extends Timed> {
  readonly #interval: number;
  /** By the interval's number. Those that wait for another one by now are still in it. */
  readonly #slots = new Map<number, T[]>();
  #passed: number;

  /** @param interval milliseconds from one call of `take` to the next */
  constructor(interval: number, now: number) {
    this.#interval = interval;
    this.#passed = Math.floor(now / interval);
  }

  /**
   * `at` in milliseconds: due in the interval that it lies in, not before the next `take`; never when Infinity. So what
   * is added in one `take` for a whole number of intervals later comes after exactly as many.
   */
  add(item: T, at: number): void {
    item.slot = NO_SLOT;
    if (at === Infinity) return;
    const number = Math.max(Math.floor(at / this.#interval), this.#passed + 1);
    item.slot = number;
    const slot = this.#slots.get(number);
    if (slot) slot.push(item);
    else this.#slots.set(number, [item]);
  }

  /** Takes out what is due. */
  *take(now: number): Generator<T, void, void> {
    const before = this.#passed;
    this.#passed = Math.max(before, Math.floor(now / this.#interval));
    for (let number = before + 1; number <= this.#passed; number++) {
      const slot = this.#slots.get(number) ?? [];
      this.#slots.delete(number);
      for (const item of slot) {
        if (item.slot !== number) continue;
        item.slot = NO_SLOT;
        yield item;
      }
    }
  }
}
