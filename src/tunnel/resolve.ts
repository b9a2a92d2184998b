/** Names to addresses, by the host's resolver. */
import { lookup } from 'node:dns/promises';
import { guiseError, GuiseError } from '../errors.js';
import { normalAddress } from '../wire/address.js';
import type { Endpoint, HostPort } from '../wire/endpoint.js';

/**
 * What getaddrinfo answers for a name that does not exist, or has no address of the family. Without a network, and when
 * the resolver fails or refuses, it is EAI_AGAIN or EAI_FAIL, in glibc and musl alike; descriptors may run out, too.
 */
const NO_SUCH_NAME: readonly string[] = ['ENOTFOUND', 'EAI_NODATA', 'EAI_NONAME', 'EAI_ADDRFAMILY', 'EAI_FAMILY'];

let pending = 0;

/** Whether a thread still waits for the resolver: `process.exit` waits for it, too. */
export function areLookUpsPending(): boolean {
  return pending > 0;
}

/**
 * Resolves a host name to all of its addresses, best first, or passes an address through.
 *
 * @param family 4 or 6 for addresses of that family only
 * @throws {GuiseError} ERR_GUISE_NAME when the resolver says that there is none; ERR_GUISE_NAME_UNKNOWN_YET when it says
 *   nothing, or that it does not know: there may be no network yet
 */
export async function resolve({ host, port }: HostPort, family?: 4 | 6): Promise<[Endpoint, ...Endpoint[]]> {
  pending++;
  try {
    const found = await lookup(host, { all: true, ...(family === undefined ? {} : { family }) });
    const usable = found.filter(({ address }) => !address.includes('%'));
    if (usable.length === 0) throw guiseError('ERR_GUISE_ZONE', { text: found[0]!.address });
    return usable.map(({ address }) => ({ address: normalAddress(address), port })) as [Endpoint, ...Endpoint[]];
  } catch (cause) {
    if (cause instanceof GuiseError) throw cause;
    const { code = 'ENOTFOUND' } = cause as NodeJS.ErrnoException;
    const what = family === undefined ? 'address' : `IPv${family} address`;
    const known = NO_SUCH_NAME.includes(code) ? 'ERR_GUISE_NAME' : 'ERR_GUISE_NAME_UNKNOWN_YET';
    throw guiseError(known, { what, host, why: code }, cause);
  } finally {
    pending--;
  }
}
