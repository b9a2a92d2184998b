/**
 * When each of many numbered things is due, at a cost of what is due (Varghese and Lauck, 1987). One that is moved to a
 * later time stays where it is until then: whoever takes it out looks at its real time, and sets it anew. So a
 * retransmission time-out that every ACK moves costs a comparison an ACK.
 */

/** Slots of the wheel, of a millisecond each: what is further away is looked at once in between. */
const SLOTS = 4096;
const MASK = SLOTS - 1;
/** What is further away than so many milliseconds is due at a multiple of the coarse grain, with others. */
const NEAR = 20;
const COARSE = 5;
/** Never: a number that no time is. */
const NEVER = -1;

export class TimingWheel {
  readonly #slots: (number[] | undefined)[] = new Array<number[] | undefined>(SLOTS).fill(undefined);
  /** In which millisecond each is looked at, counted from `#origin`; by its number. */
  #when = new Int32Array(64).fill(NEVER);
  readonly #origin: number;
  /** The millisecond that was served last. */
  #served = 0;
  #earliest = Infinity;
  readonly #found: number[] = [];

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: number) {
    this.#origin = Math.floor(now);
  }

  /** When something is due at the earliest; Infinity: never. */
  get earliest(): number {
    return this.#earliest === Infinity ? Infinity : this.#origin + this.#earliest;
  }

  /** Something is due at `at`; Infinity: it is not looked at any more, or once for nothing. */
  set(id: number, at: number): void {
    if (at === Infinity) return;
    const when = this.#millisecondOf(at);
    if (id >= this.#when.length) this.#grow(id);
    const before = this.#when[id]!;
    if (before !== NEVER && before <= when) return;
    this.#when[id] = when;
    const slot = this.#slots[when & MASK];
    if (slot) slot.push(id);
    else this.#slots[when & MASK] = [id];
    if (when < this.#earliest) this.#earliest = when;
  }

  /** The number is free for another. */
  clear(id: number): void {
    if (id < this.#when.length) this.#when[id] = NEVER;
  }

  /** Takes out what is due, and perhaps some that is no longer. */
  take(now: number, due: (id: number) => void): void {
    const until = Math.floor(now) - this.#origin;
    if (until < this.#earliest) return;
    const from = Math.max(this.#served + 1, until - MASK);
    this.#served = until;
    const when = this.#when;
    const found = this.#found;
    for (let each = from; each <= until; each++) {
      const slot = this.#slots[each & MASK];
      if (!slot) continue;
      this.#slots[each & MASK] = undefined;
      for (const id of slot) {
        // One that was brought forward stands in two slots.
        const due = when[id]!;
        if (due === NEVER || due > until) continue;
        when[id] = NEVER;
        found.push(id);
      }
    }
    // What is set meanwhile goes into slots that are empty by now.
    this.#earliest = this.#findEarliest();
    for (const id of found) due(id);
    found.length = 0;
  }

  #millisecondOf(at: number): number {
    const away = at - this.#origin - this.#served;
    const grain = away > NEAR ? COARSE : 1;
    const when = Math.ceil((at - this.#origin) / grain) * grain;
    return Math.min(Math.max(when, this.#served + 1), this.#served + MASK);
  }

  #findEarliest(): number {
    for (let each = this.#served + 1; each <= this.#served + MASK; each++) {
      if (this.#slots[each & MASK]) return each;
    }
    return Infinity;
  }

  #grow(id: number): void {
    const larger = new Int32Array(Math.max(2 * this.#when.length, id + 1)).fill(NEVER);
    larger.set(this.#when);
    this.#when = larger;
  }
}
