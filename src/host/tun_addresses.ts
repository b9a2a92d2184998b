/** The addresses of both ends of the TUN: what the user gives, or else a pair that nothing on this host has. */
import ipaddr from 'ipaddr.js';
import { guiseError } from '../errors.js';
import { claim } from './claim.js';
import { interfaces, type InterfaceAddress, type TunAddresses } from './tun_interface.js';
import { HOST } from '../policy.js';

export interface AddressOptions {
  /** By flags. */
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
 * Takes the addresses, so that no other guise does, until the result is disposed.
 *
 * @throws {GuiseError} ERR_GUISE_ADDRESSES_TAKEN when given ones are in use, or none is left
 */
export async function holdAddresses({ given, usual, ipv6, tun }: AddressOptions): Promise<HeldAddresses> {
  const others = (await interfaces()).filter(({ ifname }) => ifname !== tun).flatMap(({ addr_info }) => addr_info);
  const four = await hold([given.local4, given.peer4], [usual.local4, usual.peer4], others);
  try {
    const six = ipv6 ? await hold([given.local6, given.peer6], [usual.local6, usual.peer6], others) : undefined;
    return {
      addresses: { local4: four.local, peer4: four.peer, ...(six ? { local6: six.local, peer6: six.peer } : {}) },
      [Symbol.asyncDispose]: async () => {
        await four[Symbol.asyncDispose]();
        await six?.[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await four[Symbol.asyncDispose]();
    throw error;
  }
}

interface Pair extends AsyncDisposable {
  readonly local: string;
  readonly peer: string;
}

type Ends<T> = readonly [local: T, peer: T];

async function hold(given: Ends<string | undefined>, usual: Ends<string>, others: InterfaceAddress[]): Promise<Pair> {
  const wanted = given.some((each) => each !== undefined)
    ? ([given[0] ?? usual[0], given[1] ?? usual[1]] as const)
    : undefined;
  const isTaken = wanted ? has : covers;
  for (const [local, peer] of wanted ? [wanted] : pairs(usual)) {
    const taken = others.some((other) => isTaken(other, local) || isTaken(other, peer));
    const held = taken ? undefined : await claim(peer);
    if (held) return { local, peer, [Symbol.asyncDispose]: () => held[Symbol.asyncDispose]() };
  }
  const what = wanted ? `${wanted.join(' or ')} is` : `All addresses from ${usual[0]} on are`;
  const option = usual[0].includes(':') ? 'tun-local6' : 'tun-local';
  throw guiseError('ERR_GUISE_ADDRESSES_TAKEN', { which: what, option });
}

/** The usual pair and those behind it, as far as the last two bytes go. */
function* pairs([local, peer]: Ends<string>): Generator<Ends<string>> {
  for (let offset = 0; ; offset += HOST.addressStep) {
    const next = [moved(local, offset), moved(peer, offset)] as const;
    if (next[0] === undefined || next[1] === undefined) return;
    yield [next[0], next[1]];
  }
}

function moved(address: string, offset: number): string | undefined {
  const bytes = ipaddr.parse(address).toByteArray();
  const last = bytes.at(-2)! * 256 + bytes.at(-1)! + offset;
  return last > 0xffff ? undefined : ipaddr.fromByteArray([...bytes.slice(0, -2), last >> 8, last & 255]).toString();
}

/** Whether an interface has this very address, or has it at its far end. */
function has({ local, address }: InterfaceAddress, wanted: string): boolean {
  return local === wanted || address === wanted;
}

/** Whether it lies in the interface's network, too. */
function covers(other: InterfaceAddress, wanted: string): boolean {
  if (has(other, wanted)) return true;
  const [network, address] = [ipaddr.parse(other.address ?? other.local), ipaddr.parse(wanted)];
  return network.kind() === address.kind() && address.match(network, other.prefixlen);
}
