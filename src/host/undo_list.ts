/** Shell commands that undo changes of the host: they run when the list is disposed, or when this process dies. */
import { UndoChild } from './undo_child.js';

export class UndoList implements AsyncDisposable {
  #child: UndoChild | undefined;

  /**
   * Adds a shell command; the last added runs first. Quote its words with `quote`.
   *
   * @throws {GuiseError} when a program or a right is missing
   */
  async add(command: string): Promise<void> {
    // `tac` collects the lines until the end of input, and gives them out from the last.
    this.#child ??= await UndoChild.start('tac | sh >/dev/null');
    this.#child.write(command);
  }

  /** Runs the commands and waits for their end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child?.[Symbol.asyncDispose]();
  }
}

export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
