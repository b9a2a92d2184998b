/** Devices that the kernel makes. */
import { closeSync } from 'node:fs';
import { decodeAddress, encodeAddress } from '../wire/address.js';
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

/** How this host sends to an address. */
export interface Departure {
  readonly interface: string;
  /** A gateway, or the address itself where it is on a network of this host. */
  readonly nextHop: string;
  readonly isGateway: boolean;
  /** The next hop was asked for its link address, and has not answered. */
  readonly isSilent: boolean;
}

/**
 * How packets with a mark (0 for none) leave for an address by an interface ('' for any); an errno where there is no
 * route.
 */
export function findDeparture({ address, port }: Endpoint, mark: number, device: string): Departure | Refused {
  const found = addon.findDeparture(encodeAddress(address), port, mark, device);
  return 'errno' in found ? found : { ...found, nextHop: decodeAddress(found.nextHop) };
}

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
