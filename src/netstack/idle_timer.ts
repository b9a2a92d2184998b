import type { TcpEnd } from './tcp_end.js';

/** Says when nothing was read or written for so long. What happens meanwhile costs no timer. */
export class IdleTimer {
  readonly #end: TcpEnd;
  readonly #onIdle: () => void;
  #milliseconds = 0;
  #timer: NodeJS.Timeout | undefined;
  #due = Infinity;
  /** The silence that was told of: since then. */
  #told = -1;

  constructor(end: TcpEnd, onIdle: () => void) {
    this.#end = end;
    this.#onIdle = onIdle;
  }

  /** Undefined: it is off. */
  get milliseconds(): number | undefined {
    return this.#milliseconds === 0 ? undefined : this.#milliseconds;
  }

  /** The silence counts from now on; 0 switches it off. */
  set(milliseconds: number): void {
    const now = performance.now();
    this.#milliseconds = milliseconds;
    this.#end.touched = now;
    // One that is due sooner looks again then: http sets and clears it with each request.
    if (milliseconds === 0 || now + milliseconds >= this.#due) return;
    clearTimeout(this.#timer);
    this.#wait(milliseconds, now);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#milliseconds = 0;
  }

  #wait(milliseconds: number, now: number): void {
    if (milliseconds === Infinity) return;
    this.#due = now + milliseconds;
    this.#timer = setTimeout(() => this.#look(), Math.min(milliseconds, LONGEST)).unref();
  }

  #look(): void {
    this.#due = Infinity;
    if (this.#milliseconds === 0) return;
    const now = performance.now();
    const { touched } = this.#end;
    const left = touched + this.#milliseconds - now;
    this.#wait(left > 0 ? left : this.#milliseconds, now);
    if (left > 0 || touched === this.#told) return;
    this.#told = touched;
    this.#onIdle();
  }
}

/** setTimeout of Node takes no more. */
const LONGEST = 2 ** 31 - 1;
