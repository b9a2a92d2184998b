/** The networks of this network namespace, as `ip` tells them. Looks, and changes nothing. */
import { run } from '../command.js';

/** The host's end and the stack's end. */
export interface TunAddresses {
  readonly local4: string;
  readonly peer4: string;
  readonly local6?: string;
  readonly peer6?: string;
}

/** `address` is the far end of a point-to-point interface; `prefixlen` is of that network, or of `local`'s. */
export interface InterfaceAddress {
  readonly local: string;
  readonly address?: string;
  readonly prefixlen: number;
}

/** What `ip -json address` tells of an interface. */
export interface InterfaceState {
  readonly ifname: string;
  readonly addr_info: readonly InterfaceAddress[];
}

/** What `ip -json route` tells of a route; `dst` is `default`, an address or a network. */
export interface Route {
  readonly dst: string;
  readonly dev?: string;
}

/** @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED */
export async function readInterfaces(): Promise<InterfaceState[]> {
  return JSON.parse(await run('ip', ['-json', 'address', 'show'])) as InterfaceState[];
}

/**
 * The routes of all tables, of both families.
 *
 * @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED
 */
export async function readRoutes(): Promise<Route[]> {
  const families = await Promise.all(
    ['-4', '-6'].map((family) => run('ip', ['-json', family, 'route', 'show', 'table', 'all'])),
  );
  return families.flatMap((routes) => JSON.parse(routes || '[]') as Route[]);
}
