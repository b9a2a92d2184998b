/** A clock that a test turns. */
import type { Clock } from '../../src/clock.js';

export class ManualClock implements Clock {
  readonly #waiting = new Set<{ readonly at: number; readonly end: (over: boolean) => void }>();
  #now = 1000;

  now(): number {
    return this.#now;
  }

  wait(milliseconds: number, signal?: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (over: boolean): void => {
        this.#waiting.delete(each);
        signal?.removeEventListener('abort', give);
        resolve(over);
      };
      const give = (): void => end(false);
      const each = { at: this.#now + milliseconds, end };
      if (signal?.aborted) return give();
      this.#waiting.add(each);
      signal?.addEventListener('abort', give);
    });
  }

  /** Milliseconds until each of those who wait, the next one first. */
  get waits(): number[] {
    return Array.from(this.#waiting, ({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Lets time pass. Who waits goes on in the order of time, and gets as far as it can before the next one does. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds;
    await settled();
    for (;;) {
      const [next] = [...this.#waiting].sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.#now = next.at;
      next.end(true);
      await settled();
    }
    this.#now = end;
  }
}

/** Resolves when all promises that can settle without I/O or time have. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
