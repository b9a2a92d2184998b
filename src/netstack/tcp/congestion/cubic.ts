/**
 * CUBIC (RFC 9438): behind a loss the window follows a cubic curve of time, not of round trips. It rises fast towards the
 * window at which the loss was (concave), rests there, and then seeks more (convex). Where Reno would be faster, it does
 * what Reno does.
 */
import type { AckSample } from './control.js';
import { HyStart } from './hystart.js';
import { LossBased } from './loss_based.js';

/** Segments a second cubed (RFC 9438 §5). */
const C = 0.4;
/** What is left of the window behind a loss (§4.6). */
const BETA = 0.7;
/** Segments a round trip with which AIMD reaches Reno's average although it gives up less (§4.3). */
const RENO_ALPHA = (3 * (1 - BETA)) / (1 + BETA);

export class Cubic extends LossBased {
  readonly name = 'cubic';
  private readonly hystart = new HyStart();
  /** Part of a byte that the window has grown beyond `window`. */
  private fraction = 0;
  /** W_max, bytes: the window at which the last loss was; 0: none is known, the curve begins flat where it is. */
  private plateau = 0;
  /** cwnd_prior, bytes: the window when it was lowered last. */
  private lowered = 0;

  // The epoch: congestion avoidance since the last loss.
  private inEpoch = false;
  private epochAt = 0;
  /** Where the curve is flat: K, in seconds from `epochAt`, and the bytes there. */
  private flatAfter = 0;
  private flatWindow = 0;
  /** W_est, bytes: what Reno would have. */
  private renoWindow = 0;

  /** Milliseconds: smoothed RTT (RFC 6298 §2), and when the ACK before this one came. */
  private smoothedRtt = 0;
  private lastAt = 0;

  private readonly prior = { plateau: 0, lowered: 0, inEpoch: false, epochAt: 0, flatAfter: 0, flatWindow: 0, reno: 0 };

  override acknowledged(sample: AckSample): void {
    if (sample.rtt > 0) {
      this.smoothedRtt += this.smoothedRtt === 0 ? sample.rtt : (sample.rtt - this.smoothedRtt) / 8;
    }
    super.acknowledged(sample);
    this.lastAt = sample.now;
  }

  /** The first slow start ends by delay; those behind a time-out or a silence have a threshold. */
  protected override slowStart(sample: AckSample): number {
    if (this.threshold !== Infinity) return super.slowStart(sample);
    this.grow(this.hystart.growth(sample, this.beginsRound));
    if (!this.hystart.isDone) return 0;
    this.threshold = this.window;
    return sample.delivered;
  }

  protected avoidCongestion(bytes: number, sample: AckSample): void {
    if (!this.inEpoch) this.beginEpoch(sample.now);
    const window = this.window;
    const share = bytes / window;
    const elapsed = (sample.now - this.epochAt) / 1000;
    const alpha = this.renoWindow < this.lowered ? RENO_ALPHA : 1;
    this.renoWindow += alpha * this.segmentSize * share;
    if (this.curve(elapsed) < this.renoWindow) {
      // §4.3 says: become W_est. Half of what is acknowledged bounds it where a silence has cut the window in between.
      this.grow(Math.min(Math.max(this.renoWindow - window - this.fraction, 0), bytes / 2));
      return;
    }
    // §4.2: towards where the curve is a round trip from now, at most half as much again.
    const target = this.curve(elapsed + this.smoothedRtt / 1000);
    this.grow((Math.min(Math.max(target, window), 1.5 * window) - window) * share);
  }

  protected reduce(used: number, isTimeout: boolean): number {
    this.save();
    // §4.7: a flow that does not reach its old window has met a new one, and makes room for it faster.
    this.plateau = used < this.plateau ? (used * (1 + BETA)) / 2 : used;
    // §4.8: behind a time-out the curve begins flat, where slow start ends.
    if (isTimeout) this.plateau = 0;
    this.lowered = used;
    this.inEpoch = false;
    this.fraction = 0;
    return used * BETA;
  }

  /** §4.9: what a late segment was taken for has not happened. */
  protected override restore(): void {
    const { prior } = this;
    this.plateau = prior.plateau;
    this.lowered = prior.lowered;
    this.inEpoch = prior.inEpoch;
    this.epochAt = prior.epochAt;
    this.flatAfter = prior.flatAfter;
    this.flatWindow = prior.flatWindow;
    this.renoWindow = prior.reno;
  }

  /** §4.2, §5.8: such time does not count, else the window would jump behind it. */
  protected override rested(now: number): void {
    this.epochAt += now - this.lastAt;
    this.lastAt = now;
  }

  private beginEpoch(now: number): void {
    this.inEpoch = true;
    this.epochAt = now;
    this.renoWindow = this.window;
    this.flatWindow = Math.max(this.plateau, this.window);
    this.flatAfter = Math.cbrt((this.flatWindow - this.window) / this.segmentSize / C);
  }

  /** W_cubic: bytes, `seconds` into the epoch. */
  private curve(seconds: number): number {
    const distance = seconds - this.flatAfter;
    return this.flatWindow + C * this.segmentSize * distance * distance * distance;
  }

  /** The window is whole bytes; what is less than one is kept for the next time. */
  private grow(bytes: number): void {
    this.fraction += bytes;
    const whole = Math.floor(this.fraction);
    this.fraction -= whole;
    this.window += whole;
  }

  private save(): void {
    const { prior } = this;
    prior.plateau = this.plateau;
    prior.lowered = this.lowered;
    prior.inEpoch = this.inEpoch;
    prior.epochAt = this.epochAt;
    prior.flatAfter = this.flatAfter;
    prior.flatWindow = this.flatWindow;
    prior.reno = this.renoWindow;
  }
}
