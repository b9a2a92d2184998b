import { readFileSync } from 'node:fs';
import t from 'tap';
import { noRig, Rig } from './rig.js';
import { ping, startFlood, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];

/** Far below what the rig carries, so that what is lost is lost to the flood. */
const RATE = 5000;

function residentKiB(pid: number): number {
  return Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

/** Strangers' addresses lead nowhere, and the router does not track them: the flood is to reach the server. */
async function prepare(rig: Rig): Promise<void> {
  await rig.router.run('ip', ['route', 'add', 'blackhole', '10.64.0.0/10']);
  await rig.router.nft(`table inet flood {
    chain out { type filter hook output priority raw; ip saddr 10.64.0.0/10 notrack; };
    chain back { type filter hook prerouting priority raw; ip daddr 10.64.0.0/10 notrack; };
  }`);
}

for (const [kind, from] of [
  ['syn', ''],
  ['ack', ''],
  ['rst', ''],
  ['rst', '--from 10.0.2.1'],
  ['ack', '--from 10.0.2.1'],
]) {
  const whose = from ? "with the client's address and random ports" : 'from a million addresses';
  t.test(
    `a flood of ${kind!.toUpperCase()}s ${whose}: others go on, an honest client gets in, memory stays`,
    {
      skip,
      timeout: 60_000,
    },
    async (t) => {
      await using rig = await Rig.create();
      await prepare(rig);
      const server = await rig.server.guise('server', SERVER);
      await rig.client.guise('client', CLIENT);
      const sink = await startPeer(rig.server, '--bind 127.0.0.1:7000 --from-all --echo');
      await ping(rig.client, '--to 127.0.0.1:5000 --count 10');
      const before = residentKiB(server.pid);
      const sender = await startPeer(rig.client, `--to 127.0.0.1:5000 --count ${4 * RATE} --rate ${RATE} --idle 0`);
      await server.waitFor(/connected/, 1);
      const flood = startFlood(rig.router, `--to 10.0.2.2:4567 --seconds 20 --kind ${kind} ${from}`.trim());
      const newcomers = await ping(rig.client, '--to 127.0.0.1:5000 --count 1 --flows 10');
      const { sent } = await sender.result();
      const { received } = await sink.stop();
      const flooded = await flood.stop();
      t.ok(flooded > 1000, `${flooded} segments`);
      t.equal(newcomers.lost, 0, 'ten new clients are answered within 3 s');
      t.ok(received >= 0.9 * sent, `${received} of ${sent} datagrams of an established flow arrive`);
      t.ok(residentKiB(server.pid) - before < 8 << 10, `${residentKiB(server.pid) - before} KiB more`);
      t.ok(server.running);
    },
  );
}

t.test('one application that sends flat out does not starve the others', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.guise('server', SERVER);
  await rig.client.guise('client', CLIENT);
  const sink = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --no-verify');
  const greedy = await startPeer(rig.client, '--to 127.0.0.1:5000 --seconds 15 --idle 0 --no-verify');
  const others = await Promise.all(
    [1, 2, 3, 4].map(() => ping(rig.client, '--to 127.0.0.1:5000 --count 300 --losses 31')),
  );
  await greedy.stop();
  await sink.stop();
  for (const { sent, lost } of others) t.ok(lost <= sent / 10, `${lost} of ${sent} lost`);
});

t.test(
  'where descriptors run out new connections are refused, and nothing else',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const command = `ulimit -n 100; exec ${process.execPath} dist/server/main.js ${SERVER.join(' ')}`;
    const server = rig.server.start('sh', ['-c', command]);
    await server.waitFor(/ready/);
    await rig.client.guise('client', CLIENT);
    const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    const first = ping(rig.client, '--to 127.0.0.1:5000 --count 400 --interval 10000');
    await server.waitFor(/connected/);
    const many = await ping(rig.client, '--to 127.0.0.1:5000 --count 1 --flows 120');
    await server.waitFor(/EMFILE.*Too many open files; raise the limit/);
    t.ok(many.lost > 0 && many.lost < 120, `${many.lost} of 120 refused`);
    t.equal((await first).lost, 0, 'the first goes on');
    t.ok(server.running);
    await echo.stop();
  },
);
