/**
 * What options take. A kind reads a value of any source: the text of a command line or a variable, or what a file of
 * settings has, where numbers and yes or no are values already. Pure.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { formatEndpoint, type Endpoint, type HostPort } from '../wire/endpoint.js';
import { parseAddress, parseEndpoint, parseHostPort, parsePort } from './addresses.js';

export interface Kind<T> {
  /** How it is written, for help: HOST:PORT, 1 to 64. Empty for yes or no. */
  readonly form: string;
  /** What it is, for a sentence: "takes …". */
  readonly expected: string;
  /**
   * @returns undefined for what is not of the kind
   * @throws {UsageError} where more can be said about what is wrong
   */
  read(value: unknown): T | undefined;
  /** The value as a user writes it. */
  write(value: T): string;
}

export interface TextRule {
  readonly form: string;
  readonly expected: string;
  readonly pattern: RegExp;
}

export function text({ form, expected, pattern }: TextRule): Kind<string> {
  return { form, expected, read: (value) => matching(value, pattern), write: (value) => value };
}

/** A path; what is in the file is read by who needs it. */
export const file: Kind<string> = text({ form: 'FILE', expected: 'the path of a file', pattern: /^[^\0]+$/ });

export interface NumberRule {
  /** What is counted, as a user sees it. */
  readonly unit?: 'seconds' | 'bytes';
  readonly least: number;
  readonly most: number;
  /** What 0 stands for. */
  readonly zero?: number;
}

/** A whole number. Seconds are milliseconds inside: they are converted here and nowhere else. */
export function number({ unit, least, most, zero = 0 }: NumberRule): Kind<number> {
  const factor = unit === 'seconds' ? 1000 : 1;
  return {
    form: `${least} to ${most}`,
    expected: `a whole number${unit ? ` of ${unit}` : ''} from ${least} to ${most}`,
    read: (value) => {
      const found = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
      if (typeof found !== 'number' || !Number.isInteger(found) || found < least || found > most) return undefined;
      return found === 0 ? zero : found * factor;
    },
    write: (value) => String(value === zero ? 0 : value / factor),
  };
}

const WORDS = new Map([
  ...['1', 'y', 'yes', 'true', 'on'].map((word) => [word, true] as const),
  ...['0', 'n', 'no', 'false', 'off'].map((word) => [word, false] as const),
]);

/** yes or no, y or n, true or false, on or off, 1 or 0, in letters of any case. */
export const yesNo: Kind<boolean> = {
  form: '',
  expected: 'yes or no',
  read: (value) => {
    if (typeof value === 'boolean') return value;
    return typeof value === 'string' ? WORDS.get(value.toLowerCase()) : undefined;
  },
  write: (value) => (value ? 'on' : 'off'),
};

export function choice<const C extends string>(choices: readonly C[]): Kind<C> {
  const words = `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
  return {
    form: words,
    expected: words,
    read: (value) => choices.find((each) => each === value),
    write: (value) => value,
  };
}

export const endpoint: Kind<Endpoint> = {
  form: 'IP:PORT',
  expected: 'an IP address and a port',
  read: (value) => (typeof value === 'string' ? parseEndpoint(value) : undefined),
  write: formatEndpoint,
};

/** A port, of all addresses: ::; or of one. */
export const listening: Kind<Endpoint> = {
  form: '[IP:]PORT',
  expected: 'a port, or an IP address and a port',
  read: (value) => {
    if (typeof value === 'number') return { address: '::', port: parsePort(String(value)) };
    if (typeof value !== 'string') return undefined;
    return value.includes(':') ? parseEndpoint(value) : { address: '::', port: parsePort(value) };
  },
  write: ({ address, port: number }) => (address === '::' ? String(number) : formatEndpoint({ address, port: number })),
};

export const hostPort: Kind<HostPort> = {
  form: 'HOST:PORT',
  expected: 'a host and a port',
  read: (value) => (typeof value === 'string' ? parseHostPort(value) : undefined),
  write: ({ host, port }) => formatEndpoint({ address: host, port }),
};

export function ip(family: 4 | 6): Kind<string> {
  const isOfFamily = family === 4 ? isIPv4 : isIPv6;
  return {
    form: `IPv${family}`,
    expected: `an IPv${family} address`,
    read: (value) => {
      if (typeof value !== 'string' || !isOfFamily(value)) return undefined;
      const address = parseAddress(value);
      return isOfFamily(address) ? address : undefined; // ::ffff:1.2.3.4 is IPv4
    },
    write: (value) => value,
  };
}

function matching(value: unknown, pattern: RegExp): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}
