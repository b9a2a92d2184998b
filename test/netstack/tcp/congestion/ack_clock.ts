/** ACKs of a path that loses nothing and has no queue, one after the other, for a control alone. */
import { AckSample, type CongestionControl } from '../../../../src/netstack/tcp/congestion/control.js';

export const MSS = 1000;

export class AckClock {
  now = 0;
  readonly control: CongestionControl;
  readonly rtt: number;
  readonly sample = new AckSample();
  #delivered = 0;

  /** `rtt`: milliseconds. */
  constructor(control: CongestionControl, rtt: number) {
    this.control = control;
    this.rtt = rtt;
  }

  /** One ACK of `bytes`, `after` milliseconds behind the last, with a flight of the window's size before it. */
  ack(bytes: number, after: number, told: Partial<AckSample> = {}): void {
    const { control, sample } = this;
    const flight = told.priorInFlight ?? Math.max(Math.floor(control.window / MSS) * MSS, bytes);
    this.now += after;
    this.#delivered += bytes;
    Object.assign(sample, new AckSample(), {
      now: this.now,
      delivered: bytes,
      acknowledged: bytes,
      priorInFlight: flight,
      inFlight: flight - bytes,
      rtt: this.rtt,
      rate: flight / this.rtt,
      priorDelivered: Math.max(this.#delivered - flight, 0),
      totalDelivered: this.#delivered,
      isWindowLimited: true,
      ...told,
    });
    control.acknowledged(sample);
  }

  /** A round trip: what the window held is acknowledged, in pieces of `piece` bytes. */
  round(piece = MSS, told: Partial<AckSample> = {}): void {
    const flight = Math.floor((told.priorInFlight ?? this.control.window) / MSS) * MSS;
    const end = this.now + this.rtt;
    for (let left = flight; left > 0; left -= piece) {
      const bytes = Math.min(piece, left);
      this.ack(bytes, (this.rtt * bytes) / flight, { priorInFlight: flight, ...told });
    }
    this.now = end;
  }

  /** Rounds until `now` is at least `until`. */
  runUntil(until: number, piece = MSS): void {
    while (this.now < until) this.round(piece);
  }
}
