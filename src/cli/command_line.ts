/** From arguments and environment to the values of options, and the name by which each was given. */
import { readFileSync } from 'node:fs';
import type { Options } from 'yargs';
import yargs from 'yargs';
import { readEnvironment, type UnknownVariable } from '../config/environment.js';
import { yesNo } from '../config/kinds.js';
import { OPTIONS, type Option, type Role, type Schema } from '../config/schema.js';
import { usageError, type UsageError } from '../errors.js';

/** Where yargs would look for settings: else it asks for the working directory, which may have been deleted. */
const NO_FOLDER = '/';

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** One of the programs: how it is called, and what its help says beside the options. */
export interface Program {
  /** As the user called it: `guise-client`, `guise client`. */
  readonly name: string;
  readonly role: Role;
  /** `$0` stands for the name. */
  readonly usage: string;
  readonly example: readonly [command: string, what: string];
  readonly epilogue: string;
}

/** By option, the flag or variable by which the user gave it: `--mtu`, `--no-firewall`, GUISE_MTU. */
export type GivenNames = ReadonlyMap<string, string>;

export interface CommandLine {
  /** By option; for `settingsOf`. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly given: GivenNames;
  /** Variables that look like guise's and that no option has. */
  readonly unknownVariables: readonly UnknownVariable[];
}

/** What --help or --version asks for. */
export interface Answer {
  readonly answer: string;
}

/**
 * Flags go before the environment. Neither prints nor ends the process.
 *
 * @throws {UsageError}
 */
export function readCommandLine(
  program: Program,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
): CommandLine | Answer {
  const schema: Schema = OPTIONS[program.role];
  const parsed = parse(program, schema, args);
  if ('answer' in parsed) return parsed;
  const variables = readEnvironment(program.role, environment);
  const [extra] = parsed.flags['_'] as string[]; // behind --
  if (extra !== undefined) throw stray(program, extra);
  const values: Record<string, unknown> = { ...variables.values };
  const given = new Map(variables.names);
  for (const [option, { kind }] of Object.entries(schema)) {
    const value = parsed.flags[option];
    if (value === undefined) continue;
    if (value === false && kind !== yesNo) throw stray(program, `--no-${option}`);
    values[option] = value;
    given.set(option, value === false ? `--no-${option}` : `--${option}`);
    if (Array.isArray(value)) throw usageError('ERR_GUISE_OPTION_TWICE', { option, given: `--${option}` });
  }
  return { values, given, unknownVariables: variables.unknown };
}

/** `guise` alone: which program, and what is left of the arguments. */
export function readPart(args: readonly string[]): { role: Role; args: readonly string[] } | Answer {
  const [part, ...rest] = args;
  switch (part) {
    case 'client':
    case 'server':
      return { role: part, args: rest };
    case '--help':
    case '-h':
      return {
        answer:
          'guise client --local IP:PORT --remote HOST:PORT   where the applications are\n' +
          'guise server --local PORT --remote HOST:PORT      where their service is\n' +
          'guise netstack echo|forward|socks|nc              programs on a TCP/IP stack of their own\n\n' +
          'See `guise client --help`, `guise server --help` and `guise netstack --help`.',
      };
    case '--version':
    case '-V':
      return { answer: version };
    case undefined:
      throw usageError('ERR_GUISE_USAGE', { what: 'Say `guise client` or `guise server`', program: 'guise' });
    default:
      throw usageError('ERR_GUISE_PART', { part });
  }
}

/** Ends each help. */
const ENVIRONMENT =
  'Any flag can come from the environment: --idle-timeout 60 is GUISE_IDLE_TIMEOUT=60, ' +
  '--no-firewall is GUISE_NO_FIREWALL=yes.';

function parse(
  program: Program,
  schema: Schema,
  args: readonly string[],
): { readonly flags: Readonly<Record<string, unknown>> } | Answer {
  const { name, usage, example, epilogue } = program;
  let answer = '';
  const flags = yargs([], NO_FOLDER)
    .locale('en')
    .scriptName(name)
    .version(version)
    .alias('version', 'V')
    .alias('help', 'h')
    .options(Object.fromEntries(Object.entries(schema).map(([option, each]) => [option, flag(option, each)])))
    .usage(usage)
    .example(...example)
    .epilogue(`${epilogue}\n${ENVIRONMENT}`)
    .strict()
    .wrap(process.stdout.isTTY ? Math.min(110, process.stdout.columns) : 110)
    // What is a number and what is not says the schema.
    .parserConfiguration({ 'parse-numbers': false, 'camel-case-expansion': false, 'dot-notation': false })
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      const what = message ?? error?.message ?? '';
      throw usageError('ERR_GUISE_USAGE', { what, program: name }, error);
    })
    .parseSync(plainSwitches(args, schema), {}, (_error: unknown, _argv: unknown, output: string) => {
      answer = output;
    });
  return answer === '' ? { flags } : { answer };
}

function stray({ name }: Program, argument: string): UsageError {
  return usageError('ERR_GUISE_USAGE', { what: `Unknown argument: ${argument}`, program: name });
}

/** As yargs has it. No type but for yes or no: it would change what it does not understand. */
function flag(name: string, { kind, heading, help, alias, required, otherwise, ...option }: Option<unknown>): Options {
  const usual = 'default' in option ? kind.write(option.default) : otherwise;
  const off = option.default === true ? `; --no-${name} for no` : '';
  const form = [kind.form, ...(required ? ['required'] : [])].filter((each) => each !== '').join(', ');
  return {
    group: `${heading}:`,
    ...(alias === undefined ? {} : { alias }),
    ...(kind === yesNo ? { type: 'boolean' } : { requiresArg: true }),
    ...(usual === undefined ? {} : { defaultDescription: usual }),
    describe: `${help}${off}${form === '' ? '' : ` (${form})`}`,
  };
}

/**
 * Each switch as `--name` or `--no-name`, given once: yargs takes every word behind one for no, but for `true`, and the
 * last of two.
 */
function plainSwitches(args: readonly string[], schema: Schema): string[] {
  const plain: string[] = [];
  /** The values of switches, and how each was written. */
  const given = new Map<string, { value: boolean; name: string }>();
  const rest = [...args];
  for (let argument = rest.shift(); argument !== undefined; argument = rest.shift()) {
    if (argument === '--') return [...plain, argument, ...rest];
    const found = switchOf(argument, schema);
    if (!found) {
      plain.push(argument);
      continue;
    }
    const { option, negated, name, word = yesNo.read(rest[0]) === undefined ? 'yes' : rest.shift() } = found;
    const value = yesNo.read(word);
    if (value === undefined) {
      const { expected } = yesNo;
      throw usageError('ERR_GUISE_OPTION', { option, given: name, expected, found: JSON.stringify(word) });
    }
    const isOn = value !== negated;
    const before = given.get(option);
    if (before) {
      const code = before.value === isOn ? 'ERR_GUISE_OPTION_TWICE' : 'ERR_GUISE_OPTION_CONFLICT';
      throw usageError(code, { option, given: name, other: before.name });
    }
    given.set(option, { value: isOn, name });
    plain.push(isOn ? `--${option}` : `--no-${option}`);
  }
  return plain;
}

interface Switch {
  readonly option: string;
  readonly negated: boolean;
  /** As it was written. */
  readonly name: string;
  /** What stands behind its `=`. */
  readonly word: string | undefined;
}

function switchOf(argument: string, schema: Schema): Switch | undefined {
  const [, name, no, long, letter, word] = /^(--(no-)?([^=]+)|-([^-=]))(?:=(.*))?$/s.exec(argument) ?? [];
  const option = long ?? Object.keys(schema).find((each) => letter !== undefined && schema[each]!.alias === letter);
  if (option === undefined || !Object.hasOwn(schema, option) || schema[option]!.kind !== yesNo) return undefined;
  return { option, negated: no !== undefined, name: name!, word };
}
