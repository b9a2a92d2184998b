import { readFileSync } from 'node:fs';
import t from 'tap';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];

t.test(
  'an interface that somebody deletes is made again, and traffic goes on',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', [...CLIENT, '--tun', 'gone']);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
    await rig.client.run('ip', ['link', 'delete', 'gone']);
    await client.waitFor(/ENODEV: The packet device is gone.* Setting it up again/);
    await client.waitFor(/ready/, 1);
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
    t.equal(await client.stop(), 0);
    t.equal(await rig.client.run('nft', ['list', 'ruleset']), '', 'no rule is left');
  },
);

t.test('an interface that others take down or empty is set up again', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = await rig.server.guise('server', [...SERVER, '--tun', 'here']);
  const client = await rig.client.guise('client', [...CLIENT, '--tun', 'here']);
  const six = await rig.client.guise('client', [
    ...['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567', '--tun', 'six'],
  ]);
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  const lost = async (): Promise<number[]> =>
    Promise.all(
      ['127.0.0.1', '[::1]'].map(async (host) => (await ping(rig.client, `--to ${host}:5000 --count 5`)).lost),
    );
  t.same(await lost(), [0, 0]);
  const again = /interface (here|six): .* again: others had changed it/;
  const changes = [
    'address flush dev here',
    '-4 address flush dev here',
    '-6 address flush dev here',
    'address delete 192.168.201.1 peer 192.168.201.2/32 dev here',
    'link set here down',
    'route flush dev here',
    '-6 route flush dev here',
    'link set here mtu 1300',
  ];
  for (const [times, change] of changes.entries()) {
    await rig.server.run('ip', change.split(' '));
    await server.waitFor(again, times);
    t.same(await lost(), [0, 0], `server: ${change}`);
  }
  for (const [times, change] of ['address flush dev', 'link set down dev', 'route flush dev'].entries()) {
    await rig.client.run('ip', [...change.split(' '), 'here']);
    await rig.client.run('ip', ['-6', ...change.split(' '), 'six']);
    await Promise.all([client, six].map((each) => each.waitFor(again, times)));
    t.same(await lost(), [0, 0], `client: ${change}`);
  }
  t.equal(server.output.match(/others had changed it/g)?.length, changes.length, 'each said once');
  t.match(await rig.server.run('ip', ['link', 'show', 'here']), /mtu 1500/);
});

t.test(
  'an interface that cannot be set up again is told once, with the cause',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const server = await rig.server.guise('server', [...SERVER, '--tun', 'here']);
    await rig.server.run('ip', ['route', 'add', '192.168.201.2/32', 'dev', 'eth0', 'table', '77']);
    await rig.server.run('ip', ['rule', 'add', 'priority', '10', 'to', '192.168.201.2', 'lookup', '77']);
    await server.waitFor(/The route to 192\.168\.201\.2 does not lead to here; .*ip route get 192\.168\.201\.2/);
    await rig.server.run('ip', ['rule', 'delete', 'priority', '10']);
    await rig.client.guise('client', CLIENT);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
  },
);

t.test('a persistent interface of the user needs no right at all', { skip, timeout: 60_000 }, async (t) => {
  const user = `${process.getuid!()}`;
  for (const queues of [[], ['multi_queue']]) {
    await using rig = await Rig.create();
    const host = rig.server;
    await host.run('ip', ['tuntap', 'add', 'mode', 'tun', 'user', user, ...queues, 'name', 'mine']);
    await host.run('ip', ['link', 'set', 'mine', 'mtu', '1500', 'up']);
    await host.run('ip', ['address', 'add', '192.168.201.1', 'peer', '192.168.201.2/32', 'dev', 'mine']);
    await host.sysctl('net.ipv4.ip_forward', 1);
    await host.nft(`table inet prepared { chain prerouting { type nat hook prerouting priority dstnat;
      iifname "eth0" tcp dport 4567 dnat ip to 192.168.201.2; }; }`);
    const main = new URL('../../server/main.js', import.meta.url).pathname;
    // The same user, who may read the checkout wherever it lies, with no capability.
    const server = host.start('setpriv', [
      '--bounding-set',
      '-all',
      '--inh-caps',
      '-all',
      '--no-new-privs',
      process.execPath,
      main,
      ...SERVER,
      '--tun',
      'mine',
      '--no-firewall',
      '--ipv4-only',
    ]);
    await server.waitFor(/ready/);
    t.match(readFileSync(`/proc/${server.pid}/status`, 'utf8'), /CapEff:\s*0+\n/);
    t.match(server.output, /privileges: keeps no capability; no_new_privs, system calls filtered/);
    await rig.client.guise('client', CLIENT);
    await startPeer(host, '--bind 127.0.0.1:7000 --echo');
    const result = await ping(rig.client, '--to 127.0.0.1:5000 --count 20');
    t.same([result.sent, result.lost], [20, 0], queues[0] ?? 'one queue');
  }
});
