/** Which pairs of addresses a TUN may have, given what the host's interfaces have and its routes lead to. */
import { isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';
import { HOST } from '../policy.js';
import type { InterfaceAddress, Route } from './look/interfaces.js';

export type Ends<T> = readonly [local: T, peer: T];

/** The pair that the user wants, if at least one end is given; the usual other end completes it. */
export function wantedPair(given: Ends<string | undefined>, usual: Ends<string>): Ends<string> | undefined {
  if (given.every((each) => each === undefined)) return undefined;
  return [given[0] ?? usual[0], given[1] ?? usual[1]];
}

/** What a host has already, but for the TUN itself. */
export interface InUse {
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly Route[];
}

/**
 * The pairs to take, best first. A wanted one may lie in a network of the host's. The usual one and those behind it, as
 * far as the last two bytes go, may not, nor in one that a route leads to; then come others that are for private use.
 */
export function* freePairs(
  wanted: Ends<string> | undefined,
  usual: Ends<string>,
  { addresses, routes }: InUse,
): Generator<Ends<string>> {
  if (wanted) {
    const has = ({ local, address }: InterfaceAddress): boolean =>
      wanted.some((each) => each === local || each === address);
    if (!addresses.some(has)) yield wanted;
    return;
  }
  const networks = [...addresses.flatMap(networksOf), ...routes.flatMap(routedNetwork)];
  const others = HOST.otherAddresses.filter(([local]) => isIPv6(local) === isIPv6(usual[0]));
  for (const [local, peer] of [usual, ...others]) {
    for (let offset = 0; ;) {
      const pair = [moved(local, offset), moved(peer, offset)] as const;
      if (!pair[0] || !pair[1]) break;
      const taken = networks.find((network) => pair.some((address) => covers(network, address!)));
      if (!taken) yield [pair[0].toString(), pair[1].toString()];
      offset += HOST.addressStep * (taken ? stepsPast(taken, pair[0]) : 1);
    }
  }
}

type Address = ReturnType<typeof ipaddr.parse>;
type Network = readonly [address: Address, bits: number];

/** The address so many behind another one, as long as the last two bytes can be counted up. */
function moved(address: string, offset: number): Address | undefined {
  const bytes = ipaddr.parse(address).toByteArray();
  const last = lastOf(bytes) + offset;
  return last > LAST ? undefined : ipaddr.fromByteArray([...bytes.slice(0, -2), last >> 8, last & 255]);
}

/** The last two bytes. */
function lastOf(bytes: readonly number[]): number {
  return bytes.at(-2)! * 256 + bytes.at(-1)!;
}
const LAST = 0xffff;

/** Steps from an address to the first behind a network that it, or its peer, is in. */
function stepsPast([network, bits]: Network, from: Address): number {
  const size = 2 ** (network.toByteArray().length * 8 - bits);
  const last = lastOf(from.toByteArray());
  return size > LAST ? LAST : Math.max(1, Math.ceil((Math.floor(last / size + 1) * size - last) / HOST.addressStep));
}

/** An interface's network, and its own address, which may lie elsewhere. */
function networksOf({ local, address, prefixlen }: InterfaceAddress): Network[] {
  return [networkOf(local), [ipaddr.parse(address ?? local), prefixlen]];
}

/** The network that a route leads to. A default route, whole or in parts, leads to no network of its own. */
function routedNetwork({ dst }: Route): Network[] {
  const [address = '', bits] = dst.split('/');
  if (!ipaddr.isValid(address)) return [];
  const network = networkOf(address, bits);
  return network[1] < HOST.leastNetworkBits ? [] : [network];
}

function networkOf(address: string, bits?: string): Network {
  const parsed = ipaddr.parse(address);
  return [parsed, bits === undefined ? parsed.toByteArray().length * 8 : Number(bits)];
}

function covers([network, bits]: Network, address: Address): boolean {
  return network.kind() === address.kind() && address.match(network, bits);
}
