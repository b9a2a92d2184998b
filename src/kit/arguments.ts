/** Checks of what users hand in. Each gives back what it was given, or throws ERR_GUISE_ARGUMENT. */
import { isIP, isIPv4 } from 'node:net';
import { types } from 'node:util';
import { guiseError } from '../errors.js';
import { normalAddress } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';

/** The fields of an options object before they are checked. */
export type Unchecked<T> = Readonly<Partial<Record<T extends unknown ? keyof T : never, unknown>>>;

/** @throws {GuiseError} ERR_GUISE_ARGUMENT: `name` is `value`, give `expected` */
export function refuse(name: string, value: unknown, expected: string): never {
  throw guiseError('ERR_GUISE_ARGUMENT', { name, found: describe(value), expected });
}

export function checkObject<T extends object>(name: string, value: T): Unchecked<T> {
  const given: unknown = value;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) refuse(name, given, 'an object');
  return given as Unchecked<T>;
}

export function checkInteger(name: string, value: unknown, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  return refuse(name, value, least === most ? `${least}` : `an integer from ${least} to ${most}`);
}

/** @param most Infinity where "never" makes sense */
export function checkMilliseconds(name: string, value: unknown, most: number): number {
  if (typeof value === 'number' && value > 0 && value <= most) return value;
  return refuse(
    name,
    value,
    `milliseconds, more than 0${most === Infinity ? ', or Infinity' : ` and at most ${most}`}`,
  );
}

export function checkBoolean(name: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse(name, value, 'true or false');
}

export function checkOneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const chosen = choices.find((each) => each === value);
  return chosen ?? refuse(name, value, choices.map((each) => `"${each}"`).join(' or '));
}

export function checkSignal(name: string, value: unknown): AbortSignal | undefined {
  return value === undefined || value instanceof AbortSignal ? value : refuse(name, value, 'an AbortSignal');
}

export function checkListener(name: string, value: unknown): ((sentence: string) => void) | undefined {
  return value === undefined || typeof value === 'function'
    ? (value as ((sentence: string) => void) | undefined)
    : refuse(name, value, 'a function');
}

/** 1 to 65535, or from `least`. */
export function checkPort(name: string, value: unknown, least = 1): number {
  return checkInteger(name, value, least, 65_535);
}

/** An IP address without a zone; IPv4 is not to be wrapped in IPv6. */
export function checkAddress(name: string, value: unknown): string {
  const valid = typeof value === 'string' && isIP(value) !== 0 && !value.includes('%');
  if (!valid || isIPv4(normalAddress(value)) !== isIPv4(value))
    refuse(name, value, 'an IP address, like "192.0.2.1" or "2001:db8::1"');
  return value;
}

/** @param leastPort 0 where the system may choose one */
export function checkEndpoint(name: string, value: unknown, leastPort = 1): Endpoint {
  const { address, port } = checkObject(name, value as Endpoint);
  return { address: checkAddress(`${name}.address`, address), port: checkPort(`${name}.port`, port, leastPort) };
}

export function checkBytes(name: string, value: unknown): Uint8Array {
  return types.isUint8Array(value) ? value : refuse(name, value, 'a Uint8Array or a Buffer');
}

/** As the kernel's dev_valid_name (net/core/dev.c). */
export function checkInterfaceName(what: string, name: unknown): string {
  if (
    typeof name === 'string' &&
    name !== '.' &&
    name !== '..' &&
    /^[^\s/:\0]+$/.test(name) &&
    Buffer.byteLength(name) < 16
  )
    return name;
  return refuse(what, name, 'a name of 1 to 15 bytes without space, slash and colon');
}

/** Never runs code of the value's: what it is, not what it says of itself. */
function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > 60 ? `a text of ${value.length} characters` : JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? `a list of ${value.length}` : 'an object';
    default:
      return String(value);
  }
}
