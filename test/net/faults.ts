/** What networks and strangers do to a tunnel. Each fault works on a rig with a running client and server. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningProgram } from './process.js';
import type { Host, Rig } from './rig.js';

export type Part = 'client' | 'server';

/** The rig under load. Its client has a second way to the router, eth1 with 10.0.3.2, beside eth0. */
export interface Scene {
  readonly rig: Rig;
  /** The process that runs now. */
  program(part: Part): RunningProgram;
  /** Ends it with SIGKILL, starts another and waits until it is ready. */
  restart(part: Part): Promise<void>;
  stopService(): void;
  startService(): Promise<void>;
}

/** Takes a fault away. */
export type Undo = () => Promise<void>;

/** What segments go through at both ends. */
export type Device = 'packet' | 'tun';

export interface Fault {
  readonly name: string;
  /** It can happen on this device alone. */
  readonly only?: Device;
  /** Seconds: the range in a random run, the value in a measured one. Recovery counts from the end of what lasts. */
  readonly lasts?: { readonly random: readonly [number, number]; readonly measured: number };
  /** Breaks it. A fault that does not last is undone when it was survived, if there is something to undo. */
  inject(scene: Scene): Promise<Undo> | Promise<void>;
}

const PARTS: readonly Part[] = ['client', 'server'];
const SUSPENSION = { random: [1, 8], measured: 10 } as const;

/** A fault of the client's host, and the same of the server's. */
function both(
  name: (part: Part) => string,
  inject: (scene: Scene, part: Part) => Promise<Undo> | Promise<void>,
  more: Pick<Fault, 'only'> = {},
): Fault[] {
  return PARTS.map((part) => ({ name: name(part), inject: (scene) => inject(scene, part), ...more }));
}

const FAULTS: readonly Fault[] = [
  ...both(
    (part) => `${part} killed and restarted`,
    (scene, part) => scene.restart(part),
  ),
  { name: 'NAT rebinding', inject: rebind },
  { name: 'conntrack flushed on the router', inject: async ({ rig }) => flushConntrack(rig.router) },
  { name: 'conntrack flushed, nothing picked up', inject: forget },
  { name: 'route change', inject: changeRoute },
  { name: 'link down', lasts: { random: [1, 10], measured: 60 }, inject: cutLink },
  { name: 'client suspended', lasts: SUSPENSION, inject: async (scene) => suspend(scene.program('client')) },
  { name: 'server suspended', lasts: SUSPENSION, inject: async (scene) => suspend(scene.program('server')) },
  { name: 'address change of the client', inject: changeAddress },
  ...both(
    (part) => `TUN of the ${part} deleted`,
    ({ rig }, part) => deleteTun(rig[part]),
    { only: 'tun' },
  ),
  ...both(
    (part) => `firewall flushed on the ${part}`,
    ({ rig }, part) => rig[part].nft('flush ruleset'),
  ),
  ...both(
    (part) => `firewall of the ${part} reloaded, forwards nothing`,
    ({ rig }, part) => closeFirewall(rig[part]),
  ),
  { name: 'backend restarted', lasts: { random: [0.5, 3], measured: 2 }, inject: stopBackend },
  { name: 'black hole', inject: swallow },
  { name: 'RST injected', inject: injectResets },
  { name: '30 % loss', lasts: { random: [2, 5], measured: 5 }, inject: loseSome },
];

export function faultsOn(device: Device): readonly Fault[] {
  return FAULTS.filter(({ only = device }) => only === device);
}

async function flushConntrack(host: Host): Promise<void> {
  await host.run('conntrack', ['-F']);
}

/** The router forgets its connections, and gives another port to each that goes on. */
async function rebind({ rig }: Scene): Promise<void> {
  const now = await rig.router.run('nft', ['list', 'chain', 'inet', 'rig', 'nat']);
  const first = now.includes(':20000-') ? 30_000 : 20_000;
  await rig.router.nft(`flush chain inet rig nat
    add rule inet rig nat oifname "server" meta l4proto tcp masquerade to :${first}-${first + 9999}`);
  await flushConntrack(rig.router);
}

/** The router forgets its connections, and takes segments in their middle for INVALID. */
async function forget({ rig }: Scene): Promise<Undo> {
  await rig.router.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0);
  await flushConntrack(rig.router);
  return () => rig.router.sysctl('net.netfilter.nf_conntrack_tcp_loose', 1);
}

/** The client's default route goes over its other link. */
async function changeRoute({ rig }: Scene): Promise<void> {
  const via = (await defaultDevice(rig.client)) === 'eth0' ? '10.0.3.1' : '10.0.1.1';
  await rig.client.run('ip', ['route', 'replace', 'default', 'via', via]);
}

/** As a cable that is pulled: the client's link loses its carrier, and keeps its address and routes. */
async function cutLink({ rig }: Scene): Promise<Undo> {
  const link = (await defaultDevice(rig.client)) === 'eth0' ? 'client' : 'client2';
  await rig.router.run('ip', ['link', 'set', link, 'down']);
  return async () => {
    await rig.router.run('ip', ['link', 'set', link, 'up']);
  };
}

async function suspend(program: RunningProgram): Promise<Undo> {
  process.kill(program.pid, 'SIGSTOP');
  return async () => {
    process.kill(program.pid, 'SIGCONT');
  };
}

/** As another lease of DHCP: the client's address goes, its routes with it; another comes. */
async function changeAddress({ rig: { client } }: Scene): Promise<void> {
  const device = await defaultDevice(client);
  const net = device === 'eth0' ? 1 : 3;
  const now = await client.run('ip', ['-4', '-br', 'address', 'show', 'dev', device]);
  const [old, next] = now.includes(`10.0.${net}.2/`) ? [2, 3] : [3, 2];
  await client.run('ip', ['address', 'delete', `10.0.${net}.${old}/24`, 'dev', device]);
  await client.run('ip', ['address', 'add', `10.0.${net}.${next}/24`, 'dev', device]);
  await client.run('ip', ['route', 'replace', 'default', 'via', `10.0.${net}.1`]);
}

async function deleteTun(host: Host): Promise<void> {
  const [name] = (await host.run('ip', ['-br', 'link', 'show', 'type', 'tun'])).split(' ');
  await host.run('ip', ['link', 'delete', name!]);
}

/** As the reload of somebody else's firewall: all rules go, and a forward chain comes whose policy is to drop. */
async function closeFirewall(host: Host): Promise<Undo> {
  await host.nft(`flush ruleset
    table inet stranger { chain forward { type filter hook forward priority filter; policy drop; }; }`);
  return () => host.nft('delete table inet stranger');
}

async function stopBackend(scene: Scene): Promise<Undo> {
  scene.stopService();
  return () => scene.startService();
}

/** Nothing of the connections that are open passes the router any more, and nobody is told. */
async function swallow({ rig: { router } }: Scene): Promise<Undo> {
  const known = await router.run('conntrack', ['-L', '-p', 'tcp']);
  const ports = Array.from(known.matchAll(/sport=(\d+) dport=4567/g), ([, port]) => port).join(', ');
  await router.nft(`table inet hole { chain forward { type filter hook forward priority -20;
    tcp dport { ${ports} } drop; tcp sport { ${ports} } drop; }; }`);
  return () => router.nft('delete table inet hole');
}

/** The router answers segments of the client with RSTs, which bear the number that it expects, and swallows them. */
async function injectResets({ rig: { router } }: Scene): Promise<void> {
  await router.nft(`table inet injector { chain forward { type filter hook forward priority -20;
    tcp dport 4567 tcp flags & (syn | rst) == 0 limit rate 1/day burst 20 packets reject with tcp reset; }; }`);
  await delay(200);
  await router.nft('delete table inet injector');
}

async function loseSome({ rig: { router } }: Scene): Promise<Undo> {
  await router.nft(`table inet burst { chain forward { type filter hook forward priority -10;
    numgen random mod 10 < 3 drop; }; }`);
  return () => router.nft('delete table inet burst');
}

async function defaultDevice(host: Host): Promise<string> {
  return / dev (\S+)/.exec(await host.run('ip', ['-4', 'route', 'show', 'default']))![1]!;
}
