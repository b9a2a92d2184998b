/** Time, as far as policy needs it: what waits is given a clock, so that a test can turn it. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number;
  /**
   * Waits, and keeps no process alive.
   *
   * @returns whether the time is over: false when the signal has aborted before
   */
  wait(milliseconds: number, signal?: AbortSignal): Promise<boolean>;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  wait: (milliseconds, signal) =>
    delay(milliseconds, true, { ref: false, ...(signal ? { signal } : {}) }).catch(() => false),
};
