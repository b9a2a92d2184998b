/** Which pairs of addresses a TUN may have, given what the host's interfaces have. */
import ipaddr from 'ipaddr.js';
import { HOST } from '../policy.js';
import type { InterfaceAddress } from './look/interfaces.js';

export type Ends<T> = readonly [local: T, peer: T];

/** The pair that the user wants, if at least one end is given; the usual other end completes it. */
export function wantedPair(given: Ends<string | undefined>, usual: Ends<string>): Ends<string> | undefined {
  if (given.every((each) => each === undefined)) return undefined;
  return [given[0] ?? usual[0], given[1] ?? usual[1]];
}

/**
 * The pairs to take, best first. A wanted one may lie in a network of the host's; the usual one and those behind it, as
 * far as the last two bytes go, may not.
 *
 * @param others addresses of all other interfaces
 */
export function* freePairs(
  wanted: Ends<string> | undefined,
  usual: Ends<string>,
  others: readonly InterfaceAddress[],
): Generator<Ends<string>> {
  const isTaken = wanted ? has : covers;
  for (const pair of wanted ? [wanted] : pairsFrom(usual)) {
    if (!others.some((other) => pair.some((address) => isTaken(other, address)))) yield pair;
  }
}

function* pairsFrom([local, peer]: Ends<string>): Generator<Ends<string>> {
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
