/** Boxes on the way that rewrite what passes, or stop it: options taken out of handshakes, and limits on what is in flight. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { RunningProgram } from './process.js';
import { noRig, Rig } from './rig.js';
import { startPeer, type PeerResult } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];

/** In front of the router's own connection tracking: it sees what the box has made of them. */
async function rewrite(rig: Rig, match: string, ...options: string[]): Promise<void> {
  const rules = options.map((option) => `${match} counter reset tcp option ${option};`);
  await rig.router.nft(
    `table inet box { chain prerouting { type filter hook prerouting priority raw; ${rules.join(' ')} }; }`,
  );
}

/** What each end has got of the other's. */
async function exchange(rig: Rig, flags: string): Promise<{ up: PeerResult; down: PeerResult }> {
  const there = await startPeer(rig.server, `--bind 127.0.0.1:7000 ${flags}`);
  const here = await startPeer(rig.client, `--to 127.0.0.1:5000 ${flags}`);
  const [down, up] = await Promise.all([here.result(), there.result()]);
  return { up, down };
}

const SYN = 'tcp flags & (syn | ack) == syn';
const SYN_ACK = 'tcp flags & (syn | ack) == (syn | ack)';

for (const [name, match, ...options] of [
  ['window scale out of the SYN', SYN, 'window'],
  ['window scale out of the SYN-ACK', SYN_ACK, 'window'],
  ['window scale and SACK out of both', 'tcp flags syn', 'window', 'sack-perm'],
  ['SACK out of both', 'tcp flags syn', 'sack-perm'],
] as const) {
  // What is done about it is above the device: one case shows that it works on a TUN, too.
  for (const device of name.includes('both') ? (['packet', 'tun'] as const) : (['packet'] as const)) {
    t.test(
      `a box takes ${name}, and everything arrives through strict conntrack: ${device}`,
      { skip, timeout: 120_000 },
      async (t) => {
        await using rig = await Rig.create({ strict: true });
        await rewrite(rig, match, ...options);
        const server = await rig.server.guise('server', [...SERVER, '--device', device]);
        const client = await rig.client.guise('client', [...CLIENT, '--device', device]);
        // 1 MiB that waits are a quarter of a second of this rate: as long as a busy machine may stop one of the ends.
        const { up, down } = await exchange(rig, '--count 4000 --rate 3000 --warm 500');
        t.ok((await rig.router.counter('box', 'prerouting')) > 0, 'the box has found what it takes');
        for (const [way, result] of [
          ['up', up],
          ['down', down],
        ] as const) {
          t.same([result.received, result.corrupted, result.reordered], [4000, 0, 0], way);
        }
        t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
        const said = [client, server].map(({ output }) => output.match(/window scale/g)?.length ?? 0);
        t.same(said, name.includes('window') ? [1, 1] : [0, 0], 'said once at each end');
      },
    );
  }
}

const program = fileURLToPath(new URL('../../../build/Release/box', import.meta.url));

/** Everything between client and server goes through a box (test/net/box), and takes `delay` microseconds there. */
async function limit(rig: Rig, bytes: number, delay: number): Promise<RunningProgram> {
  const { router } = rig;
  const box = router.start(program, ['box', `${bytes}`, `${delay}`]);
  await box.waitFor(/^ready$/);
  // What passes the router twice is translated the first time or never.
  await router.nft('flush chain inet rig nat');
  for (const name of ['all', 'box']) await router.sysctl(`net.ipv4.conf.${name}.rp_filter`, 0);
  await router.run('ip', ['link', 'set', 'box', 'txqueuelen', '10000', 'up']);
  await router.run('ip', ['route', 'add', 'default', 'dev', 'box', 'table', '100']);
  for (const link of ['client', 'server']) await router.run('ip', ['rule', 'add', 'iif', link, 'lookup', '100']);
  return box;
}

// A machine that has more to do stops the sender for a while, which then sends in one go what was due: that no firewall
// of this kind lets pass, whatever is acknowledged. So a fifth may be lost; 64 KiB are 23 ms of 22 Mbit/s, and 5 of the 95
// that datagrams have of a link of 100. `native/firewall` tells it without that noise.
const MBIT = 1e6 / 8 / 1400;
for (const [bytes, rate, ...directions] of [
  [64 << 10, 22, 'up', 'down'],
  [64 << 10, 95, 'up', 'down'],
  [1 << 20, 22, 'up'],
  [2 << 20, 22, 'down'],
] as const) {
  for (const direction of directions) {
    const name = `a firewall that stops after ${bytes >> 10} KiB that nobody has acknowledged stops nothing of ${rate} Mbit/s: ${direction}`;
    t.test(name, { skip, timeout: 120_000 }, async (t) => {
      await using rig = await Rig.create();
      const box = await limit(rig, bytes, 2500); // a round trip of 5 ms
      await rig.server.guise('server', SERVER);
      await rig.client.guise('client', CLIENT);
      const count = Math.round(rate * MBIT * 3);
      const load = `--count ${count} --rate ${Math.round(rate * MBIT)} --warm 500`;
      const there = await startPeer(rig.server, `--bind 127.0.0.1:7000 ${direction === 'down' ? load : ''}`.trim());
      const here = await startPeer(rig.client, `--to 127.0.0.1:5000 ${direction === 'up' ? load : '--count 1'}`);
      const [client, server] = [await here.result(), await there.result()];
      const { received } = direction === 'up' ? server : client;
      await box.stop();
      const [swallowed, acks] = box.stdout.split('\n')[1]!.split(' ').map(Number);
      t.ok(
        received >= 0.8 * count && swallowed! <= 0.2 * count,
        `${received} of ${count} arrive, the box has swallowed ${swallowed}; ${acks} ACKs`,
      );
    });
  }
}
