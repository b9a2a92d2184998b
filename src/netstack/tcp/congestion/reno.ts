/** Reno (RFC 5681): one segment more a round trip, half of it behind a loss. */
import { LossBased } from './loss_based.js';

export class Reno extends LossBased {
  readonly name = 'reno';
  /** Bytes acknowledged that have not brought a segment yet (RFC 3465 §2.1). */
  private credit = 0;

  protected avoidCongestion(bytes: number): void {
    this.credit += bytes;
    if (this.credit < this.window) return;
    const segments = Math.floor(this.credit / this.window);
    this.credit -= segments * this.window;
    this.window += segments * this.segmentSize;
  }

  protected reduce(used: number): number {
    this.credit = 0;
    return used / 2;
  }
}
