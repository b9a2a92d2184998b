import t from 'tap';
import { noRig, Rig } from './rig.js';
import type { TunnelSnapshot } from '../../src/tunnel/snapshot.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;

for (const device of ['packet', 'tun']) {
  const name = `two servers and two clients on one host each do not meet: ${device}`;
  t.test(name, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create();
    const options = ['--device', device];
    const servers = await Promise.all(
      [4567, 4568].map((port) =>
        rig.server.guise('server', ['--local', `${port}`, '--remote', '127.0.0.1:7000', ...options]),
      ),
    );
    const addresses = servers.map(({ output }) => / (\S+), fcc9/.exec(output)?.[1]).sort();
    if (device === 'tun') t.same(addresses, ['192.168.201.2', '192.168.201.6']);
    await Promise.all(
      [4567, 4568].map((port) =>
        rig.client.guise('client', ['--local', `127.0.0.1:${port}`, '--remote', `10.0.2.2:${port}`, ...options]),
      ),
    );
    const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --from-all --echo --idle 60');
    for (const port of [4567, 4568]) {
      t.equal((await ping(rig.client, `--to 127.0.0.1:${port} --count 10`)).lost, 0, `client ${port}`);
    }
    await echo.stop();
  });
}

t.test('two clients in one process have nothing to do with each other', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  for (const port of [4567, 4568]) {
    await rig.server.guise('server', ['--local', `${port}`, '--remote', '127.0.0.1:7000']);
  }
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --from-all --echo --idle 60');
  const program = new URL('two_clients.js', import.meta.url).pathname;
  const clients = rig.client.start(process.execPath, [program, '4567', '4568']);
  await clients.waitFor(/ready \(pid/);
  t.equal(clients.output.match(/privileges:/g)?.length, 1, 'rights are given up once');
  let asked = 0;
  const snapshots = async (): Promise<TunnelSnapshot[]> => {
    process.kill(clients.pid, 'SIGUSR2');
    return JSON.parse(await clients.waitFor(/^\[\{/, asked++)) as TunnelSnapshot[];
  };
  const lost = async (port: number): Promise<number> =>
    (await ping(rig.client, `--to 127.0.0.1:${port} --count 10`)).lost;
  for (const port of [4567, 4568]) t.equal(await lost(port), 0, `${port}`);
  t.match(await snapshots(), [
    { name: '4567', state: 'running', interface: 'tun4567', connections: [{ state: 'open', remote: '10.0.2.2:4567' }] },
    { name: '4568', state: 'running', interface: 'tun4568', connections: [{ state: 'open', remote: '10.0.2.2:4568' }] },
  ]);

  await rig.client.run('ip', ['link', 'delete', 'tun4567']);
  await clients.waitFor(/ready \(pid/, 1);
  for (const port of [4567, 4568]) t.equal(await lost(port), 0, `${port}, when the interface of one was deleted`);
  const [first, second] = await snapshots();
  t.match([first?.setUps, second?.setUps], [2, 1]);
  t.ok(first!.traffic.sentDatagrams >= 20, 'what was counted before counts on');

  process.kill(clients.pid, 'SIGHUP');
  await clients.waitFor(/the first has stopped/);
  t.equal(await lost(4568), 0, 'the other one carries on');
  t.notMatch(await rig.client.run('nft', ['list', 'ruleset']), /tun4567/, 'no rule of it is left');
  t.match((await snapshots())[0], { state: 'stopped', connections: [] });
  await rig.client.run('ip', ['link', 'delete', 'tun4568']);
  await clients.waitFor(/ready \(pid/, 2);
  t.equal(await lost(4568), 0, 'and is set up again alone');
  t.equal(await clients.stop(), 0);
  t.equal(await rig.client.run('nft', ['list', 'ruleset']), '', 'no rule is left');
});

t.test(
  'what another guise has is refused in one sentence, and free again when that one is killed',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    const args = (port: number): string[] => ['--local', `${port}`, '--remote', '127.0.0.1:7000', '--device', 'tun'];
    const first = await rig.server.guise('server', args(4567));
    const main = new URL('../../server/main.js', import.meta.url).pathname;
    for (const [more, sentence] of [
      [args(4567), /^guise: Another guise server on this host has TCP port 4567; stop it or choose another/],
      [[...args(4568), '--tun-peer', '192.168.201.2'], /^guise: 192\.168\.201\.1 or 192\.168\.201\.2 is in use/],
    ] as const) {
      const second = rig.server.start(process.execPath, [main, ...more]);
      t.equal(await second.exited, 1);
      t.match(second.output, sentence);
    }
    await first.stop('SIGKILL');
    t.match((await rig.server.guise('server', args(4567))).output, / 192\.168\.201\.2, fcc9/);
  },
);

t.test(
  'addresses of networks that the host is in or has a route to are left alone',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const args = ['--remote', '10.0.2.2:4567', '--device', 'tun'];
    const addresses = async (port: number): Promise<string> => {
      const client = await rig.client.guise('client', ['--local', `127.0.0.1:${port}`, ...args]);
      return / -> (\S+), MTU/.exec(client.output)![1]!;
    };
    const ip = (command: string): Promise<string> => rig.client.run('ip', command.split(' '));
    await ip('address add 192.168.200.77/24 dev eth0');
    t.equal(await addresses(5000), '192.168.201.2');
    await ip('route add 192.168.201.0/25 via 10.0.1.1');
    await ip('route add 192.168.201.130/32 via 10.0.1.1 table 77');
    t.equal(await addresses(5001), '192.168.201.134', 'a route, in whichever table');
    await ip('route add 0.0.0.0/1 via 10.0.1.1');
    await ip('route add 128.0.0.0/1 via 10.0.1.1');
    t.equal(await addresses(5002), '192.168.201.138', 'a default route in halves tells of no network');
    await ip('route add 192.168.0.0/16 via 10.0.1.1');
    t.match(await addresses(5003), /^10\./, 'all of 192.168 is routed');
    const six = await rig.client.guise('client', [
      '--local',
      '[::1]:5000',
      '--remote',
      '[fd00:2::2]:4567',
      '--device',
      'tun',
    ]);
    t.match(six.output, /, fcc8::1 -> fcc8::2,/);
    await ip('-6 route add fcc8::/64 via fd00:1::1');
    const next = await rig.client.guise('client', [
      '--local',
      '[::1]:5001',
      '--remote',
      '[fd00:2::2]:4567',
      '--device',
      'tun',
    ]);
    t.notMatch(next.output, /fcc8:/);
  },
);
