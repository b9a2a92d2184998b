/** An error's sentence for somebody at a command line: with the flag that changes what is wrong. Pure. */
import { OPTIONS, type Schema } from '../config/schema.js';
import { GuiseError, UsageError } from '../errors.js';
import type { GivenNames } from './command_line.js';

/**
 * The sentence, and behind it the flag or variable by which the user gave the option that is wrong, if that is one. What
 * is on by default needs no flag to be wrong: for it, the flag that switches it off. A usage error names its flag itself.
 */
export function sentenceFor(error: unknown, given: GivenNames = new Map()): string {
  if (!(error instanceof GuiseError)) {
    return `unexpected failure, please report it: ${error instanceof Error ? error.message : String(error)}`;
  }
  const { message, option } = error;
  if (option === undefined || error instanceof UsageError) return message;
  if (isOnByDefault(option)) return `${message} To do without, add --no-${option}.`;
  const name = given.get(option);
  return name === undefined ? message : `${message} Change it with ${name}.`;
}

function isOnByDefault(option: string): boolean {
  return Object.values<Schema>(OPTIONS).some((schema) => schema[option]?.default === true);
}
