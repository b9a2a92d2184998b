/** Which drops are worth a line in the log: a reason that somebody can do something about, when it is new or has grown. */
import { dropAdvice } from '../errors.js';
import { OBSERVE } from '../policy.js';

export class DropWatch {
  /** Counts when they were last told, by reason. */
  readonly #told = new Map<string, number>();

  /**
   * @param dropped counts by reason, which only grow
   * @returns a sentence for each reason that is new, or has grown tenfold since it was told
   */
  look(dropped: Readonly<Record<string, number>>): string[] {
    const sentences: string[] = [];
    for (const [reason, count] of Object.entries(dropped)) {
      const advice = dropAdvice(reason);
      const told = this.#told.get(reason) ?? 0;
      if (advice === undefined || count === told || count < told * OBSERVE.dropGrowth) continue;
      this.#told.set(reason, count);
      sentences.push(`${count} dropped (${reason}): ${advice}`);
    }
    return sentences;
  }
}
