/** Addresses and ports as people write them. */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { normalAddress } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';
import { guiseError, usageError } from '../errors.js';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * @param text a decimal number, 1 to 65535
 * @throws {UsageError}
 */
export function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw usageError('ERR_GUISE_PORT', { text });
  return port;
}

/**
 * @param text HOST:PORT, IP:PORT or [IPv6]:PORT
 * @throws {UsageError}
 */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text);
  if (!match) {
    throw usageError('ERR_GUISE_HOST_PORT', { text });
  }
  const host = match[1] ?? match[2]!;
  if (match[1] !== undefined && !isIPv6(host)) throw usageError('ERR_GUISE_BRACKETS', { text: host });
  return { host, port: parsePort(match[3]!) };
}

/**
 * @param text IP:PORT or [IPv6]:PORT
 * @throws {UsageError}
 */
export function parseEndpoint(text: string): Endpoint {
  const { host, port } = parseHostPort(text);
  if (isIP(host) === 0) throw usageError('ERR_GUISE_IP', { text: host });
  return { address: host, port };
}

/**
 * Resolves a host name to all of its addresses, best first, or passes an address through.
 *
 * @param family 4 or 6 for addresses of that family only
 * @throws {GuiseError} ENOTFOUND and other codes of getaddrinfo
 */
export async function resolve({ host, port }: HostPort, family?: 4 | 6): Promise<[Endpoint, ...Endpoint[]]> {
  try {
    const found = await lookup(host, { all: true, ...(family === undefined ? {} : { family }) });
    return found.map(({ address }) => ({ address: normalAddress(address), port })) as [Endpoint, ...Endpoint[]];
  } catch (cause) {
    const { code = 'ENOTFOUND' } = cause as NodeJS.ErrnoException;
    const what = family === undefined ? 'address' : `IPv${family} address`;
    throw guiseError('ERR_GUISE_NAME', { what, host, why: code }, cause);
  }
}
