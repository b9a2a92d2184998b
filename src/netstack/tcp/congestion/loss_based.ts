/**
 * What controls that answer to loss have in common: slow start, one reduction a loss, time-outs, undo, and a restart
 * behind silence (RFC 5681). How the window grows once slow start is over, and what is left of it behind a loss, is up to
 * each.
 */
import type { AckSample, CongestionControl } from './control.js';
import { initialWindow, MOST_WINDOW } from './window.js';

export abstract class LossBased implements CongestionControl {
  abstract readonly name: string;
  readonly ownsRecovery = false;
  readonly pacingRate = Infinity;
  window: number;
  threshold = Infinity;

  protected segmentSize: number;
  /** This ACK is the first of a round: it acknowledges something that was sent behind the first ACK of the one before. */
  protected beginsRound = false;
  /** The round ends when something is acknowledged that was sent behind so many delivered bytes. */
  private roundEnd = 0;
  /** Most bytes in flight in this round, and in the one before. */
  private peak = 0;
  private priorPeak = 0;

  private hasAcknowledged = false;
  private inRecovery = false;
  /** A time-out, and nothing was acknowledged since. */
  private waitsBehindTimeout = false;
  // What `undo` brings back; 0: nothing.
  private priorWindow = 0;
  private priorThreshold = 0;

  /** `segmentSize`: bytes of payload of a full segment. */
  constructor(segmentSize: number) {
    this.segmentSize = segmentSize;
    this.window = initialWindow(segmentSize);
  }

  /** Out of slow start: grows `window` for `bytes` that were acknowledged. */
  protected abstract avoidCongestion(bytes: number, sample: AckSample): void;
  /** What is to be left of `used` bytes of window behind a loss or a time-out. */
  protected abstract reduce(used: number, isTimeout: boolean): number;
  /** Up to now the window was not what held the sender: it has not grown for that long. */
  protected rested?(now: number): void;
  /** The last `reduce` is undone. */
  protected restore?(): void;

  setSegmentSize(bytes: number): void {
    const isFresh = !this.hasAcknowledged && this.window === initialWindow(this.segmentSize);
    this.segmentSize = bytes;
    this.window = isFresh ? initialWindow(bytes) : Math.max(this.window, bytes);
    this.threshold = Math.max(this.threshold, 2 * bytes);
  }

  acknowledged(sample: AckSample): void {
    this.followRound(sample);
    // As in Linux, ACKs that only tell of segments behind a hole grow nothing: the hole may be a loss.
    if (sample.acknowledged <= 0) return;
    this.hasAcknowledged = true;
    this.waitsBehindTimeout = false;
    if (sample.inRecovery || sample.delivered <= 0) return;
    const inSlowStart = this.window < this.threshold;
    // Slow start may double what has been in flight: a burst shorter than the window is no reason to stay small.
    const mayGrow = sample.isWindowLimited || (inSlowStart && this.window < 2 * Math.max(this.peak, this.priorPeak));
    if (!mayGrow) {
      this.rested?.(sample.now);
      return;
    }
    const left = inSlowStart ? this.slowStart(sample) : sample.delivered;
    if (left > 0) this.avoidCongestion(left, sample);
    if (this.window > MOST_WINDOW) this.window = MOST_WINDOW;
  }

  /**
   * Grows by what was acknowledged, up to the threshold (RFC 5681 §3.1 with RFC 3465's byte counting); the bytes that are
   * left for congestion avoidance. No limit an ACK: RFC 3465's two segments are for receivers that acknowledge every
   * second one, and those that merge segments acknowledge 45 at once. Bytes count once, when they are delivered, so that
   * the ACK that closes a hole does not bring them again.
   */
  protected slowStart({ delivered }: AckSample): number {
    const window = Math.min(this.window + delivered, this.threshold);
    const left = delivered - (window - this.window);
    this.window = window;
    return left;
  }

  lossFound(): void {
    this.lower(false);
    this.inRecovery = true;
  }

  recovered(): void {
    // Behind a time-out the window is in slow start, and stays there.
    if (this.inRecovery) this.window = this.threshold;
    this.inRecovery = false;
  }

  timedOut(): void {
    // One loss lowers the threshold once, however often its time runs out (RFC 5681 §3.1).
    if (!this.inRecovery && !this.waitsBehindTimeout) this.lower(true);
    this.window = this.segmentSize;
    this.inRecovery = false;
    this.waitsBehindTimeout = true;
  }

  undo(): void {
    if (this.priorWindow === 0) return;
    this.window = Math.max(this.window, this.priorWindow);
    this.threshold = Math.max(this.threshold, this.priorThreshold);
    this.priorWindow = this.priorThreshold = 0;
    this.inRecovery = this.waitsBehindTimeout = false;
    this.restore?.();
  }

  /** The restart window of RFC 5681 §4.1. What the path took is kept as threshold, as in Linux (RFC 2861 §3.2). */
  idleEnded(now: number): void {
    this.threshold = Math.max(this.threshold, Math.floor(this.window * 0.75));
    this.window = Math.min(this.window, initialWindow(this.segmentSize));
    this.rested?.(now);
  }

  private lower(isTimeout: boolean): void {
    this.priorWindow = this.window;
    this.priorThreshold = this.threshold;
    this.threshold = Math.max(Math.floor(this.reduce(this.used(), isTimeout)), 2 * this.segmentSize);
  }

  /**
   * The part of the window that was in use: RFC 5681's FlightSize. The most of two rounds stands for it, because by the
   * time a loss is found much of the flight has arrived. A window that never was larger than the initial one counts whole.
   */
  private used(): number {
    const flight = Math.max(this.peak, this.priorPeak) + this.segmentSize;
    return Math.min(this.window, Math.max(flight, initialWindow(this.segmentSize)));
  }

  private followRound(sample: AckSample): void {
    this.beginsRound = sample.delivered > 0 && sample.priorDelivered >= this.roundEnd;
    if (this.beginsRound) {
      this.roundEnd = sample.totalDelivered;
      this.priorPeak = this.peak;
      this.peak = 0;
    }
    if (sample.priorInFlight > this.peak) this.peak = sample.priorInFlight;
  }
}
