/**
 * HyStart++ (RFC 9406): the end of the first slow start, before the queue overflows. When a round's least RTT is clearly
 * above that of the round before, a queue grows: growth slows down to a quarter. If the RTT falls again, it was chance.
 * Slow start is over when it rises clearly once more, or has not fallen for some rounds.
 *
 * A round's least RTT tells of a queue a round late, and in a round the window doubles. So the sign of the first HyStart
 * that Linux has kept (net/ipv4/tcp_cubic.c) counts as well: ACKs that come without a break for half of an RTT say that
 * what is in flight fills the path for that long.
 */
import type { AckSample } from './control.js';

// RFC 9406 §4.3.
const LEAST_RISE = 4; // ms
const MOST_RISE = 16; // ms
const RISE_DIVISOR = 8;
const SAMPLES = 8;
const CONSERVATIVE_DIVISOR = 4;
const CONSERVATIVE_ROUNDS = 5;
/** Milliseconds between ACKs that are a break. */
const TRAIN_BREAK = 2;

export class HyStart {
  /** Slow start is over. */
  isDone = false;
  /** Least RTT of the round before, of this one, and of all; milliseconds. */
  private priorLeast = Infinity;
  private least = Infinity;
  private shortest = Infinity;
  private samples = 0;
  /** When the round began, and the last of its ACKs that have come without a break. */
  private roundAt = 0;
  private trainAt = 0;
  /** In conservative slow start: the least RTT that led there, 0 when it was none, and rounds that are left. */
  private baseline = 0;
  private roundsLeft = 0;

  get isConservative(): boolean {
    return this.roundsLeft > 0;
  }

  /** Bytes by which the window grows for an ACK. */
  growth(sample: AckSample, beginsRound: boolean): number {
    if (beginsRound) this.nextRound(sample.now);
    if (this.isDone) return 0;
    if (sample.rtt > 0) this.watch(sample.rtt);
    if (!this.isConservative) this.watchTrain(sample.now);
    return this.isConservative ? sample.delivered / CONSERVATIVE_DIVISOR : sample.delivered;
  }

  private nextRound(now: number): void {
    this.priorLeast = this.least;
    this.least = Infinity;
    this.samples = 0;
    this.roundAt = this.trainAt = now;
    if (this.isConservative && --this.roundsLeft === 0) this.isDone = true;
  }

  private watch(rtt: number): void {
    this.least = Math.min(this.least, rtt);
    this.shortest = Math.min(this.shortest, rtt);
    if (++this.samples < SAMPLES) return;
    const hasRisen = this.least >= this.priorLeast + riseFrom(this.priorLeast);
    if (!this.isConservative) {
      if (hasRisen) this.slowDown(this.least);
    } else if (this.least < this.baseline) {
      this.roundsLeft = 0;
    } else if (hasRisen && this.least >= this.baseline + riseFrom(this.baseline)) {
      // The RFC has five rounds at most. The queue is certain now, and would be three times as long by then.
      this.isDone = true;
    }
  }

  private watchTrain(now: number): void {
    if (now - this.trainAt > TRAIN_BREAK) return;
    this.trainAt = now;
    if (now - this.roundAt >= Math.max(this.shortest / 2, LEAST_RISE)) this.slowDown(0);
  }

  private slowDown(baseline: number): void {
    this.baseline = baseline;
    this.roundsLeft = CONSERVATIVE_ROUNDS;
  }
}

/** What is more than chance: milliseconds. */
function riseFrom(rtt: number): number {
  return Math.max(LEAST_RISE, Math.min(rtt / RISE_DIVISOR, MOST_RISE));
}
