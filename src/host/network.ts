/** Everything that a tunnel needs of the host's network: kept so, and undone when disposed or when the process dies. */
import { readFile } from 'node:fs/promises';
import { guiseError, systemError } from '../errors.js';
import { claim } from './claim.js';
import { Firewall } from './firewall.js';
import { rules, type FirewallOptions } from './firewall_rules.js';
import { Forwarding } from './forwarding.js';
import { Janitor } from './janitor.js';
import { Keeper, type Kept } from './keeper.js';
import { configureTun, type TunAddresses } from './tun_interface.js';

export interface HostNetworkOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly addresses: TunAddresses;
  readonly mtu: number;
  readonly firewall: boolean;
  /** The server's TCP port. */
  readonly port?: number;
  /** Told what others had undone. */
  readonly warn: (sentence: string) => void;
}

export interface HostNetwork extends AsyncDisposable {
  /** What was set up, one line each. */
  readonly done: readonly string[];
}

/** @throws {GuiseError} ERR_GUISE_PORT_TAKEN when another guise has the server's port; EADDRINUSE when a program has it
 * that NAT would cut off */
export async function setUpHostNetwork(options: HostNetworkOptions): Promise<HostNetwork> {
  const { tun, addresses, mtu, port, warn } = options;
  const claimed = port === undefined ? [] : await claimPort(port, options.firewall);
  const janitor = new Janitor();
  const kept: Kept[] = [new Forwarding(addresses.peer6 !== undefined)];
  if (options.firewall) kept.push(new Firewall(firewallOptions(options), janitor));
  const undo: AsyncDisposable[] = [...claimed, janitor, ...kept];
  const dispose = async (): Promise<void> => {
    for (const each of undo.splice(0).reverse()) await each[Symbol.asyncDispose]();
  };
  try {
    await configureTun(tun, addresses, mtu);
    const { local4, peer4, local6, peer6 } = addresses;
    const done = [`interface ${tun}: ${local4} -> ${peer4}${local6 ? `, ${local6} -> ${peer6}` : ''}, MTU ${mtu}`];
    for (const part of kept) done.push(...(await part.ensure()));
    undo.push(new Keeper(kept, warn));
    if (!options.firewall) done.push(...neededRules(options));
    return { done, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function firewallOptions({ role, tun, addresses: { peer4, peer6 }, port }: HostNetworkOptions): FirewallOptions {
  return { role, tun, peer4, ...(peer6 === undefined ? {} : { peer6 }), ...(port === undefined ? {} : { port }) };
}

function neededRules(options: HostNetworkOptions): string[] {
  return ['firewall: left alone; these rules are needed (nft -f):', ...rules(firewallOptions(options)).split('\n')];
}

/** Rules of one's own may well lead one port to two servers, by address. */
async function claimPort(port: number, firewall: boolean): Promise<AsyncDisposable[]> {
  await refusePortInUse(port);
  if (!firewall) return [];
  const claimed = await claim(`TCP port ${port}`);
  if (claimed) return [claimed];
  throw guiseError('ERR_GUISE_PORT_TAKEN', { port });
}

/** A listening TCP socket shows in /proc/net/tcp as state 0A, its port in hexadecimal. */
async function refusePortInUse(port: number): Promise<void> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  for (const path of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(1);
    for (const line of lines) {
      const [, local, , state] = line.trim().split(/\s+/);
      if (state === '0A' && local?.endsWith(`:${wanted}`)) {
        throw systemError('EADDRINUSE', 'listen', { address: '0.0.0.0', port });
      }
    }
  }
}
