import t from 'tap';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
// Two workers, however few processors there are: what is one's and comes to the other has to find its way too.
const WORKERS = ['--queues', '2'];
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000', '--idle-timeout', '60', ...WORKERS];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567', ...WORKERS];

/** What segments go through at either end. */
const DEVICES = ['packet', 'tun'] as const;
const on = (device: string): string[] => ['--device', device];

for (const device of DEVICES) {
  const name = `datagrams of all sizes arrive unchanged and in order, both ways at once: ${device}`;
  t.test(name, { skip, timeout: 120_000 }, async (t) => {
    await using rig = await Rig.create({ strict: true });
    const server = await rig.server.guise('server', [...SERVER, ...on(device)]);
    const client = await rig.client.guise('client', [...CLIENT, ...on(device)]);
    const there = await startPeer(rig.server, '--bind 127.0.0.1:7000 --count 100000 --rate 15000 --size 1-1460');
    const here = await startPeer(rig.client, '--to 127.0.0.1:5000 --count 100000 --rate 15000 --size 1-1460');
    for (const [name, result] of [
      ['client', await here.result()],
      ['server', await there.result()],
    ] as const) {
      t.equal(result.received, 100_000, `${name}: none lost`);
      t.equal(result.corrupted, 0, `${name}: none changed, merged or split`);
      t.equal(result.reordered, 0, `${name}: in order`);
      t.equal(result.duplicated, 0, `${name}: none twice`);
      t.equal(result.wrongPeer, 0, `${name}: all from the right peer`);
    }
    t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
    t.equal(await client.stop(), 0, 'the client exits 0');
    t.equal(await server.stop(), 0, 'the server exits 0');
    for (const host of [rig.client, rig.server]) {
      t.equal(await host.run('nft', ['list', 'ruleset']), '', 'no rule is left');
      t.notMatch(await host.run('ip', ['-br', 'link']), /tun/, 'no interface is left');
    }
  });
}

for (const [direction, device] of [
  ['up', 'packet'],
  ['down', 'packet'],
  ['up', 'tun'],
  ['down', 'tun'],
] as const) {
  const name = `full speed through strict conntrack, ${direction}, past the wrap of sequence numbers: ${device}`;
  t.test(name, { skip, timeout: 120_000 }, async (t) => {
    await using rig = await Rig.create({ strict: true });
    await rig.server.guise('server', [...SERVER, ...on(device)]);
    await rig.client.guise('client', [...CLIENT, ...on(device)]);
    // The server's end learns its peer from the first datagram.
    const load = '--seconds 10 --gso --idle 1';
    const there = await startPeer(rig.server, `--bind 127.0.0.1:7000 --gro ${direction === 'down' ? load : ''}`.trim());
    const here = await startPeer(rig.client, `--to 127.0.0.1:5000 --gro ${direction === 'up' ? load : '--count 1'}`);
    const [client, server] = [await here.result(), await there.result()];
    const [sender, receiver] = direction === 'up' ? [client, server] : [server, client];
    t.ok(sender.sentBytes > 5 * 2 ** 30, `${(sender.sentBytes / 2 ** 30).toFixed(1)} GiB sent`);
    t.ok(receiver.receivedBytes > 2 ** 30, `${receiver.gbits} Gbit/s arrive`);
    t.same([receiver.corrupted, receiver.reordered, receiver.duplicated, receiver.wrongPeer], [0, 0, 0, 0]);
    t.equal(await rig.invalid(), 0, 'nothing invalid');
  });
}

t.test('the first datagrams survive the loss of each handshake segment', { skip, timeout: 120_000 }, async (t) => {
  const segments = {
    SYN: 'tcp dport 4567 tcp flags & (syn | ack) == syn',
    'SYN-ACK': 'tcp sport 4567 tcp flags & (syn | ack) == (syn | ack)',
    ACK: 'tcp dport 4567 tcp flags & (syn | ack | psh) == ack',
  };
  for (const [name, match] of Object.entries(segments)) {
    await using rig = await Rig.create();
    const dropped = await rig.dropFirst(match);
    await rig.server.guise('server', SERVER);
    await rig.client.guise('client', CLIENT);
    const sink = await startPeer(rig.server, '--bind 127.0.0.1:7000');
    await startPeer(rig.client, '--to 127.0.0.1:5000 --count 500 --rate 5000 --size 24-1400').then((peer) =>
      peer.result(),
    );
    const result = await sink.result();
    t.equal(await dropped(), 1, `one ${name} was dropped`);
    t.same([result.received, result.reordered, result.corrupted], [500, 0, 0], `${name}: all arrive in order`);
  }
});

t.test('a thousand UDP clients at once each get their own answers', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.guise('server', SERVER);
  await rig.client.guise('client', CLIENT);
  const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
  const result = await ping(rig.client, '--to 127.0.0.1:5000 --flows 1000 --count 5 --size 200');
  t.same([result.sent, result.lost, result.wrong], [5000, 0, 0]);
  await echo.stop();
});

t.test('four thousand connections opened at once are all opened', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.guise('server', SERVER);
  const client = await rig.client.guise('client', CLIENT);
  const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
  const result = await ping(rig.client, '--to 127.0.0.1:5000 --flows 4000 --count 1 --wait 60');
  t.same([result.sent, result.lost, result.wrong], [4000, 0, 0]);
  t.notMatch(client.output, /ETIMEDOUT|left out.*dropped/);
  await echo.stop();
});

t.test('IPv6 on both legs', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  // New links take up to a second until IPv6 goes over them: half of the datagrams would be gone before the SYN gets there.
  await rig.client.run('ping', ['-q', '-c', '1', '-i', '0.2', '-w', '10', rig.server.address6]);
  await rig.server.guise('server', ['--local', '4567', '--remote', '[::1]:7000']);
  await rig.client.guise('client', ['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567']);
  const there = await startPeer(rig.server, '--bind [::1]:7000 --count 20000 --rate 10000 --size 1-1440');
  const here = await startPeer(rig.client, '--to [::1]:5000 --count 20000 --rate 10000 --size 1-1440');
  for (const result of [await here.result(), await there.result()]) {
    t.same([result.received, result.corrupted, result.reordered], [20_000, 0, 0]);
  }
});

t.test('a backend that is down closes nothing', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = await rig.server.guise('server', SERVER);
  await rig.client.guise('client', CLIENT);
  await startPeer(rig.client, '--to 127.0.0.1:5000 --count 100 --rate 1000 --idle 0').then((peer) => peer.result());
  await server.waitFor(/connected/);
  const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
  const result = await ping(rig.client, '--to 127.0.0.1:5000 --count 20');
  t.equal(result.lost, 0);
  t.notMatch(server.output, /closed/);
  await echo.stop();
});

t.test(
  'SIGKILL leaves no rule, no interface, no child and forwarding as it was',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await rig.server.sysctl('net.ipv4.ip_forward', 0); // a new namespace takes it from the host
    await rig.server.nft('table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }');
    const server = await rig.server.guise('server', [...SERVER, ...on('tun')]);
    t.match(await rig.server.run('nft', ['list', 'table', 'ip', 'filter']), /accept comment "guise/, 'let through');
    const before = await rig.server.run('ip', ['netns', 'pids', rig.server.name]);
    t.ok(before.trim().split('\n').length > 2, 'it had children');
    await server.stop('SIGKILL');
    const gone = async (): Promise<boolean> =>
      (await rig.server.run('ip', ['netns', 'pids', rig.server.name])).trim().split('\n').length <= 1;
    while (!(await gone()));
    t.notMatch(await rig.server.run('nft', ['list', 'ruleset']), /guise/, 'no rule is left');
    t.notMatch(await rig.server.run('ip', ['-br', 'link']), /tun/, 'no interface is left');
    t.equal((await rig.server.run('cat', ['/proc/sys/net/ipv4/ip_forward'])).trim(), '0', 'forwarding as it was');
  },
);
