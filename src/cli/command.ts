/** What every guise command line shares: version, environment, strictness, one sentence for what is wrong. */
import { readFileSync } from 'node:fs';
import type { Argv } from 'yargs';
import yargs from 'yargs';
import { GuiseError, UsageError } from '../errors.js';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** A parser that takes any flag from the environment too: --idle-timeout as GUISE_IDLE_TIMEOUT. */
export function command(name: string, args: readonly string[]): Argv {
  return yargs(args)
    .scriptName(name)
    .version(version)
    .alias('version', 'V')
    .alias('help', 'h')
    .env('GUISE')
    .strict()
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .fail((message: string | null, error) => {
      if (error instanceof GuiseError) throw error;
      const sentence = (message ?? error.message).replaceAll('\n', ' ');
      throw new UsageError(`${sentence} (see \`${name} --help\`)`);
    });
}
