/** Packet sockets: what the host notices of them, which is nothing but a port. */
import t from 'tap';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import {
  capabilities,
  CLIENT,
  configuration,
  guise,
  losses,
  settled,
  SERVER,
  startEcho,
  startTunnel,
} from './packet_path.js';
import { natForPhantunServer } from './phantun.js';
import { run } from './process.js';
import { noRig, Rig, type Host } from './rig.js';

const skip = noRig() ?? false;
const CLIENT6 = ['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567'];

t.test('nothing on the host changes but a port that is held', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.server.sysctl('net.ipv4.ip_forward', 0);
  await rig.server.nft('table inet own { chain forward { type filter hook forward priority 0; policy drop; }; }');
  const hosts = [rig.client, rig.server];
  const state = (): Promise<Record<string, string>[]> => Promise.all(hosts.map(configuration));
  await settled(rig);
  const before = await state();
  t.match(before, [{ sysctls: /ip_forward/ }, { ruleset: /policy drop/, routes6: /default/, links: /eth0/ }]);
  await startEcho(rig.server);
  let { client, server } = await startTunnel(rig);
  t.same(await losses(rig.client), [0, 0]);
  t.same(await state(), before, 'while it runs');
  t.match(await rig.server.run('ss', ['-ltn']), /\*:4567\s/, 'the port is seen');
  t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
  t.same([await client.stop(), await server.stop()], [0, 0]);
  t.same(await state(), before, 'when it has ended');
  ({ client, server } = await startTunnel(rig));
  t.same(await losses(rig.client), [0, 0]);
  await Promise.all([client.stop('SIGKILL'), server.stop('SIGKILL')]);
  t.same(await state(), before, 'when it was killed');
  t.notMatch(await rig.server.run('ss', ['-ltn']), /4567/);
});

t.test('no capability is left', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, server } = await startTunnel(rig);
  await startEcho(rig.server);
  for (const { pid } of [client, server]) {
    const found = await capabilities(pid);
    t.ok(found.length > 5, 'with the threads of Node');
    t.same([...new Set(found)], ['0000000000000000']);
  }
  t.match(client.output, /privileges: keeps no capability; no_new_privs, system calls filtered/);
  t.same(await losses(rig.client), [0, 0]);
});

/** Nothing but what an application on this host needs, and neighbours that ask for addresses. */
const CLOSED = ['inet', 'ip', 'ip6'].map((family) => {
  const neighbours = family === 'ip' ? '' : 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept;';
  return `table ${family} closed {
    chain input { type filter hook input priority 0; policy drop; iif lo accept; ${neighbours} };
    chain forward { type filter hook forward priority 0; policy drop; }; }`;
});

async function closeLegacy(host: Host): Promise<void> {
  for (const program of ['iptables-legacy', 'ip6tables-legacy']) {
    await host.run(program, ['-A', 'INPUT', '-i', 'lo', '-j', 'ACCEPT']);
    for (const chain of ['INPUT', 'FORWARD']) await host.run(program, ['-P', chain, 'DROP']);
  }
  await host.run('ip6tables-legacy', ['-A', 'INPUT', '-p', 'icmpv6', '-j', 'ACCEPT']);
}

const hasLegacy = await run('sh', ['-c', 'command -v iptables-legacy']).then(Boolean, () => false);
for (const [name, close, reason] of [
  ['nftables', (host: Host) => host.nft(CLOSED.join('\n')), false],
  ['iptables-legacy', closeLegacy, hasLegacy ? false : 'iptables-legacy is not installed'],
] as const) {
  t.test(`${name} that drops all input and forwards nothing`, { skip: skip || reason, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create({ strict: true });
    const hosts = [rig.client, rig.server];
    await settled(rig);
    for (const host of hosts) await close(host);
    await startTunnel(rig);
    await startEcho(rig.server);
    await guise(rig.client, 'client', CLIENT6);
    t.same(await losses(rig.client), [0, 0], 'IPv4');
    t.same(await losses(rig.client, '[::1]:5000'), [0, 0], 'IPv6');
    for (const address of ['10.0.1.2', '10.0.2.2']) {
      const ping = rig.router.run('ping', ['-q', '-c', '1', '-W', '1', address]);
      await t.rejects(ping, 'all else is dropped');
    }
  });
}

t.test('the rules that phantun wants may stay', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await natForPhantunServer(rig.server);
  await rig.client.sysctl('net.ipv4.ip_forward', 1);
  await rig.client.nft(`table inet phantun { chain postrouting { type nat hook postrouting priority srcnat;
    ip saddr 192.168.200.2 masquerade; oifname "eth0" masquerade; }; }`);
  await startTunnel(rig);
  await startEcho(rig.server);
  t.same(await losses(rig.client), [0, 0]);
});

t.test('with nothing to write to and no tool at hand', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  // `ip netns exec` has made a mount namespace of its own.
  const bare = `mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && mount -t tmpfs tmpfs /dev/net &&
    setpriv=$(command -v "$1") && shift && export PATH=/nowhere && exec $setpriv "$@"`;
  for (const [part, args] of [
    ['server', SERVER],
    ['client', CLIENT],
  ] as const) {
    const { pid } = await guise(rig[part], part, args, ['sh', '-c', bare, 'sh']);
    t.throws(() => statSync(`/proc/${pid}/root/dev/net/tun`), { code: 'ENOENT' });
    t.throws(() => writeFileSync(`/proc/${pid}/root/proc/sys/net/ipv4/ip_forward`, '1'), { code: 'EROFS' });
    t.match(readFileSync(`/proc/${pid}/environ`, 'utf8'), /PATH=.nowhere\0/);
  }
  await startEcho(rig.server);
  t.same(await losses(rig.client), [0, 0]);
});

t.test('IPv6', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await settled(rig);
  await startTunnel(rig, CLIENT6, ['--local', '[fd00:2::2]:4567', '--remote', '[::1]:7000']);
  await startEcho(rig.server, '[::1]:7000');
  t.same(await losses(rig.client, '[::1]:5000'), [0, 0]);
  t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
});
