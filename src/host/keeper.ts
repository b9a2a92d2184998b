/** Looks each second whether others have undone what was set up, and sets it up again. */
import { setTimeout as delay } from 'node:timers/promises';
import { HOST } from '../policy.js';

/** A part of the host's set-up that others may undo. */
export interface Kept extends AsyncDisposable {
  /**
   * Sets up what is missing: everything at first, hardly ever anything later.
   *
   * @returns what it did, in sentences
   * @throws {GuiseError} when a program or a right is missing
   */
  ensure(): Promise<readonly string[]>;
}

export class Keeper implements AsyncDisposable {
  readonly #controller = new AbortController();
  readonly #ended: Promise<unknown>;

  /** @param warn is told what was missing, and what cannot be set up any more */
  constructor(parts: readonly Kept[], warn: (sentence: string) => void) {
    this.#ended = Promise.all(parts.map((part) => this.#keep(part, warn)));
  }

  /** Nothing is set up again once it has resolved. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#ended;
  }

  async #keep(part: Kept, warn: (sentence: string) => void): Promise<void> {
    const { signal } = this.#controller;
    let failures = 0;
    const wait = (): number => (failures < HOST.keepFailures ? HOST.keepInterval : HOST.keepLongInterval);
    while (await delay(wait(), true, { signal, ref: false }).catch(() => false)) {
      try {
        for (const sentence of await part.ensure()) warn(sentence);
        failures = 0;
      } catch (error) {
        if (++failures === HOST.keepFailures) warn((error as Error).message);
      }
    }
  }
}
