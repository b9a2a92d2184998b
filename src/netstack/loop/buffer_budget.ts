/** Bytes that all receive buffers together may be, beyond what each has at first: one connection's are another's loss. */
export class BufferBudget {
  readonly #most: number;
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Takes as many bytes as there are of those that are asked for; one gets no more than an eighth of what is left. */
  take(bytes: number): number {
    const given = Math.min(bytes, Math.floor((this.#most - this.#taken) / 8));
    this.#taken += given;
    return given;
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
  }
}
