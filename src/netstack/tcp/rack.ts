/** Loss by time: RACK (RFC 8985 §6). A segment is lost when one that was sent long enough behind it has arrived. */
import { LOST, RESENT, SACKED, type Run, type Scoreboard } from './scoreboard.js';
import { isAfter, isBefore } from './sequence.js';

/** Segments SACKED that mean a loss where nothing was ever reordered (RFC 5681 §3.2, RFC 8985 §6.2 step 4). */
export const DUPLICATES = 3;
/** Recoveries that a wider window for reordering outlasts (RFC 8985 §6.2 step 4). */
const PERSISTENCE = 16;

export class Rack {
  /** Round trip of the segment whose arrival was seen last. */
  rtt = 0;
  /** Segments by which one was overtaken, at the most; what duplicate ACKs allow for at first (RFC 5681 §3.2). */
  reordering = DUPLICATES;
  /** The transmission that left last of those that have arrived, and its end. */
  #order = 0;
  #end = 0;
  #started = false;
  /** The highest number that has arrived. */
  #forward = 0;
  #reordered = false;
  #multiplier = 1;
  #persist = PERSISTENCE;
  #widenedAt = 0;

  /**
   * A run has arrived for the first time.
   *
   * @param echo the time stamp that the ACK echoes lies before that of the retransmission: the first one has arrived
   */
  arrived(run: Run, now: number, leastRtt: number, echo: boolean): void {
    const resent = (run.state & RESENT) !== 0;
    if (!this.#started) {
      this.#started = true;
      this.#forward = run.start;
    }
    if (isAfter(run.end, this.#forward)) this.#forward = run.end;
    else if (!resent && isBefore(run.end, this.#forward)) {
      this.#reordered = true;
      const overtaken = Math.ceil(((this.#forward - run.start) | 0) / run.segmentSize);
      if (overtaken > this.reordering) this.reordering = overtaken;
    }
    const rtt = now - run.sentAt;
    if (resent && (echo || rtt < leastRtt)) return;
    // As in kernels in the order of numbers, not of time: what came late counts with all the time that it took.
    this.rtt = rtt;
    if (run.order > this.#order || (run.order === this.#order && isAfter(run.end, this.#end))) {
      this.#order = run.order;
      this.#end = run.end;
    }
  }

  /** A D-SACK: something was sent again for nothing, so the window for reordering was too small. */
  duplicate(next: number, una: number): void {
    if (this.#widenedAt !== 0 && isBefore(una, this.#widenedAt)) return;
    this.#multiplier = Math.min(this.#multiplier + 1, 64);
    this.#widenedAt = next;
    this.#persist = PERSISTENCE;
  }

  recovered(): void {
    if (this.#persist > 0) this.#persist -= 1;
    if (this.#persist === 0) this.#multiplier = 1;
  }

  /** Milliseconds that a segment may come late. */
  #window(sackedSegments: number, inRecovery: boolean, leastRtt: number, smoothed: number): number {
    if (!this.#reordered && (inRecovery || sackedSegments >= DUPLICATES)) return 0;
    return Math.min((this.#multiplier * leastRtt) / 4, smoothed);
  }

  /**
   * Marks what is lost.
   *
   * @returns milliseconds until more may be: 0 for none
   */
  detect(
    board: Scoreboard,
    now: number,
    sackedSegments: number,
    inRecovery: boolean,
    leastRtt: number,
    smoothed: number,
  ): number {
    if (!this.#started) return 0;
    const window = this.#window(sackedSegments, inRecovery, leastRtt, smoothed);
    let wait = 0;
    board.each((run) => {
      if (run.state & (SACKED | LOST)) return true;
      const sentBefore = run.order < this.#order || (run.order === this.#order && isBefore(run.end, this.#end));
      if (!sentBefore) return true;
      const left = run.sentAt + this.rtt + window - now;
      if (left <= 0) board.lose(run);
      else wait = Math.max(wait, left);
      return true;
    });
    return wait;
  }
}
