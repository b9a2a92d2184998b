/** The round trip, and the retransmission time-out that follows from it (RFC 6298). Milliseconds. */

/** RFC 6298 §2.1 for the first; the others are the kernel's TCP_RTO_MIN and TCP_RTO_MAX (include/net/tcp.h). */
export const INITIAL_RTO = 1000;
export const LEAST_RTO = 200;
export const MOST_RTO = 120_000;
/** How long a least round trip counts: routes change. The kernel's tcp_min_rtt_wlen. */
const LEAST_FOR = 300_000;

export class RoundTrip {
  /** 0 until the first sample. */
  smoothed = 0;
  variance = 0;
  latest = 0;
  /** The least of the last five minutes; Infinity until the first sample. */
  least = Infinity;
  #leastAt = 0;

  sample(rtt: number, now: number): void {
    this.latest = rtt;
    if (rtt <= this.least || now - this.#leastAt > LEAST_FOR) {
      this.least = rtt;
      this.#leastAt = now;
    }
    if (this.smoothed === 0) {
      this.smoothed = Math.max(rtt, 0.001);
      this.variance = rtt / 2;
    } else {
      this.variance += (Math.abs(this.smoothed - rtt) - this.variance) / 4;
      this.smoothed += (rtt - this.smoothed) / 8;
    }
  }

  /** RTO before any back-off. As in kernels it is the variation that has a least, not the sum. */
  get timeout(): number {
    if (this.smoothed === 0) return INITIAL_RTO;
    return Math.min(MOST_RTO, this.smoothed + Math.max(LEAST_RTO, 4 * this.variance));
  }
}
