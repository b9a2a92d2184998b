/** Things in the order in which they were last used, at the same cost however many there are. */

/** What an `IdleList` writes into what is in it. */
export interface Idle<T> {
  /** Milliseconds. */
  touched: number;
  /** Neighbours: the one that was used before, and the one after. */
  earlier: T | undefined;
  later: T | undefined;
}

export class IdleList<T extends Idle<T>> {
  #oldest: T | undefined;
  #newest: T | undefined;

  /** The one that has not been used for longest. */
  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Adds one that was used now. */
  add(item: T, now: number): void {
    item.touched = now;
    item.earlier = this.#newest;
    item.later = undefined;
    if (this.#newest) this.#newest.later = item;
    else this.#oldest = item;
    this.#newest = item;
  }

  remove(item: T): void {
    if (item.earlier) item.earlier.later = item.later;
    else this.#oldest = item.later;
    if (item.later) item.later.earlier = item.earlier;
    else this.#newest = item.earlier;
    item.earlier = item.later = undefined;
  }

  /** One that is in the list is used now. */
  touch(item: T, now: number): void {
    if (item === this.#newest) {
      item.touched = now;
      return;
    }
    this.remove(item);
    this.add(item, now);
  }
}
