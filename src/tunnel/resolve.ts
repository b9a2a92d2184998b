/** Names to addresses, by the host's resolver. */
import { lookup } from 'node:dns/promises';
import { guiseError } from '../errors.js';
import { normalAddress } from '../wire/address.js';
import type { Endpoint, HostPort } from '../wire/endpoint.js';

let pending = 0;

/** Whether a thread still waits for the resolver: `process.exit` waits for it, too. */
export function areLookUpsPending(): boolean {
  return pending > 0;
}

/**
 * Resolves a host name to all of its addresses, best first, or passes an address through.
 *
 * @param family 4 or 6 for addresses of that family only
 * @throws {GuiseError} ENOTFOUND and other codes of getaddrinfo
 */
export async function resolve({ host, port }: HostPort, family?: 4 | 6): Promise<[Endpoint, ...Endpoint[]]> {
  pending++;
  try {
    const found = await lookup(host, { all: true, ...(family === undefined ? {} : { family }) });
    return found.map(({ address }) => ({ address: normalAddress(address), port })) as [Endpoint, ...Endpoint[]];
  } catch (cause) {
    const { code = 'ENOTFOUND' } = cause as NodeJS.ErrnoException;
    const what = family === undefined ? 'address' : `IPv${family} address`;
    throw guiseError('ERR_GUISE_NAME', { what, host, why: code }, cause);
  } finally {
    pending--;
  }
}
