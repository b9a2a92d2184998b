/** Which addresses may speak with each other. */

/**
 * Says whether packets may pass from one address to another, in the kernel's spelling. It is asked once a flow: its answer
 * to the same two addresses must stay the same.
 *
 * @example
 * ```ts
 * import { BlockList } from 'node:net';
 * import { unicastOnly, type Filter } from 'guise/netstack';
 *
 * const blocked = new BlockList();
 * blocked.addSubnet('10.6.0.0', 16);
 * const notThere: Filter = (source, destination) => !blocked.check(destination);
 * const filters = [unicastOnly, notThere];
 * ```
 */
export type Filter = (source: string, destination: string) => boolean;

/**
 * The filter of a stack that was given none: both addresses are those of one host each, and of a network.
 *
 * @example
 * ```ts
 * import { Netstack, unicastOnly } from 'guise/netstack';
 *
 * const notFrom7: typeof unicastOnly = (source) => source !== '10.0.0.7';
 * await using stack = await Netstack.open({ filters: [unicastOnly, notFrom7] });
 * ```
 */
export const unicastOnly: Filter = (source, destination) => isUnicast(source) && isUnicast(destination);

/**
 * Whether an address may be that of a host on a network: no broadcast, multicast, unspecified or loopback address (RFC
 * 1122 §3.2.1.3, RFC 4291 §2.5.2, §2.5.3 and §2.7). Broadcast addresses of networks look like any other.
 */
export function isUnicast(address: string): boolean {
  return address.includes(':') ? isUnicast6(address) : isUnicast4(address);
}

/** Whether an address is for many hosts. */
export function isMulticast(address: string): boolean {
  if (address.includes(':')) return MULTICAST6.test(address);
  const first = Number.parseInt(address, 10);
  return first >= 224 && first < 240;
}

const MULTICAST6 = /^ff[0-9a-f]{2}:/;

function isUnicast4(address: string): boolean {
  const isLoopback = Number.parseInt(address, 10) === 127;
  return !isLoopback && !isMulticast(address) && address !== '0.0.0.0' && address !== '255.255.255.255';
}

function isUnicast6(address: string): boolean {
  return !isMulticast(address) && address !== '::' && address !== '::1';
}
