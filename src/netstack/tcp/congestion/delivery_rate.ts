/**
 * How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation). Each run of bytes that leaves is stamped with
 * what had been delivered by then; its acknowledgment tells how much was delivered since, and in what time.
 */
import type { AckSample } from './control.js';

/** The stamp of a run: bytes that were sent together. `onSend` fills it, also when the run is sent again. */
export interface RateStamp {
  /** Milliseconds at which it left. */
  sentAt: number;
  /** When the first byte left of the flight that it belongs to: what it sends within begins here. */
  firstSentAt: number;
  /** When the last delivery was heard of before it left. */
  deliveredAt: number;
  /** Bytes delivered over all when it left. */
  delivered: number;
  /** It left while the application gave less than the path would have taken. */
  isAppLimited: boolean;
}

export class DeliveryRate {
  /** Bytes delivered over all: acknowledged, or selectively acknowledged. */
  delivered = 0;
  private deliveredAt = 0;
  private firstSentAt = 0;
  /** The application is the limit until so many bytes are delivered; 0: it is not. */
  private appLimitedUntil = 0;

  // Of the ACK that is being worked on: what it delivered, and the stamp of the newest run among it.
  private bytes = 0;
  private newestSentAt = 0;
  private newestFirstSentAt = 0;
  private newestDeliveredAt = 0;
  private newestDelivered = 0;
  private newestIsAppLimited = false;

  /** A run leaves, for the first time or again. `inFlight`: bytes in flight before it. */
  onSend(run: RateStamp, now: number, inFlight: number): void {
    if (inFlight === 0) {
      // Behind a silence time begins anew, else the silence would count as time that it took to deliver.
      this.firstSentAt = now;
      this.deliveredAt = now;
    }
    run.sentAt = now;
    run.firstSentAt = this.firstSentAt;
    run.deliveredAt = this.deliveredAt;
    run.delivered = this.delivered;
    run.isAppLimited = this.appLimitedUntil > 0;
  }

  /** `bytes` of a run are acknowledged or selectively acknowledged, for the first time. A run may come in parts. */
  onDelivered(run: RateStamp, bytes: number, now: number): void {
    if (this.bytes === 0 || run.sentAt >= this.newestSentAt) {
      this.newestSentAt = run.sentAt;
      this.newestFirstSentAt = run.firstSentAt;
      this.newestDeliveredAt = run.deliveredAt;
      this.newestDelivered = run.delivered;
      this.newestIsAppLimited = run.isAppLimited;
      this.firstSentAt = run.sentAt;
    }
    this.bytes += bytes;
    this.delivered += bytes;
    this.deliveredAt = now;
  }

  /**
   * The ACK is worked through: fills `delivered`, `rate`, `isAppLimited`, `priorDelivered` and `totalDelivered` of the
   * sample. `leastRtt`: milliseconds, Infinity while none is known.
   */
  finish(sample: AckSample, now: number, leastRtt: number): void {
    sample.delivered = this.bytes;
    sample.totalDelivered = this.delivered;
    sample.priorDelivered = this.delivered;
    sample.rate = 0;
    sample.isAppLimited = false;
    if (this.appLimitedUntil > 0 && this.delivered > this.appLimitedUntil) this.appLimitedUntil = 0;
    if (this.bytes === 0) return;
    this.bytes = 0;
    sample.priorDelivered = this.newestDelivered;
    sample.isAppLimited = this.newestIsAppLimited;
    // The slower of sending and acknowledging: ACKs that the path has pressed together tell nothing.
    const interval = Math.max(this.newestSentAt - this.newestFirstSentAt, now - this.newestDeliveredAt);
    // Shorter than any round trip is wrong: an ACK of the first transmission was taken for the second's.
    if (interval <= 0 || (interval < leastRtt && leastRtt !== Infinity)) return;
    sample.rate = (this.delivered - this.newestDelivered) / interval;
  }

  /**
   * The application gives less than the path would take: the window has room, nothing waits to be sent, and nothing lost
   * waits to be sent again. `inFlight`: bytes.
   */
  markAppLimited(inFlight: number): void {
    this.appLimitedUntil = this.delivered + inFlight || 1;
  }
}
