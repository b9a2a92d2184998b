/** Addresses and ports as people write them. */
import { isIP, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';
import { normalAddress } from '../wire/address.js';
import type { Endpoint, HostPort } from '../wire/endpoint.js';
import { usageError } from '../errors.js';

/** Characters: the 255 bytes of RFC 1035 §2.3.4 less the length of the first label and that of the root. */
const LONGEST_NAME = 253;
/** RFC 1123 §2.1, and the underscore that container engines put into the names of services. */
const LABEL = /^[\w-]{1,63}$/;
/** getaddrinfo takes "010.0.0.1" for 8.0.0.1, "1.2.3" for 1.2.0.3 and "0x7f" for 127.0.0.127 (inet_aton). */
const ENDS_IN_NUMBER = /(^|\.)(\d+|0[xX][\da-fA-F]*)\.?$/;
const NO_ASCII = /[^\0-\x7f]/;

/**
 * @param text a decimal number, 1 to 65535
 * @throws {UsageError} ERR_GUISE_PORT
 */
export function parsePort(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw usageError('ERR_GUISE_PORT', { text });
  return port;
}

/**
 * @param text IPv4 or IPv6, without brackets
 * @returns the address in the kernel's spelling; an IPv4-mapped one (`::ffff:1.2.3.4`) as IPv4
 * @throws {UsageError} ERR_GUISE_IP, ERR_GUISE_ZONE
 */
export function parseAddress(text: string): string {
  if (isIP(text) === 0) throw usageError('ERR_GUISE_IP', { text });
  if (text.includes('%')) throw usageError('ERR_GUISE_ZONE', { text });
  return normalAddress(text);
}

/**
 * @param text HOST:PORT, IP:PORT or [IPv6]:PORT
 * @throws {UsageError} ERR_GUISE_HOST_PORT, ERR_GUISE_PORT, ERR_GUISE_BRACKETS, ERR_GUISE_ZONE, ERR_GUISE_HOST
 */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([^[\]]+)\]|([^:[\]]+)):([^:[\]]+)$/.exec(text);
  if (!match) throw usageError('ERR_GUISE_HOST_PORT', { text });
  const [, bracketed, plain, port] = match;
  if (bracketed === undefined) return { host: parseHost(plain!), port: parsePort(port!) };
  if (!isIPv6(bracketed)) throw usageError('ERR_GUISE_BRACKETS', { text: bracketed });
  return { host: parseAddress(bracketed), port: parsePort(port!) };
}

/**
 * @param text IP:PORT or [IPv6]:PORT
 * @throws {UsageError} as `parseHostPort`, and ERR_GUISE_IP for a name
 */
export function parseEndpoint(text: string): Endpoint {
  const { host, port } = parseHostPort(text);
  return { address: parseAddress(host), port };
}

/** An IPv4 address or a name. What is neither, but what resolvers take for an address, is refused. */
function parseHost(text: string): string {
  if (isIP(text) !== 0) return parseAddress(text);
  const name = NO_ASCII.test(text) ? domainToASCII(text) : text;
  const labels = name.replace(/\.$/, '').split('.');
  const valid = labels.join('.').length <= LONGEST_NAME && labels.every((label) => LABEL.test(label));
  if (!valid || ENDS_IN_NUMBER.test(name)) throw usageError('ERR_GUISE_HOST', { text });
  return name;
}
