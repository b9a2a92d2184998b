import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import t, { type Test } from 'tap';
import { run, type RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const FIRST = ['--local', '4567', '--remote', '127.0.0.1:7000', '--device', 'tun'];
const SECOND = [
  '--local',
  '4568',
  '--remote',
  '127.0.0.1:7000',
  '--tun-local',
  '192.168.202.1',
  '--tun-peer',
  '192.168.202.2',
  '--tun-local6',
  'fcca::1',
  '--tun-peer6',
  'fcca::2',
];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote'];

async function forwarding(host: Host): Promise<string> {
  const files = ['/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding'];
  return (await host.run('cat', files)).trim().replace('\n', ' ');
}

async function setForwarding(host: Host, value: 0 | 1): Promise<void> {
  await host.sysctl('net.ipv4.ip_forward', value);
  await host.sysctl('net.ipv6.conf.all.forwarding', value);
}

async function pids(host: Host): Promise<string[]> {
  return (await run('ip', ['netns', 'pids', host.name])).split('\n').filter((line) => line !== '');
}

/** A server that is ready, and its process with all that it started. */
async function startServer(host: Host, args: string[]): Promise<{ server: RunningProgram; family: string[] }> {
  const before = await pids(host);
  const server = await host.guise('server', args);
  return { server, family: (await pids(host)).filter((pid) => !before.includes(pid)) };
}

/** Waits until all processes are gone, so that all that they undo is undone. */
async function gone(host: Host, family: string[]): Promise<void> {
  while ((await pids(host)).some((pid) => family.includes(pid)));
}

t.test('forwarding stays on for as long as one of two servers needs it', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    for (const [kind, order] of [
      ['first', [0, 1]],
      ['second', [1, 0]],
    ] as const) {
      await setForwarding(host, 0);
      const servers = [await startServer(host, FIRST), await startServer(host, SECOND)];
      t.match(servers[0]!.server.output, /forwarding: switched on net.ipv4.ip_forward, net.ipv6.conf.all.forwarding/);
      t.match(servers[1]!.server.output, /forwarding: was on/);
      const [goes, stays] = [servers[order[0]]!, servers[order[1]]!];
      await goes.server.stop(signal);
      await gone(host, goes.family);
      t.equal(await forwarding(host), '1 1', `the ${kind} ended by ${signal}`);
      const client = await rig.client.guise('client', [...CLIENT, `10.0.2.2:${order[1] ? 4568 : 4567}`]);
      const echo = await startPeer(host, '--bind 127.0.0.1:7000 --echo');
      t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0, 'the other one still carries');
      await Promise.all([echo.stop(), client.stop()]);
      t.notMatch(stays.server.output, /again/, 'and has had nothing to mend');
      await stays.server.stop(signal);
      await gone(host, stays.family);
      t.equal(await forwarding(host), '0 0', 'as it was');
    }
  }
});

t.test('two servers that are killed at once leave forwarding as it was', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  for (const before of [0, 1] as const) {
    await setForwarding(host, before);
    const servers = [await startServer(host, FIRST), await startServer(host, SECOND)];
    await Promise.all(servers.map(({ server }) => server.stop('SIGKILL')));
    await gone(
      host,
      servers.flatMap(({ family }) => family),
    );
    t.equal(await forwarding(host), `${before} ${before}`);
  }
});

t.test('forwarding that somebody switches off is switched on again', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await setForwarding(rig.server, 1);
  const server = await rig.server.guise('server', FIRST);
  await rig.client.guise('client', [...CLIENT, '10.0.2.2:4567']);
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
  t.match(server.output, /forwarding: was on/);
  for (const times of [0, 1]) {
    await setForwarding(rig.server, 0);
    await server.waitFor(/forwarding: switched on .*net.ipv4.ip_forward.* again: it had been switched off/, times);
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
  }
  t.equal(await server.stop(), 0);
  t.equal(await forwarding(rig.server), '0 0', 'as somebody wanted it');
});

/** Sends a router advertisement ten times a second to all of a link (RFC 4861 §4.2). */
const ADVERTISE = `
import socket, struct, sys, time
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
index = socket.if_nametoindex(sys.argv[1])
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
while True:
    try: s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), ('ff02::1', 0, 0, index))
    except OSError: pass
    time.sleep(0.1)`;

t.test('a TUN does not take the IPv6 default route that a router advertises', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  await setForwarding(host, 0);
  await host.sysctl('net.ipv6.conf.eth0.accept_ra', 1);
  await host.run('ip', ['-6', 'route', 'delete', 'default']);
  const advertised = (): Promise<string> => host.run('ip', ['-6', 'route', 'show', 'default', 'proto', 'ra']);
  await using router = rig.router.start('python3', ['-c', ADVERTISE, 'server']);
  while ((await advertised()) === '');
  await router.stop('SIGKILL');
  const acceptRa = async (): Promise<string> =>
    (await host.run('cat', ['/proc/sys/net/ipv6/conf/eth0/accept_ra'])).trim();

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const { server, family } = await startServer(host, FIRST);
    t.match(server.output, /IPv6: accept_ra of eth0 is 2, so that it keeps its default route/);
    t.match(await advertised(), /^default via fe80:.* dev eth0/, 'the route is there');
    t.equal(await acceptRa(), '2');
    await server.stop(signal);
    await gone(host, family);
    t.same([await forwarding(host), await acceptRa()], ['0 0', '1'], `as it was, after ${signal}`);
    t.match(await advertised(), /^default via fe80:/, 'and the route still is');
  }
});

t.test('without flock nothing is switched on, and one sentence says so', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  await setForwarding(host, 0);
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const program of ['ip', 'nft', 'cat', 'sed', 'sort', 'sleep', 'grep', 'sh', process.execPath]) {
    const path = (await host.run('sh', ['-c', `readlink -f $(command -v ${program})`])).trim();
    await copyFile(path, join(folder, basename(program)));
  }
  const main = new URL('../../server/main.js', import.meta.url).pathname;
  // It is looked for here without a PATH, too.
  const script = '/bin/mount --bind "$PATH" /usr/bin && exec "$@"';
  const server = host.start('/bin/sh', ['-c', script, 'sh', process.execPath, main, ...FIRST], {
    env: { PATH: folder },
  });
  t.equal(await server.exited, 1);
  t.match(server.output, /^guise: The program `flock` is missing; install util-linux.*\.$/);
  t.equal(await forwarding(host), '0 0');
});

/** A container's view: sysctls can be read only. It knows one name more, with addresses of both families. */
const CONTAINER = `mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
  mount --bind "$1" /etc/hosts && shift && exec "$@"`;

type InContainer = (host: Host, part: 'client' | 'server', args: readonly string[]) => RunningProgram;

async function containers(t: Test): Promise<InContainer> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const hosts = join(folder, 'hosts');
  await writeFile(hosts, 'fd00:2::2 server.test\n10.0.2.2 server.test\n');
  return (host, part, args) => {
    const main = new URL(`../../${part}/main.js`, import.meta.url).pathname;
    return host.start('unshare', ['--mount', 'sh', '-c', CONTAINER, 'sh', hosts, process.execPath, main, ...args]);
  };
}

t.test('where sysctls are read-only and IPv6 is not forwarded, IPv4 goes on', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const inContainer = await containers(t);
  for (const host of [rig.server, rig.client]) {
    await setForwarding(host, 0);
    await host.sysctl('net.ipv4.ip_forward', 1);
  }
  const said = /IPv6: off, IPv4 goes on\..*read-only.*`--sysctl net\.ipv6\.conf\.all\.forwarding=1`/;
  const server = inContainer(rig.server, 'server', FIRST);
  await server.waitFor(/ready/);
  t.match(server.output, said);
  const four = inContainer(rig.client, 'client', [...CLIENT, '10.0.2.2:4567', '--device', 'tun']);
  await four.waitFor(/ready/);
  t.notMatch(four.output, /IPv6/, 'who needs no IPv6 is told nothing of it');
  const both = ['--local', '127.0.0.1:5001', '--remote', 'server.test:4567', '--device', 'tun'];
  const mixed = inContainer(rig.client, 'client', both);
  await mixed.waitFor(/ready/);
  t.match(mixed.output, said);
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  for (const port of [5000, 5001]) {
    t.equal((await ping(rig.client, `--to 127.0.0.1:${port} --count 5`)).lost, 0, `${port}`);
  }
  t.notMatch(mixed.output, /EADDRNOTAVAIL/);
  t.notMatch(await rig.server.run('nft', ['list', 'ruleset']), /ip6/, 'no rule leads IPv6 nowhere');
  t.equal(await server.stop(), 0);
});

t.test(
  'where interfaces get no IPv6, as in a container of Docker, IPv4 goes on',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const inContainer = await containers(t);
    for (const host of [rig.server, rig.client]) {
      await host.sysctl('net.ipv4.ip_forward', 1);
      await host.sysctl('net.ipv6.conf.all.disable_ipv6', 1);
    }
    await inContainer(rig.server, 'server', FIRST).waitFor(/ready/);
    const args = ['--local', '127.0.0.1:5000', '--remote', 'server.test:4567', '--device', 'tun'];
    const client = inContainer(rig.client, 'client', args);
    await client.waitFor(/ready/);
    t.match(client.output, /IPv6: off, IPv4 goes on\. .*disable_ipv6.*`--sysctl net\.ipv6\.conf\.all\.disable_ipv6=0`/);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
  },
);

t.test(
  'what cannot go on without a read-only sysctl says what helps in a container',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const inContainer = await containers(t);
    await setForwarding(rig.server, 0);
    await setForwarding(rig.client, 0);
    const refused = async (
      host: Host,
      part: 'client' | 'server',
      args: readonly string[],
      sysctl: string,
    ): Promise<void> => {
      const program = inContainer(host, part, args);
      t.equal(await program.exited, 1, `${part} ${sysctl}`);
      t.match(
        program.output,
        new RegExp(`^guise: .*${sysctl}.*read-only.*\`--sysctl ${sysctl}=1\`.*packet sockets.*\\.$`),
      );
    };
    await refused(rig.server, 'server', FIRST, 'net.ipv4.ip_forward');
    for (const host of [rig.server, rig.client]) await host.sysctl('net.ipv4.ip_forward', 1);
    const ipv6 = 'net.ipv6.conf.all.forwarding';
    await refused(rig.client, 'client', [...CLIENT, '[fd00:2::2]:4567', '--device', 'tun'], ipv6);
    const local = ['--local', '[fd00:2::2]:4567', '--remote', '127.0.0.1:7000', '--device', 'tun'];
    await refused(rig.server, 'server', local, ipv6);
  },
);
