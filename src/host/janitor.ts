/** Runs shell commands when it is disposed, or when this process dies. */
import { Guard } from './guard.js';

export class Janitor implements AsyncDisposable {
  #guard: Guard | undefined;

  /**
   * Adds a shell command; the last added runs first. Quote its words with `quote`.
   *
   * @throws {GuiseError} when a program or a right is missing
   */
  async add(command: string): Promise<void> {
    // `tac` collects the lines until the end of input, and gives them out from the last.
    this.#guard ??= await Guard.start('tac | sh >/dev/null');
    this.#guard.write(command);
  }

  /** Runs the commands and waits for their end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guard?.[Symbol.asyncDispose]();
  }
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
