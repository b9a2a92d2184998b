/** How much leaves during a recovery: Proportional Rate Reduction (RFC 6937, RFC 9937). Bytes. */

export class ProportionalRate {
  #windowAtStart = 0;
  #delivered = 0;
  #sent = 0;

  /** `window`: the congestion window before the loss, as in kernels; RFC 6937's RecoverFS is what of it is under way. */
  begin(window: number): void {
    this.#windowAtStart = Math.max(1, window);
    this.#delivered = this.#sent = 0;
  }

  sent(bytes: number): void {
    this.#sent += bytes;
  }

  /**
   * The window that holds until the next ACK.
   *
   * @param delivered bytes that this ACK says have arrived
   * @param progress it moves SND.UNA, and finds no new loss: slow start back to the threshold is safe (RFC 6937 §3.1)
   * @param first nothing has been sent again yet: one segment leaves whatever the count says
   */
  window(
    inFlight: number,
    threshold: number,
    delivered: number,
    segmentSize: number,
    progress: boolean,
    first: boolean,
  ): number {
    this.#delivered += delivered;
    let more: number;
    if (inFlight > threshold) {
      more = Math.ceil((this.#delivered * threshold) / this.#windowAtStart) - this.#sent;
    } else {
      const limit = Math.max(this.#delivered - this.#sent, delivered) + (progress ? segmentSize : 0);
      more = Math.min(threshold - inFlight, limit);
    }
    return inFlight + Math.max(more, first ? segmentSize : 0, 0);
  }
}
