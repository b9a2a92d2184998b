/** From a command line to an exit code: 0 done, 1 failed, 2 wrong usage. Never a stack trace. */
import { setFlagsFromString } from 'node:v8';
import { GuiseError, UsageError } from '../errors.js';
import { endSignal } from './process.js';

/** Runs a program until it ends or a signal asks for it; a second signal ends it at once. */
export async function runProgram(program: (signal: AbortSignal) => Promise<void>): Promise<void> {
  // The heap stays small; without it V8 lets it grow tenfold while many connections are opened, and keeps that.
  setFlagsFromString('--optimize-for-size');
  const signal = endSignal();
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    await program(signal);
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): never {
  const known = error instanceof GuiseError;
  const sentence = error instanceof Error ? error.message : String(error);
  process.stderr.write(`guise: ${known ? '' : 'unexpected failure, please report it: '}${sentence}\n`);
  if (!known && process.env['GUISE_LOG_LEVEL'] === 'debug') process.stderr.write(`${(error as Error).stack}\n`);
  process.exit(error instanceof UsageError ? 2 : 1);
}
