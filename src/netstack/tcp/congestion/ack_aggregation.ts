/**
 * How far ACKs come in bursts (net/ipv4/tcp_bbr.c since 5.1, "extra acked"): links that gather frames, and receivers that
 * merge segments, acknowledge nothing for a while and then much. What came beyond the bandwidth's share is kept in flight
 * besides, so that the sender does not run dry meanwhile.
 */
import type { AckSample } from './control.js';

/** Rounds that each of two windows lasts: the greatest of the last 5 to 10 counts. */
const ROUNDS = 5;
/** Bytes no longer tell anything when an epoch has gone on for so many segments. */
const MOST_SEGMENTS = 2 ** 20;
/** Milliseconds of bandwidth at most. */
const MOST_TIME = 100;

export class AckAggregation {
  private current = 0;
  private prior = 0;
  private rounds = 0;
  private epochAt = 0;
  private epochBytes = 0;

  /** Bytes to keep in flight besides, at `bandwidth` bytes a millisecond. */
  extra(bandwidth: number): number {
    return Math.min(Math.max(this.current, this.prior), bandwidth * MOST_TIME);
  }

  /** The path has been silent: what comes next begins an epoch. */
  restart(now: number): void {
    this.epochAt = now;
    this.epochBytes = 0;
  }

  acknowledged(sample: AckSample, beginsRound: boolean, bandwidth: number, window: number, segmentSize: number): void {
    if (sample.delivered <= 0) return;
    if (beginsRound && ++this.rounds >= ROUNDS) {
      this.rounds = 0;
      this.prior = this.current;
      this.current = 0;
    }
    let expected = bandwidth * (sample.now - this.epochAt);
    // Slower than the bandwidth, or too long: bursts are measured from here on.
    if (this.epochBytes <= expected || this.epochBytes + sample.delivered >= MOST_SEGMENTS * segmentSize) {
      this.restart(sample.now);
      expected = 0;
    }
    this.epochBytes += sample.delivered;
    this.current = Math.max(this.current, Math.min(this.epochBytes - expected, window));
  }
}
