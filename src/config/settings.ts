/** Values of any source (flags, environment, next a file) -> settings of which each is what its option takes. Pure. */
import { inspect } from 'node:util';
import { GuiseError, usageError } from '../errors.js';
import {
  insideName,
  OPTIONS,
  PACKET_OPTIONS,
  TUN_OPTIONS,
  type Option,
  type Role,
  type Schema,
  type Settings,
} from './schema.js';

/**
 * @param values by the names of the options; undefined counts as not given
 * @param nameOf how whoever gave a value calls the option (`--mtu`, GUISE_MTU); for sentences
 * @throws {UsageError} with the option, what was found and what is expected
 */
export function settingsOf<R extends Role>(
  role: R,
  values: Readonly<Record<string, unknown>>,
  nameOf: (option: string) => string = (option) => option,
): Settings<R> {
  const schema: Schema = OPTIONS[role];
  const isGiven = (option: string): boolean => values[option] !== undefined;
  const unknown = Object.keys(values).find((option) => isGiven(option) && !Object.hasOwn(schema, option));
  if (unknown !== undefined) {
    throw usageError('ERR_GUISE_OPTION_UNKNOWN', { option: unknown, given: nameOf(unknown), role });
  }
  const settings: Record<string, unknown> = {};
  const missing: string[] = [];
  for (const [name, option] of Object.entries(schema)) {
    const value = isGiven(name) ? read(name, option, values[name], nameOf(name)) : option.default;
    if (value !== undefined) settings[insideName(name)] = value;
    else if (option.required) missing.push(`${nameOf(name)} ${option.kind.form} (${option.help})`);
  }
  if (missing.length > 0) throw usageError('ERR_GUISE_OPTION_MISSING', { options: missing.join(' and ') });
  refuseConflict(settings, isGiven, nameOf);
  return settings as unknown as Settings<R>;
}

/** The value as its option takes it. */
function read(option: string, { kind }: Option<unknown>, value: unknown, given: string): unknown {
  let why: string | undefined;
  try {
    const read = kind.read(value);
    if (read !== undefined) return read;
  } catch (error) {
    if (!(error instanceof GuiseError)) throw error;
    why = error.message;
  }
  if (why !== undefined) throw usageError('ERR_GUISE_OPTION_VALUE', { option, given, why });
  throw usageError('ERR_GUISE_OPTION', { option, given, expected: kind.expected, found: quoted(value) });
}

function refuseConflict(
  settings: Readonly<Record<string, unknown>>,
  isGiven: (option: string) => boolean,
  nameOf: (option: string) => string,
): void {
  const refuse = (option: string, other: string | undefined): void => {
    if (other === undefined) return;
    throw usageError('ERR_GUISE_OPTION_CONFLICT', { option, given: nameOf(option), other: nameOf(other) });
  };
  if (settings['ipv4Only'] === true) refuse('ipv4-only', ['tun-local6', 'tun-peer6'].find(isGiven));
  if (settings['device'] === 'packet') refuse('device', TUN_OPTIONS.find(isGiven));
  if (settings['device'] === 'tun') refuse('device', PACKET_OPTIONS.find(isGiven));
  const tun = TUN_OPTIONS.find(isGiven);
  if (tun) refuse(tun, PACKET_OPTIONS.find(isGiven));
}

/** A number as it is, other text in quotes. */
function quoted(value: unknown): string {
  if (typeof value !== 'string') return inspect(value, { breakLength: Infinity, depth: 0 });
  return /^[-+.\d]+$/.test(value) ? value : JSON.stringify(value);
}
