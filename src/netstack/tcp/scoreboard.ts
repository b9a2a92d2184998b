/**
 * What is sent and not acknowledged (RFC 6675 §3), in runs: what left in one call is one entry, however many segments it
 * was cut into. SACK blocks and losses split runs at the segments' borders, so that there are never more runs than
 * segments under way.
 */
import type { RateStamp } from './congestion/delivery_rate.js';
import { atOrBefore, earlier, isAfter, isBefore, later } from './sequence.js';

/** Bits of a run's state. A run that is none of SACKED and LOST is in flight. */
export const SACKED = 1;
export const LOST = 2;
/** It was sent more than once: it tells no round trip (Karn). */
export const RESENT = 4;

export class Run implements RateStamp {
  start: number;
  end: number;
  /** Bytes of its segments but the last, as they left latest. */
  segmentSize: number;
  state = 0;
  /** Which transmission of the connection it was: of those that left in one millisecond, too, one was first. */
  order = 0;
  sentAt = 0;
  firstSentAt = 0;
  deliveredAt = 0;
  delivered = 0;
  isAppLimited = false;

  constructor(start: number, end: number, segmentSize: number) {
    this.start = start;
    this.end = end;
    this.segmentSize = segmentSize;
  }

  get size(): number {
    return (this.end - this.start) | 0;
  }
}

/** Is told of each run, or part of one, that has arrived for the first time. */
export type Arrived = (run: Run) => void;

export class Scoreboard {
  /** Those before `#head` are gone. */
  #runs: Run[] = [];
  #head = 0;
  /** Bytes of runs that are SACKED, and that are LOST. */
  sacked = 0;
  lost = 0;

  get isEmpty(): boolean {
    return this.#head === this.#runs.length;
  }

  get first(): Run | undefined {
    return this.#runs[this.#head];
  }

  get last(): Run | undefined {
    return this.#head < this.#runs.length ? this.#runs[this.#runs.length - 1] : undefined;
  }

  /** Calls `take` with each run, in the order of numbers, until it says false. */
  each(take: (run: Run) => boolean): void {
    for (let i = this.#head; i < this.#runs.length; ++i) if (!take(this.#runs[i]!)) return;
  }

  add(run: Run): void {
    this.#runs.push(run);
  }

  /** Everything before `ack` is acknowledged. */
  acknowledge(ack: number, arrived: Arrived): void {
    const runs = this.#runs;
    while (this.#head < runs.length) {
      const run = runs[this.#head]!;
      if (!isAfter(ack, run.start)) break;
      if (isBefore(ack, run.end)) this.#split(this.#head, ack);
      const part = runs[this.#head]!;
      if (part.state & SACKED) this.sacked -= part.size;
      else {
        if (part.state & LOST) this.lost -= part.size;
        arrived(part);
      }
      this.#head += 1;
    }
    if (this.#head === runs.length) {
      runs.length = this.#head = 0;
    } else if (this.#head >= 32 && this.#head * 2 > runs.length) {
      runs.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** A SACK block. Bytes of it that are new. */
  sack(start: number, end: number, arrived: Arrived): number {
    let fresh = 0;
    for (let i = this.#head; i < this.#runs.length; ++i) {
      let run = this.#runs[i]!;
      if (!isBefore(run.start, end)) break;
      if (atOrBefore(run.end, start) || run.state & SACKED) continue;
      // What is not whole segments was not acknowledged by an honest peer, and would split runs without end.
      const from = later(start, run.start);
      const before = run.start + Math.ceil(((from - run.start) | 0) / run.segmentSize) * run.segmentSize;
      const to = earlier(end, run.end);
      let until = to;
      if (to !== run.end)
        until = (run.start + Math.floor(((to - run.start) | 0) / run.segmentSize) * run.segmentSize) | 0;
      if (!isBefore(before | 0, until)) continue;
      if ((before | 0) !== run.start) {
        this.#split(i, before | 0);
        run = this.#runs[++i]!;
      }
      if (until !== run.end) this.#split(i, until);
      fresh += run.size;
      if (run.state & LOST) this.lost -= run.size;
      arrived(run);
      run.state = (run.state & ~LOST) | SACKED;
      this.sacked += run.size;
      i = this.#mergeSacked(i);
    }
    return fresh;
  }

  /** SACKED neighbours become one: there is nothing to know of them but that they arrived. The run's new place. */
  #mergeSacked(at: number): number {
    const runs = this.#runs;
    let place = at;
    const before = place > this.#head ? runs[place - 1] : undefined;
    if (before && before.state & SACKED) {
      before.end = runs[place]!.end;
      runs.splice(place, 1);
      place -= 1;
    }
    const next = runs[place + 1];
    if (next && next.state & SACKED) {
      runs[place]!.end = next.end;
      runs.splice(place + 1, 1);
    }
    return place;
  }

  lose(run: Run): void {
    if (run.state & (LOST | SACKED)) return;
    run.state |= LOST;
    this.lost += run.size;
  }

  /** The segments of a run up to `bytes` of it, 1 at least, are a run of their own from now on. */
  cut(run: Run, bytes: number): Run {
    const whole = Math.max(1, Math.floor(bytes / run.segmentSize)) * run.segmentSize;
    if (whole >= run.size) return run;
    const at = this.#runs.indexOf(run, this.#head);
    this.#split(at, (run.start + whole) | 0);
    return run;
  }

  /** The last segment of a run is a run of its own from now on, of at most `bytes`. */
  cutTail(run: Run, bytes: number): Run {
    if (run.size <= bytes) return run;
    const at = this.#runs.indexOf(run, this.#head);
    const tail = run.size % run.segmentSize || run.segmentSize;
    this.#split(at, (run.end - Math.min(tail, bytes)) | 0);
    return this.#runs[at + 1]!;
  }

  /** A lost run is in flight again. */
  resent(run: Run): void {
    if (run.state & LOST) this.lost -= run.size;
    run.state = (run.state & ~LOST) | RESENT;
  }

  /** The first run that is LOST. */
  get firstLost(): Run | undefined {
    if (this.lost === 0) return undefined;
    for (let i = this.#head; i < this.#runs.length; ++i) if (this.#runs[i]!.state & LOST) return this.#runs[i];
    return undefined;
  }

  /** Everything that is not SACKED is LOST. */
  loseAll(): void {
    for (let i = this.#head; i < this.#runs.length; ++i) this.lose(this.#runs[i]!);
  }

  /** What was taken for lost is in flight: it was only late. */
  findAll(): void {
    for (let i = this.#head; i < this.#runs.length; ++i) {
      const run = this.#runs[i]!;
      run.state &= ~LOST;
    }
    this.lost = 0;
  }

  /** The peer has dropped what it had SACKED (RFC 2018 §8). */
  forgetSacks(): void {
    for (let i = this.#head; i < this.#runs.length; ++i) {
      const run = this.#runs[i]!;
      run.state &= ~SACKED;
    }
    this.sacked = 0;
  }

  /** Makes two of the run at `at`: it ends at `seq`, and a new one behind it begins there. */
  #split(at: number, seq: number): void {
    const run = this.#runs[at]!;
    const rest = new Run(seq, run.end, run.segmentSize);
    rest.state = run.state;
    rest.order = run.order;
    rest.sentAt = run.sentAt;
    rest.firstSentAt = run.firstSentAt;
    rest.deliveredAt = run.deliveredAt;
    rest.delivered = run.delivered;
    rest.isAppLimited = run.isAppLimited;
    run.end = seq;
    this.#runs.splice(at + 1, 0, rest);
  }
}
