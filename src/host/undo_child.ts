/**
 * A child shell that undoes what the kernel does not undo by itself, however this process ends: it waits for its
 * standard input to close, which SIGKILL of the parent does too.
 */
import { once } from 'node:events';
import { finish, start, unref, type Started } from './command.js';

export class UndoChild implements AsyncDisposable {
  readonly #child: Started;

  private constructor(child: Started) {
    this.#child = child;
  }

  /**
   * @param script what it does behind `read` is the undoing
   * @param args $1 and so on of the script
   * @throws {GuiseError} when a program or a right is missing
   */
  static async start(script: string, ...args: string[]): Promise<UndoChild> {
    // A process group of its own: Ctrl-C is for the parent.
    const guarded = `trap "" INT TERM HUP\nexec 2>/dev/null\n${script}`;
    const child = await start('/bin/sh', ['-c', guarded, 'guise', ...args], { detached: true });
    unref(child);
    return new UndoChild(child);
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
  [Symbol.asyncDispose](): Promise<void> {
    return finish(this.#child);
  }
}
