import t from 'tap';
import { noRig, Rig } from './rig.js';
import { startPeer } from './traffic.js';

const skip = noRig() ?? false;
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];

for (const [client, server] of [
  [true, false],
  [false, true],
  [false, false],
]) {
  const name = `offload ${client ? 'on' : 'off'} at the client, ${server ? 'on' : 'off'} at the server`;
  t.test(name, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create({ strict: true });
    const off = (on: boolean | undefined): string[] => (on ? [] : ['--no-offload']);
    await rig.server.guise('server', ['--local', '4567', '--remote', '127.0.0.1:7000', ...off(server)]);
    const program = await rig.client.guise('client', [...CLIENT, ...off(client)]);
    if (!client) t.match(program.output, /one segment a packet/);
    const there = await startPeer(rig.server, '--bind 127.0.0.1:7000 --count 20000 --rate 8000 --size 1-1460');
    const here = await startPeer(rig.client, '--to 127.0.0.1:5000 --count 20000 --rate 8000 --size 1-1460');
    for (const result of [await here.result(), await there.result()]) {
      t.same([result.received, result.corrupted, result.reordered], [20_000, 0, 0]);
    }
    t.equal(await rig.invalid(), 0);
  });
}

t.test('a backend behind a device without checksum offload gets everything', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.run('ethtool', ['-K', 'eth0', 'tx', 'off']);
  const server = await rig.server.guise('server', [
    '--local',
    '4567',
    '--remote',
    '10.0.2.1:7000',
    '--log-level',
    'debug',
  ]);
  await rig.client.guise('client', CLIENT);
  const there = await startPeer(rig.router, '--bind 10.0.2.1:7000');
  await startPeer(rig.client, '--to 127.0.0.1:5000 --count 5000 --rate 5000 --gso').then((peer) => peer.result());
  const result = await there.result();
  t.same([result.received, result.corrupted, result.reordered], [5000, 0, 0]);
  t.notMatch(server.output, /dropped/);
});
