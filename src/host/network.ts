/**
 * Everything that a tunnel needs of the host's network: kept so, and undone when disposed or when the process dies.
 *
 * | what is set up                                 | who undoes it when the process dies                              |
 * |------------------------------------------------|------------------------------------------------------------------|
 * | TUN interface, its addresses, routes, MTU and  | the kernel, with the interface's descriptor                      |
 * | state (tun_interface.ts)                       |                                                                  |
 * | addresses and port held against others         | the kernel, with the socket of a name lock (name_lock.ts)        |
 * | forwarding (forwarding.ts)                     | an undo child for each sysctl (undo_child.ts), the last tunnel's |
 * | NAT in a table of ours (owned_table.ts)        | the kernel, with the child that owns the table                   |
 * | rules in the chains of others (firewall.ts)    | the undo list (undo_list.ts)                                     |
 *
 * `look/` reads what is there, and changes nothing.
 */
import { causeSentence } from '../errors.js';
import { Disposables } from './disposables.js';
import { Firewall } from './firewall.js';
import { rules, type FirewallOptions } from './firewall_rules.js';
import { Forwarding } from './forwarding.js';
import { holdServerPort } from './server_port.js';
import type { TunAddresses } from './look/interfaces.js';
import { TunInterface } from './tun_interface.js';
import type { Endpoint } from '../wire/endpoint.js';
import { UndoList } from './undo_list.js';
import { Upkeep, type HostPart } from './upkeep.js';

export interface HostNetworkOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly addresses: TunAddresses;
  readonly mtu: number;
  readonly firewall: boolean;
  /** The server's TCP port. */
  readonly listening?: Endpoint;
  /** Told what others had undone, and what stands in the way. */
  readonly warn: (sentence: string) => void;
}

export interface HostNetwork extends AsyncDisposable {
  /** What is known of connections that are not answered, in one sentence. */
  explainSilence(): Promise<string | undefined>;
  /** What was set up, one line each. */
  readonly done: readonly string[];
}

/** @throws {GuiseError} ERR_GUISE_PORT_TAKEN when another guise has the server's port; EADDRINUSE when a program has it
 * that NAT would cut off */
export async function setUpHostNetwork(options: HostNetworkOptions): Promise<HostNetwork> {
  const { tun, addresses, mtu, listening, warn } = options;
  const opened = new Disposables();
  try {
    if (listening) opened.use(await holdServerPort(listening.port, options.firewall));
    const undoList = opened.use(new UndoList());
    const parts: HostPart[] = [
      opened.use(new TunInterface(tun, addresses, mtu)),
      opened.use(new Forwarding(addresses.peer6 !== undefined)),
    ];
    const firewall = options.firewall ? opened.use(new Firewall(firewallOptions(options), undoList, warn)) : undefined;
    if (firewall) parts.push(firewall);
    const done: string[] = [];
    for (const part of parts) done.push(...(await part.ensure()));
    opened.use(new Upkeep(parts, warn));
    if (!options.firewall) done.push(...neededRules(options));
    const explainSilence = async (): Promise<string | undefined> =>
      (await firewall?.countConnections()) === 0
        ? causeSentence({ cause: 'notForwarded', details: { tun } })
        : undefined;
    return { done, explainSilence, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

function firewallOptions({ role, tun, addresses: { peer4, peer6 }, listening }: HostNetworkOptions): FirewallOptions {
  return { role, tun, peer4, ...(peer6 === undefined ? {} : { peer6 }), ...(listening ? { listening } : {}) };
}

function neededRules(options: HostNetworkOptions): string[] {
  return ['firewall: left alone; these rules are needed (nft -f):', ...rules(firewallOptions(options)).split('\n')];
}
