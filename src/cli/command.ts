/** What every guise command line shares: version, environment, strictness, one sentence for what is wrong. */
import { readFileSync } from 'node:fs';
import type { Argv, InferredOptionTypes, Options } from 'yargs';
import yargs from 'yargs';
import { GuiseError, usageError } from '../errors.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

type Flags = Readonly<Record<string, Options>>;

/** A parser of these flags that takes any of them from the environment too: --idle-timeout as GUISE_IDLE_TIMEOUT. */
export function command<F extends Flags>(
  name: string,
  args: readonly string[],
  flags: F,
): Argv<InferredOptionTypes<F>> {
  return yargs(args)
    .scriptName(name)
    .version(version)
    .alias('version', 'V')
    .alias('help', 'h')
    .options(flags)
    .config(fromEnvironment(flags))
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .fail((message: string | null, error) => {
      if (error instanceof GuiseError) throw error;
      throw usageError('ERR_GUISE_USAGE', { what: (message ?? error.message).replaceAll('\n', ' '), program: name });
    });
}

/** Not yargs' own `.env()`: that takes a variable of some other program's for a flag that it does not know. */
function fromEnvironment(flags: Flags): Record<string, string> {
  const found: Record<string, string> = {};
  for (const flag of Object.keys(flags)) {
    const value = process.env[`GUISE_${flag.toUpperCase().replaceAll('-', '_')}`];
    if (value !== undefined) found[flag] = value;
  }
  return found;
}
