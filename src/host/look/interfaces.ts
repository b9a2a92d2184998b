/** The interfaces of this network namespace and their addresses, as `ip` tells them. Looks, and changes nothing. */
import { normalAddress } from '../../wire/address.js';
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
  /** Bytes. */
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly InterfaceAddress[];
}

/** @throws {GuiseError} ERR_GUISE_PROGRAM_MISSING, ERR_GUISE_PROGRAM_FAILED */
export async function readInterfaces(): Promise<InterfaceState[]> {
  return JSON.parse(await run('ip', ['-json', 'address', 'show'])) as InterfaceState[];
}

/** Whether an interface is up with these addresses and this MTU in bytes. */
export function isConfigured(
  interfaces: readonly InterfaceState[],
  name: string,
  { local4, peer4, local6, peer6 }: TunAddresses,
  mtu: number,
): boolean {
  const state = interfaces.find(({ ifname }) => ifname === name);
  if (state?.mtu !== mtu || !state.flags.includes('UP')) return false;
  const has = (local: string, peer: string): boolean =>
    state.addr_info.some((each) => each.local === normalAddress(local) && each.address === normalAddress(peer));
  return has(local4, peer4) && (!local6 || !peer6 || has(local6, peer6));
}
