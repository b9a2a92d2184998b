/** Takes the addresses of both ends of the TUN: what the user gives, or else a pair that nothing on this host has. */
import { guiseError } from '../errors.js';
import { freePairs, wantedPair, type Ends, type InUse } from './address_choice.js';
import { Disposables } from './disposables.js';
import { readInterfaces, readRoutes, type TunAddresses } from './look/interfaces.js';
import { lockName } from './name_lock.js';

export interface AddressOptions {
  /** By options. */
  readonly given: Partial<TunAddresses>;
  /** The first choice of what is not given. */
  readonly usual: Required<TunAddresses>;
  readonly ipv6: boolean;
  /** An interface that may have the addresses already: a persistent one that was prepared. */
  readonly tun?: string | undefined;
}

export interface HeldAddresses extends AsyncDisposable {
  readonly addresses: TunAddresses;
}

/**
 * Takes the addresses, so that no other tunnel does, until the result is disposed.
 *
 * @throws {GuiseError} ERR_GUISE_ADDRESSES_TAKEN when given ones are in use, or none is left
 */
export async function holdAddresses({ given, usual, ipv6, tun }: AddressOptions): Promise<HeldAddresses> {
  const [interfaces, routes] = await Promise.all([readInterfaces(), readRoutes()]);
  const others: InUse = {
    addresses: interfaces.filter(({ ifname }) => ifname !== tun).flatMap(({ addr_info }) => addr_info),
    routes: routes.filter(({ dev }) => dev === undefined || dev !== tun),
  };
  const opened = new Disposables();
  try {
    const four = opened.use(await hold([given.local4, given.peer4], [usual.local4, usual.peer4], others));
    const six = ipv6
      ? opened.use(await hold([given.local6, given.peer6], [usual.local6, usual.peer6], others))
      : undefined;
    return {
      addresses: { local4: four.local, peer4: four.peer, ...(six ? { local6: six.local, peer6: six.peer } : {}) },
      [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
    };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

interface HeldPair extends AsyncDisposable {
  readonly local: string;
  readonly peer: string;
}

async function hold(given: Ends<string | undefined>, usual: Ends<string>, others: InUse): Promise<HeldPair> {
  const wanted = wantedPair(given, usual);
  for (const [local, peer] of freePairs(wanted, usual, others)) {
    const held = await lockName(peer);
    if (held) return { local, peer, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
  }
  const what = wanted ? `${wanted.join(' or ')} is` : `All addresses from ${usual[0]} on are`;
  const option = usual[0].includes(':') ? 'tun-local6' : 'tun-local';
  throw guiseError('ERR_GUISE_ADDRESSES_TAKEN', { which: what, option });
}
