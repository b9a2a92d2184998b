/**
 * Standard error, where the log goes. Whoever reads it may stop: a terminal with Ctrl-S, a collector that hangs. Nothing
 * waits for them: lines wait, as many as there is room for; those after them are left out and counted.
 */
import { constants, fstatSync, openSync } from 'node:fs';
import { constants as system } from 'node:os';
import { isatty } from 'node:tty';
import { writeNow } from '../native/process.js';
import { OBSERVE } from '../policy.js';

/** What is to be written, and how many lines of the log are lost with it. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly lines: number;
}

export class LogOutput {
  /** Writes the line, with its end, that says how many were left out. */
  sayLeftOut: (lines: number) => string = (lines) => `guise: ${lines} lines left out\n`;
  readonly #fd: number;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #leftOut = 0;
  #retry: NodeJS.Timeout | undefined;

  constructor(fd: number) {
    this.#fd = ownDescriptor(fd);
  }

  /** Writes a line, with its end, or has it wait. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waiting.length === 0) this.#putLeftOut();
    // Those that are left out are told in their place: what comes behind them waits for that.
    if (this.#leftOut > 0 || this.#waitingBytes + bytes.length > OBSERVE.logQueueBytes) this.#leftOut++;
    else this.#put({ bytes, lines: 1 });
    if (this.#retry === undefined) this.#send();
  }

  /** Waits up to `milliseconds` until what waits is taken. */
  flush(milliseconds: number): void {
    this.#send(performance.now() + milliseconds);
  }

  #put(what: Waiting): void {
    this.#waiting.push(what);
    this.#waitingBytes += what.bytes.length;
  }

  #putLeftOut(): void {
    const lines = this.#leftOut;
    this.#leftOut = 0;
    if (lines > 0) this.#put({ bytes: Buffer.from(this.sayLeftOut(lines)), lines });
  }

  /** Sends what waits until no more is taken, and then again later; waits for that until `end`. */
  #send(end = 0): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const { bytes, lines } = first;
      const patience = Math.max(0, Math.ceil(end - performance.now()));
      const written = writeNow(this.#fd, bytes, patience);
      if (written === -system.errno.EAGAIN) return this.#sendLater();
      if (written < 0) this.#leftOut += lines; // nobody will read it any more, or a disk is full
      const taken = written < 0 ? bytes.length : written;
      this.#waitingBytes -= taken;
      if (taken < bytes.length) this.#waiting[0] = { bytes: bytes.subarray(taken), lines };
      else this.#waiting.shift();
      if (this.#waiting.length === 0 && written >= 0) this.#putLeftOut();
    }
  }

  #sendLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#send();
    }, OBSERVE.logRetry).unref();
  }
}

let output: LogOutput | undefined;

/** The one of this process. */
export function standardError(): LogOutput {
  output ??= new LogOutput(2);
  return output;
}

/**
 * A descriptor of our own for a pipe or a terminal, which never blocks. A socket is asked not to, each time; where there
 * is none to be had, as of another user's terminal, that there is room is asked before.
 */
function ownDescriptor(fd: number): number {
  try {
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return fd;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd;
  }
}
