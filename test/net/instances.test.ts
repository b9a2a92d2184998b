import t from 'tap';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;

t.test('two servers and two clients on one host each do not meet', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const servers = await Promise.all(
    [4567, 4568].map((port) => rig.server.guise('server', ['--local', `${port}`, '--remote', '127.0.0.1:7000'])),
  );
  t.same(servers.map(({ output }) => / (\S+), fcc9/.exec(output)?.[1]).sort(), ['192.168.201.2', '192.168.201.6']);
  await Promise.all(
    [4567, 4568].map((port) =>
      rig.client.guise('client', ['--local', `127.0.0.1:${port}`, '--remote', `10.0.2.2:${port}`]),
    ),
  );
  const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --from-all --echo --idle 60');
  for (const port of [4567, 4568]) {
    t.equal((await ping(rig.client, `--to 127.0.0.1:${port} --count 10`)).lost, 0, `client ${port}`);
  }
  await echo.stop();
});

t.test(
  'what another guise has is refused in one sentence, and free again when that one is killed',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    const args = (port: number): string[] => ['--local', `${port}`, '--remote', '127.0.0.1:7000'];
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

t.test('the addresses of a network that the host is in are left alone', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.client.run('ip', ['address', 'add', '192.168.200.77/24', 'dev', 'eth0']);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
  t.match(client.output, /192\.168\.201\.1 -> 192\.168\.201\.2,/);
});
