/** The host's end of the TUN interface: its addresses, its MTU, up. All of it goes with the interface. */
import { readFile } from 'node:fs/promises';
import { normalAddress } from '../wire/address.js';
import { guiseError } from '../errors.js';
import { run } from './command.js';
import { HOST } from '../policy.js';

/** The host's end and the stack's end. */
export interface TunAddresses {
  readonly local4: string;
  readonly peer4: string;
  readonly local6?: string;
  readonly peer6?: string;
}

/** IFF_PERSIST of linux/if_tun.h. */
const PERSISTENT = 0x0800;

/**
 * Gives an interface addresses and brings it up. `mtu` in bytes. Does nothing where all of that is so already: a
 * persistent interface that was prepared for a user needs no right of this process.
 */
export async function configureTun(name: string, addresses: TunAddresses, mtu: number): Promise<void> {
  if (await isConfigured(name, addresses, mtu)) return;
  const { local4, peer4, local6, peer6 } = addresses;
  const lines = [
    `link set dev ${name} mtu ${mtu} txqueuelen ${HOST.tunQueueLength} up`,
    `address replace ${local4} peer ${peer4}/32 dev ${name}`,
  ];
  if (local6 && peer6) lines.push(`address replace ${local6} peer ${peer6}/128 dev ${name}`);
  await run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
}

/** `address` is the far end of a point-to-point interface; `prefixlen` is of that network, or of `local`'s. */
export interface InterfaceAddress {
  readonly local: string;
  readonly address?: string;
  readonly prefixlen: number;
}

/** What `ip -json address` tells of an interface. */
interface InterfaceState {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly InterfaceAddress[];
}

/** All interfaces of this network namespace. */
export async function interfaces(): Promise<InterfaceState[]> {
  return JSON.parse(await run('ip', ['-json', 'address', 'show'])) as InterfaceState[];
}

async function isConfigured(name: string, addresses: TunAddresses, mtu: number): Promise<boolean> {
  const state = (await interfaces()).find(({ ifname }) => ifname === name);
  if (!state || state.mtu !== mtu || !state.flags.includes('UP')) return false;
  const { local4, peer4, local6, peer6 } = addresses;
  const has = (local: string, peer: string): boolean =>
    state.addr_info.some((each) => each.local === normalAddress(local) && each.address === normalAddress(peer));
  return has(local4, peer4) && (!local6 || !peer6 || has(local6, peer6));
}

/**
 * A TUN of this name that is not persistent belongs to a running process; attaching would steal half of its packets.
 *
 * @throws {GuiseError} ERR_GUISE_INTERFACE_TAKEN
 */
export async function refuseBusyTun(name: string): Promise<void> {
  const directory = `/sys/class/net/${name}`;
  const flags = await readFile(`${directory}/tun_flags`, 'utf8').catch(() => undefined);
  const exists = flags !== undefined || (await readFile(`${directory}/ifindex`, 'utf8').catch(() => undefined));
  if (!exists || (flags !== undefined && Number(flags) & PERSISTENT)) return;
  throw guiseError('ERR_GUISE_INTERFACE_TAKEN', { name });
}

/** Whether a new interface may have IPv6 addresses: containers often have it switched off. */
export async function hasIPv6(): Promise<boolean> {
  const disabled = await readFile('/proc/sys/net/ipv6/conf/default/disable_ipv6', 'utf8').catch(() => '1');
  return disabled.trim() === '0';
}
