/**
 * A child shell that undoes what the kernel does not undo by itself, however this process ends: it waits for its
 * standard input to close, which SIGKILL of the parent does too.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';

export class Guard implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;

  /** @param args $1 and so on of the script */
  constructor(script: string, ...args: string[]) {
    // A process group of its own: Ctrl-C is for the parent.
    this.#child = spawn('/bin/sh', ['-c', `trap "" INT TERM HUP\n${script}`, 'guise', ...args], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    this.#child.stdin.on('error', () => {}); // a script may end by itself
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stdout]) (stream as unknown as { unref(): void }).unref();
  }

  write(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The first line that the script says, or '' when it ends without a word. */
  async answer(): Promise<string> {
    const said = once(this.#child.stdout, 'data').then(([data]) => (data as Buffer).toString().trim());
    return Promise.race([said, once(this.#child, 'close').then(() => '')]);
  }

  /** Lets the script go on behind its input, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.ref();
    this.#child.stdin.end();
    await ended;
  }
}
