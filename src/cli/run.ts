/** From a command line to an exit code: 0 done, 1 failed, 2 wrong usage. Never a stack trace. */
import { setFlagsFromString } from 'node:v8';
import { endProcess, endSignal } from '../daemon/process.js';
import { GuiseError, UsageError } from '../errors.js';
import { standardError } from '../observe/log_output.js';
import { sentenceFor } from './flag_advice.js';
import type { ProgramOptions } from './options.js';

/**
 * Runs a program until it ends or a signal asks for it; a second signal ends it at once.
 *
 * @param read reads the command line
 */
export async function runProgram<O extends ProgramOptions>(
  read: (signal: AbortSignal) => O,
  run: (options: O) => Promise<void>,
): Promise<void> {
  // The heap stays small; without it V8 lets it grow tenfold while many connections are opened, and keeps that.
  setFlagsFromString('--optimize-for-size');
  const signal = endSignal();
  let options: O | undefined;
  const failed = (error: unknown): never => fail(error, options);
  process.on('uncaughtException', failed);
  process.on('unhandledRejection', failed);
  try {
    options = read(signal);
    await run(options);
    endProcess(0);
  } catch (error) {
    failed(error);
  }
}

function fail(error: unknown, options: ProgramOptions | undefined): never {
  const output = standardError();
  output.write(`guise: ${sentenceFor(error, options?.given)}\n`);
  const known = error instanceof GuiseError;
  if (!known && options?.log.isLevelEnabled('debug')) output.write(`${(error as Error).stack}\n`);
  endProcess(error instanceof UsageError ? 2 : 1);
}
