/** Looks each second whether others have undone what was set up, and sets it up again. */
import { SYSTEM_CLOCK, type Clock } from '../clock.js';
import { HOST } from '../policy.js';

/** A part of the host's set-up that others may undo. */
export interface HostPart extends AsyncDisposable {
  /**
   * Sets up what is missing: everything at first, hardly ever anything later.
   *
   * @returns what it did, in sentences
   * @throws {GuiseError} when a program or a right is missing
   */
  ensure(): Promise<readonly string[]>;
}

export class Upkeep implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #ended: Promise<unknown>;
  readonly #clock: Clock;

  /** @param warn is told what was missing, and what cannot be set up any more */
  constructor(parts: readonly HostPart[], warn: (sentence: string) => void, clock: Clock = SYSTEM_CLOCK) {
    this.#clock = clock;
    this.#ended = Promise.all(parts.map((part) => this.#keep(part, warn)));
  }

  /** Nothing is set up again once it has resolved. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#ended;
  }

  async #keep(part: HostPart, warn: (sentence: string) => void): Promise<void> {
    const { signal } = this.#controller;
    let failures = 0;
    const wait = (): number => (failures < HOST.keepFailures ? HOST.keepInterval : HOST.keepLongInterval);
    while (await this.#clock.wait(wait(), signal)) {
      try {
        for (const sentence of await part.ensure()) warn(sentence);
        failures = 0;
      } catch (error) {
        if (++failures === HOST.keepFailures) warn((error as Error).message);
      }
    }
  }
}
