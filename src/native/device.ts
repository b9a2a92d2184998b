/** Devices that the kernel makes. */
import { closeSync } from 'node:fs';
import { encodeAddress } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';
import { addon, type Refused } from './addon.js';

/** Opens the queues of a TUN interface; an errno and the failed call when the kernel refuses. */
export const openTun = addon.openTun;

/**
 * Opens the sockets that the links of the host are read and written by, for each worker; an errno and the failed call
 * when the kernel refuses: EPERM without CAP_NET_RAW.
 *
 * @param mark SO_MARK of what leaves by the host's routes, 0 for none
 * @param device the interface that it has to leave by, '' for any
 */
export const openLinks = addon.openLinks;

/** A TCP port of the host: nobody else has it, and the kernel stays silent on it. */
export interface HeldPort {
  readonly port: number;
  release(): void;
}

/**
 * Holds a TCP port of an address of the host, or of all: `0.0.0.0` for IPv4, `::` for both families. Port 0: the kernel
 * chooses.
 */
export function holdPort({ address, port }: Endpoint): HeldPort | Refused {
  const held = addon.holdPort(encodeAddress(address), port);
  if ('errno' in held) return held;
  return { port: held.port, release: () => closeSync(held.fd) };
}
