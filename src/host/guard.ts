/**
 * A child shell that undoes what the kernel does not undo by itself, however this process ends: it waits for its
 * standard input to close, which SIGKILL of the parent does too.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { hasEnded, startChild, unref } from './child.js';

export class Guard implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
  }

  /**
   * @param args $1 and so on of the script
   * @throws {GuiseError} ERR_GUISE_SETUP when no shell can be started
   */
  static async start(script: string, ...args: string[]): Promise<Guard> {
    // A process group of its own: Ctrl-C is for the parent.
    const child = await startChild('/bin/sh', ['-c', `trap "" INT TERM HUP\nexec 2>/dev/null\n${script}`, 'guise', ...args], {
      detached: true,
    });
    child.stderr.resume();
    unref(child);
    return new Guard(child);
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
    if (hasEnded(this.#child)) return;
    const ended = once(this.#child, 'exit');
    this.#child.ref();
    this.#child.stdin.end();
    await ended;
  }
}
