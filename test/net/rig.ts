/**
 * Three hosts in network namespaces, client – router – server, with NAT in between. Demo, tests and benchmarks share it.
 *
 *     client 10.0.1.2 ── 10.0.1.1 router 10.0.2.1 ── 10.0.2.2 server
 *     client fd00:1::2 ── fd00:1::1     fd00:2::1 ── fd00:2::2
 *
 * The router masquerades what the client sends, so the server sees 10.0.2.1. Everything goes with the rig, which goes
 * when it is disposed; rigs of processes that died are removed by the next one.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run, RunningProgram, start, type RunOptions } from './process.js';

const PREFIX = 'guise-rig';
let created = 0;

/** Why no rig can be made here, or undefined when one can. Tests give it as their reason to skip. */
export function noRig(): string | undefined {
  if (process.getuid!() !== 0) return 'namespaces need root, or a user namespace (see CONTRIBUTING.md)';
  const capabilities = /CapEff:\s*(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const CAP_NET_ADMIN = 12n;
  return (BigInt(`0x${capabilities}`) >> CAP_NET_ADMIN) & 1n ? undefined : 'namespaces need CAP_NET_ADMIN';
}

/** The root of the repository, from dist/test/net. */
const root = fileURLToPath(new URL('../../..', import.meta.url));

export class Host {
  readonly name: string;
  readonly address4: string;
  readonly address6: string;
  readonly #started: RunningProgram[] = [];

  constructor(name: string, address4: string, address6: string) {
    this.name = name;
    this.address4 = address4;
    this.address6 = address6;
  }

  /** Runs a program on this host to its end; its standard output. */
  run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
    return run('ip', ['netns', 'exec', this.name, command, ...args], options);
  }

  /** Starts a program on this host; it is killed with the rig at the latest. */
  start(command: string, args: readonly string[] = [], options: RunOptions = {}): RunningProgram {
    // `ip netns exec` becomes the program, so that a signal reaches it.
    const program = start('ip', ['netns', 'exec', this.name, command, ...args], options);
    this.#started.push(program);
    return program;
  }

  /** Starts guise's client or server and waits until it is ready. */
  async guise(part: 'client' | 'server', args: readonly string[], options: RunOptions = {}): Promise<RunningProgram> {
    const program = this.start(process.execPath, [`${root}/dist/${part}/main.js`, ...args], options);
    await program.waitFor(/ready \(pid/);
    return program;
  }

  /** Applies rules as `nft -f`. */
  async nft(rules: string): Promise<void> {
    await this.run('nft', ['-f', '-'], { input: rules });
  }

  /** Packets that the first counter of a chain has seen. */
  async counter(table: string, chain: string): Promise<number> {
    const listing = await this.run('nft', ['list', 'chain', 'inet', table, chain]);
    return Number(/counter packets (\d+)/.exec(listing)?.[1] ?? Number.NaN);
  }

  async sysctl(name: string, value: string | number): Promise<void> {
    await this.run('sysctl', ['-qw', `${name}=${value}`]);
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.#started.map((program) => program.stop('SIGKILL')));
  }
}

export interface RigOptions {
  /** Drop and count what conntrack finds INVALID, with no liberality. */
  readonly strict?: boolean;
  /** All hosts take any sequence number for valid: what peers need that do not acknowledge. */
  readonly liberal?: boolean;
  /** MTU of all links. */
  readonly mtu?: number;
  /** Links like a NIC without TSO: the kernel cuts what leaves, and merges (GRO) what arrives, as NICs do by default. */
  readonly noTso?: boolean;
}

export class Rig implements AsyncDisposable {
  readonly client: Host;
  readonly router: Host;
  readonly server: Host;
  #losses = 0;

  private constructor(id: string) {
    this.client = new Host(`${id}-c`, '10.0.1.2', 'fd00:1::2');
    this.router = new Host(`${id}-r`, '10.0.2.1', 'fd00:2::1');
    this.server = new Host(`${id}-s`, '10.0.2.2', 'fd00:2::2');
  }

  static async create({ strict = false, liberal = false, mtu = 1500, noTso = false }: RigOptions = {}): Promise<Rig> {
    await removeStale();
    const rig = new Rig(`${PREFIX}-${process.pid}-${++created}`);
    try {
      await rig.#build(mtu, noTso);
      await rig.#configureRouter(strict);
      if (liberal) {
        for (const host of rig.hosts) await host.sysctl('net.netfilter.nf_conntrack_tcp_be_liberal', 1);
      }
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  get hosts(): readonly Host[] {
    return [this.client, this.router, this.server];
  }

  /** Segments that the strict router found INVALID. */
  invalid(): Promise<number> {
    return this.router.counter('rig', 'strict');
  }

  /** Drops a fraction of what the router forwards. `match` is an nft expression, empty for everything. */
  async lose(fraction: number, match = ''): Promise<void> {
    const rule = `${match} numgen random mod 10000 < ${Math.round(fraction * 10_000)} counter drop`;
    await this.router.nft(`table inet rig { chain loss${++this.#losses} {
      type filter hook forward priority -10; ${rule}; }; }`);
  }

  /** Drops the first packet that matches, and no other. Returns a function that says how many it dropped. */
  async dropFirst(match: string): Promise<() => Promise<number>> {
    const chain = `once${++this.#losses}`;
    // A token bucket that holds one and is never refilled in time.
    await this.router.nft(`table inet rig { chain ${chain} {
      type filter hook forward priority -10; ${match} limit rate 1/day burst 1 packets counter drop; }; }`);
    return () => this.router.counter('rig', chain);
  }

  /** Follows the router's server side with tcpdump: a line a packet. */
  async capture(filter: string): Promise<RunningProgram> {
    const args = ['-i', 'server', '-n', '-l', '--immediate-mode', '-tt', ...filter.split(' ')];
    const program = this.router.start('tcpdump', args);
    await program.waitFor(/listening on/);
    return program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.stopAll()));
    await Promise.all(this.hosts.map((host) => run('ip', ['netns', 'delete', host.name]).catch(() => {})));
  }

  async #build(mtu: number, noTso: boolean): Promise<void> {
    for (const host of this.hosts) {
      await run('ip', ['netns', 'add', host.name]);
      await host.run('ip', ['link', 'set', 'lo', 'up']);
    }
    for (const [host, net, name] of [
      [this.client, 1, 'client'],
      [this.server, 2, 'server'],
    ] as const) {
      const router = this.router.name;
      await run('ip', [
        'link',
        'add',
        'eth0',
        'mtu',
        `${mtu}`,
        'netns',
        host.name,
        'type',
        'veth',
        'peer',
        'name',
        name,
        'mtu',
        `${mtu}`,
        'netns',
        router,
      ]);
      await configure(host, 'eth0', net, 2);
      await configure(this.router, name, net, 1);
      await host.run('ip', ['route', 'add', 'default', 'via', `10.0.${net}.1`]);
      await host.run('ip', ['-6', 'route', 'add', 'default', 'via', `fd00:${net}::1`]);
      if (!noTso) continue;
      const features = ['tx-tcp-segmentation', 'off', 'tx-tcp6-segmentation', 'off', 'gro', 'on'];
      await host.run('ethtool', ['-K', 'eth0', ...features]);
      await this.router.run('ethtool', ['-K', name, ...features]);
    }
  }

  async #configureRouter(strict: boolean): Promise<void> {
    await this.router.sysctl('net.ipv4.ip_forward', 1);
    await this.router.sysctl('net.ipv6.conf.all.forwarding', 1);
    await this.router.nft(`table inet rig {
      chain nat { type nat hook postrouting priority srcnat; oifname "server" masquerade; };
      chain strict { type filter hook forward priority filter; ${strict ? 'ct state invalid counter drop;' : ''} };
    }`);
    if (strict) await this.router.sysctl('net.netfilter.nf_conntrack_tcp_be_liberal', 0);
  }
}

async function configure(host: Host, device: string, net: number, number: number): Promise<void> {
  await host.run('ip', ['address', 'add', `10.0.${net}.${number}/24`, 'dev', device]);
  await host.run('ip', ['address', 'add', `fd00:${net}::${number}/64`, 'dev', device, 'nodad']);
  await host.run('ip', ['link', 'set', device, 'up']);
}

/** New namespaces of this process, one for each part, by name; like a rig's they are removed when it has died. */
export async function namespaces(parts: readonly string[]): Promise<string[]> {
  await removeStale();
  const id = `${PREFIX}-${process.pid}-${++created}`;
  const names = parts.map((part) => `${id}-${part}`);
  for (const name of names) await run('ip', ['netns', 'add', name]);
  return names;
}

async function removeStale(): Promise<void> {
  const names = (await run('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0]!);
  for (const name of names) {
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    const left = (await run('ip', ['netns', 'pids', name])).split('\n').filter((line) => line !== '');
    for (const each of left) process.kill(Number(each), 'SIGKILL');
    await run('ip', ['netns', 'delete', name]).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
