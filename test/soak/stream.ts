/** What became of the datagrams of one flow in one direction. Times in milliseconds of one clock. */

/** A datagram that takes longer was held up by a fault. */
export const LATE = 200;

/** From when the first datagram that was lost or late was sent, to when one arrived again behind the last of them. */
export interface Gap {
  readonly from: number;
  readonly to: number;
}

export class Stream {
  reordered = 0;
  duplicated = 0;
  readonly #sentAt: number[] = [];
  /** 0 for what has not arrived. */
  readonly #arrivedAt: number[] = [];
  #highest = -1;

  get sent(): number {
    return this.#sentAt.length;
  }

  /** Takes the next sequence number. */
  send(now: number): number {
    this.#sentAt.push(now);
    this.#arrivedAt.push(0);
    return this.#sentAt.length - 1;
  }

  /** Whether it is newer than all that arrived before. */
  arrive(sequence: number, now: number): boolean {
    if (this.#arrivedAt[sequence] !== 0) {
      this.duplicated++;
      return false;
    }
    this.#arrivedAt[sequence] = now;
    const newer = sequence > this.#highest;
    if (newer) this.#highest = sequence;
    else this.reordered++;
    return newer;
  }

  /** Whether datagrams were sent from `since` to `until`, and all of them arrived in time. */
  calm(since: number, until: number): boolean {
    return this.#sentBefore(since) < this.#sentBefore(until) && this.gap(since, until) === undefined;
  }

  /** Undefined when all that was sent from `since` to `until` arrived in time. */
  gap(since: number, until: number): Gap | undefined {
    let gap: Gap | undefined;
    let next = Infinity;
    for (let i = this.sent - 1; i >= 0 && this.#sentAt[i]! >= since; i--) {
      const [sent, arrived] = [this.#sentAt[i]!, this.#arrivedAt[i]!];
      if (sent < until && (arrived === 0 || arrived - sent > LATE)) {
        gap = { from: sent, to: Math.max(gap?.to ?? 0, arrived === 0 ? next : arrived) };
      }
      if (arrived !== 0) next = arrived;
    }
    return gap;
  }

  /** When those were sent that never arrived. */
  *lost(): Generator<number> {
    for (const [i, arrived] of this.#arrivedAt.entries()) if (arrived === 0) yield this.#sentAt[i]!;
  }

  /** How many were sent before a time: by bisection. */
  #sentBefore(time: number): number {
    let [low, high] = [0, this.sent];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sentAt[middle]! < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
