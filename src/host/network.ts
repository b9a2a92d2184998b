/** Everything that a tunnel needs of the host's network, undone when disposed or when the process dies. */
import { readFile } from 'node:fs/promises';
import { systemError } from '../errors.js';
import { installFirewall, rules, type FirewallOptions } from './firewall.js';
import { enableForwarding } from './forwarding.js';
import { Janitor } from './janitor.js';
import { configureTun, type TunAddresses } from './tun_interface.js';

export interface HostNetworkOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly addresses: TunAddresses;
  readonly mtu: number;
  readonly firewall: boolean;
  /** The server's TCP port. */
  readonly port?: number;
}

export interface HostNetwork extends AsyncDisposable {
  /** What was set up, one line each. */
  readonly done: readonly string[];
}

/** @throws {GuiseError} EADDRINUSE when a program listens on the server's port, which NAT would cut off */
export async function setUpHostNetwork(options: HostNetworkOptions): Promise<HostNetwork> {
  const { tun, addresses, mtu, port } = options;
  if (port !== undefined) await refusePortInUse(port);
  const janitor = new Janitor();
  const undo: AsyncDisposable[] = [janitor];
  const dispose = async (): Promise<void> => {
    for (const each of undo.splice(0).reverse()) await each[Symbol.asyncDispose]();
  };
  try {
    await configureTun(tun, addresses, mtu);
    const changed = await enableForwarding(janitor, addresses.peer6 !== undefined);
    const firewallDone = await setUpFirewall(options, janitor, undo);
    const { local4, peer4, local6, peer6 } = addresses;
    const done = [
      `interface ${tun}: ${local4} -> ${peer4}${local6 ? `, ${local6} -> ${peer6}` : ''}, MTU ${mtu}`,
      `forwarding: ${changed.length > 0 ? `switched on ${changed.join(', ')}` : 'was on'}`,
      ...firewallDone,
    ];
    return { done, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function setUpFirewall(
  { role, tun, addresses: { peer4, peer6 }, firewall, port }: HostNetworkOptions,
  janitor: Janitor,
  undo: AsyncDisposable[],
): Promise<string[]> {
  const wanted: FirewallOptions = {
    role, tun, peer4, ...(peer6 === undefined ? {} : { peer6 }), ...(port === undefined ? {} : { port }),
  };
  if (!firewall) {
    return ['firewall: left alone; these rules are needed (nft -f):', ...rules(wanted).split('\n')];
  }
  const installed = await installFirewall(wanted, janitor);
  undo.push(installed);
  const nat = role === 'client' ? `masquerade of ${peer4}` : `TCP port ${port} to ${peer4}`;
  const done = [`firewall: ${nat}, in an nftables table that goes with this process`];
  if (installed.opened.length > 0) done.push(`firewall: let ${tun} through ${installed.opened.join(', ')}`);
  return done;
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
