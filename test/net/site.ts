/**
 * Where a stack of `guise/netstack`, or another, meets the kernel's: one or two hosts in namespaces, and what lies between.
 * Tests and the netstack race share it.
 *
 *     nothing    one host; a stack's TUN is on it
 *     a veth     peer 10.9.1.1 ── 10.9.1.2 host
 *     a path     the same by `path_relay`, which is slow, long or bad
 *
 * The stack is 10.8.0.2, behind an interface of its host.
 */
import { fileURLToPath } from 'node:url';
import { run } from './process.js';
import { Host, namespaces } from './rig.js';

/** A path's flags: see `path_relay`. */
export type Path = string;

export const TUN = 'stack';
export const STACK = '10.8.0.2';
export const HOST = '10.9.1.2';
const PEER = '10.9.1.1';
const NET = '10.8.0.0/24';

const relay = fileURLToPath(new URL('../../../build/Release/path_relay', import.meta.url));

export class Site implements AsyncDisposable {
  /** Who opens connections. */
  readonly peer: Host;
  /** Who has the stack. */
  readonly host: Host;

  private constructor(peer: Host, host: Host) {
    this.peer = peer;
    this.host = host;
  }

  /** One host, with a TUN for a stack. */
  static async alone(): Promise<Site> {
    return await Site.#build(1, (site) => site.#addTun());
  }

  /** Two, with a veth between them. */
  static async veth({ offload }: { offload: boolean }): Promise<Site> {
    return await Site.#build(2, async (site) => {
      const { peer, host } = site;
      const far = ['peer', 'name', 'path', 'netns', host.name];
      await run('ip', ['link', 'add', 'path', 'netns', peer.name, 'type', 'veth', ...far]);
      await site.#configure();
      if (offload) return;
      for (const each of [peer, host])
        await each.run('ethtool', [
          '-K',
          'path',
          'tx-tcp-segmentation',
          'off',
          'tx-tcp6-segmentation',
          'off',
          'gro',
          'off',
        ]);
    });
  }

  /** Two, with a path between them, and a TUN for a stack behind the farther one. */
  static async path(path: Path): Promise<Site> {
    return await Site.#build(2, async (site) => {
      const { peer, host } = site;
      const program = peer.start(relay, ['path', '--from', peer.name, '--to', host.name, ...path.split(' ')]);
      await program.waitFor(/^ready$/);
      await site.#configure();
      await site.#addTun();
      await host.sysctl('net.ipv4.ip_forward', 1);
      await peer.run('ip', ['route', 'add', NET, 'via', HOST]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const hosts = new Set([this.peer, this.host]);
    for (const host of hosts) await host.stopAll();
    for (const host of hosts) await run('ip', ['netns', 'delete', host.name]);
  }

  static async #build(count: 1 | 2, build: (site: Site) => Promise<void>): Promise<Site> {
    const names = await namespaces(count === 1 ? ['p'] : ['p', 'h']);
    const hosts = names.map((name, index) => new Host(name, index === 0 ? PEER : HOST, ''));
    const site = new Site(hosts[0]!, hosts[count - 1]!);
    try {
      for (const host of hosts) {
        await host.run('ip', ['link', 'set', 'lo', 'up']);
        // What one connection learned of the path is not for the next, and there are ports for all.
        await host.sysctl('net.ipv4.tcp_no_metrics_save', 1);
        await host.sysctl('net.ipv4.ip_local_port_range', '10000 65000');
      }
      await build(site);
      return site;
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #configure(): Promise<void> {
    for (const [host, address] of [
      [this.peer, PEER],
      [this.host, HOST],
    ] as const) {
      await host.run('ip', ['address', 'add', `${address}/24`, 'dev', 'path']);
      await host.run('ip', ['link', 'set', 'path', 'up']);
    }
  }

  async #addTun(): Promise<void> {
    await this.host.run('ip', ['tuntap', 'add', 'dev', TUN, 'mode', 'tun']);
    await this.host.run('ip', ['address', 'add', '10.8.0.1/24', 'dev', TUN]);
    await this.host.run('ip', ['link', 'set', TUN, 'up']);
  }
}
