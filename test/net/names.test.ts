import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const program = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', 'server.test:4567'];

/** An /etc/hosts that one program sees. */
class HostsFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, 'hosts');
  }

  async set(name: string, ...addresses: string[]): Promise<void> {
    await writeFile(this.#path, addresses.map((address) => `${address} ${name}\n`).join(''));
  }

  /** Starts a program of the project and waits until it is ready. */
  async start(host: Host, path: string, args: string[]): Promise<RunningProgram> {
    // `ip netns exec` has made a mount namespace of its own.
    const script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"';
    const running = host.start('sh', ['-c', script, 'sh', this.#path, process.execPath, program(path), ...args]);
    await running.waitFor(/ready \(pid/);
    return running;
  }
}

async function hostsFile(t: Test): Promise<HostsFile> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return new HostsFile(folder);
}

t.test(
  'a connection follows the name to another address, and nothing is lost',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create({ strict: true });
    const hosts = await hostsFile(t);
    await rig.server.run('ip', ['address', 'add', '10.0.2.3/24', 'dev', 'eth0']);
    const server = await rig.server.guise('server', ['--local', '4567', '--remote', '127.0.0.1:7000']);
    await rig.router.nft(`table inet rig { chain moved { type filter hook forward priority -5;
    ip daddr 10.0.2.3 tcp dport 4567 counter; }; }`);
    await hosts.set('server.test', '10.0.2.2');
    const client = await hosts.start(rig.client, 'impatient_client.js', CLIENT);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all');
    const pings = ping(rig.client, '--to 127.0.0.1:5000 --count 1500 --interval 10000');
    await client.waitFor(/connected from port/);
    await hosts.set('server.test', '10.0.2.3');
    await client.waitFor(/connected from port \d+ to the server, where the name leads now/);
    const { sent, lost, wrong } = await pings;
    t.same([sent, lost, wrong], [1500, 0, 0], 'across the change');
    t.ok((await rig.router.counter('rig', 'moved')) > 100, 'which was one');
    await server.waitFor(/ closed$/);
    t.equal(server.output.match(/ connected$/gm)?.length, 2, 'one connection after the other');
    t.notMatch(client.output, /closed|again|ETIMEDOUT/, 'of which the client has nothing to tell');
    t.equal(await client.stop(), 0);
    t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
  },
);

t.test('a backend that moves is found by the next connection', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const hosts = await hostsFile(t);
  await hosts.set('backend.test', '127.0.0.2');
  await hosts.start(rig.server, '../../server/main.js', ['--local', '4567', '--remote', 'backend.test:7000']);
  await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
  const first = await startPeer(rig.server, '--bind 127.0.0.2:7000 --echo');
  t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0);
  await first.stop();
  await startPeer(rig.server, '--bind 127.0.0.3:7000 --echo');
  await hosts.set('backend.test', '127.0.0.3');
  // Each comes from a socket of its own; a look-up is good for two seconds.
  while ((await ping(rig.client, '--to 127.0.0.1:5000 --count 1')).lost > 0);
  t.pass('found');
});

t.test('a service is found at whichever address of its name it has', { skip, timeout: 90_000 }, async (t) => {
  for (const [at, echo] of [
    ['127.0.0.1', '127.0.0.1:7000'],
    ['::1', '[::1]:7000'],
  ] as const) {
    await using rig = await Rig.create();
    const hosts = await hostsFile(t);
    await hosts.set('localhost', '::1', '127.0.0.1');
    const server = await hosts.start(rig.server, '../../server/main.js', [
      '--local',
      '4567',
      '--remote',
      'localhost:7000',
    ]);
    t.match(server.output, /UDP \[::1\]:7000, 127\.0\.0\.1:7000$/m);
    await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
    // The service comes later than the first connection, which waits for it.
    const pings = ping(rig.client, '--to 127.0.0.1:5000 --count 200 --interval 20000');
    await server.waitFor(/nobody listens at \[::1\]:7000 or 127\.0\.0\.1:7000/);
    const service = await startPeer(rig.server, `--bind ${echo} --echo`);
    await server.waitFor(at === '::1' ? /the service is at \[::1\]:7000/ : /the service is at 127\.0\.0\.1:7000/);
    t.equal((await pings).lost, 0, `${at}: what came meanwhile has waited`);
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost, 0, at);
    await service.stop();
    // It comes again at the other address.
    const other = at === '::1' ? '127.0.0.1:7000' : '[::1]:7000';
    await startPeer(rig.server, `--bind ${other} --echo --from-all --idle 600`);
    while ((await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost > 0);
    t.ok(server.output.includes(`the service is at ${other}`), `then at ${other}`);
  }
});
