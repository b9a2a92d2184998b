/** Datagrams as users get them. */
import { NETSTACK_UDP } from '../../policy.js';
import type { Endpoint } from '../../wire/endpoint.js';

/**
 * A datagram that has come.
 *
 * @example
 * ```ts
 * import type { Datagram } from 'guise/netstack';
 *
 * const tell = ({ data, source, destination }: Datagram): void =>
 *   console.log(`${data.length} bytes from ${source.address} for ${destination.address}`);
 * ```
 */
export interface Datagram {
  readonly data: Buffer;
  /** Who sent it. */
  readonly source: Endpoint;
  /** What they dialled: an answer has to leave from there. */
  readonly destination: Endpoint;
}

/** What a datagram counts in a queue. */
export function costOf(data: Uint8Array): number {
  return data.length + NETSTACK_UDP.datagramCost;
}

/** A datagram's bytes, for good: a small one is not to hold a slab. */
export function toKeep(slab: Uint8Array, offset: number, size: number): Buffer {
  const part = Buffer.from(slab.buffer, slab.byteOffset + offset, size);
  if (size > NETSTACK_UDP.copiedBytes) return part;
  const copy = Buffer.allocUnsafe(size);
  copy.set(part);
  return copy;
}
