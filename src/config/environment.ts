/** Options from the environment: --idle-timeout is GUISE_IDLE_TIMEOUT there, --no-firewall GUISE_NO_FIREWALL. Pure. */
import { distance } from 'fastest-levenshtein';
import { usageError } from '../errors.js';
import { yesNo } from './kinds.js';
import { OPTIONS, type Role, type Schema } from './schema.js';

const PREFIX = 'GUISE_';

export interface UnknownVariable {
  readonly name: string;
  /** The variable that was meant, maybe. */
  readonly nearest: string | undefined;
}

export interface Variables {
  /** By option. */
  readonly values: Readonly<Record<string, unknown>>;
  /** The variable that gave it, by option. */
  readonly names: ReadonlyMap<string, string>;
  /** Variables of guise's, by their prefix, that no option has: a typing error, or somebody else's. */
  readonly unknown: readonly UnknownVariable[];
}

/**
 * Takes what options of this role there are; an empty variable counts as none, as does one of the other role's: two
 * programs may share an environment.
 *
 * @throws {UsageError} when a variable contradicts another, or is neither yes nor no where that matters
 */
export function readEnvironment(role: Role, environment: NodeJS.ProcessEnv): Variables {
  const values: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const unknown: UnknownVariable[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || text === undefined || text === '') continue;
    const found = meaning(variable);
    if (found === undefined) unknown.push({ name: variable, nearest: nearestTo(variable) });
    if (found === undefined || !Object.hasOwn(OPTIONS[role], found.option)) continue;
    const { option, negated } = found;
    const other = names.get(option);
    if (other !== undefined) throw usageError('ERR_GUISE_OPTION_CONFLICT', { option, given: variable, other });
    values[option] = negated ? opposite(option, variable, text) : text;
    names.set(option, variable);
  }
  return { values, names, unknown };
}

/** The option that a variable is about, of whichever role. */
function meaning(variable: string): { option: string; negated: boolean } | undefined {
  const name = variable.slice(PREFIX.length);
  const option = name.toLowerCase().replaceAll('_', '-');
  if (name !== name.toUpperCase()) return undefined;
  if (isOption(option)) return { option, negated: false };
  const positive = option.replace(/^no-/, '');
  return positive !== option && isYesNo(positive) ? { option: positive, negated: true } : undefined;
}

/** Of all variables that there are the one that is most like it, unless half of it would have to be changed. */
function nearestTo(variable: string): string | undefined {
  const name = variable.slice(PREFIX.length).toUpperCase();
  const known = Object.values<Schema>(OPTIONS).flatMap((schema) =>
    Object.keys(schema).flatMap((option) => [option, ...(isYesNo(option) ? [`no-${option}`] : [])]),
  );
  const changes = (option: string): number => distance(name, written(option));
  const nearest = known.reduce((best, each) => (changes(each) < changes(best) ? each : best));
  return changes(nearest) <= name.length / 2 ? `${PREFIX}${written(nearest)}` : undefined;
}

function written(option: string): string {
  return option.toUpperCase().replaceAll('-', '_');
}

function opposite(option: string, given: string, text: string): boolean {
  const value = yesNo.read(text);
  if (value === undefined) {
    throw usageError('ERR_GUISE_OPTION', { option, given, expected: yesNo.expected, found: JSON.stringify(text) });
  }
  return !value;
}

function isOption(name: string): boolean {
  return Object.values(OPTIONS).some((schema) => Object.hasOwn(schema, name));
}

function isYesNo(name: string): boolean {
  return Object.values(OPTIONS).some((schema) => (schema as Record<string, { kind: unknown }>)[name]?.kind === yesNo);
}
