/**
 * Undoes what the kernel does not undo by itself, however this process ends: a child shell that waits for its standard
 * input to close, which SIGKILL of the parent does too.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

export class Janitor {
  #child: ChildProcess | undefined;

  /** Adds a shell command; the last added runs first. Quote its words with `quote`. */
  add(command: string): void {
    this.#child ??= this.#start();
    this.#child.stdin!.write(`${command}\n`);
  }

  /** Runs the commands and waits for their end. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const ended = child.exitCode === null ? once(child, 'exit') : undefined;
    child.ref();
    child.stdin!.end();
    await ended;
  }

  #start(): ChildProcess {
    // `tac` collects the lines until the end of input, and gives them out from the last.
    const child = spawn('/bin/sh', ['-c', 'trap "" INT TERM HUP; tac | sh 2>/dev/null'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    child.unref();
    (child.stdin as unknown as { unref(): void }).unref();
    return child;
  }
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
