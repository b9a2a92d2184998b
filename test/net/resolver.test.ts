/** Names at boot: no network yet, a resolver that fails, refuses or says nothing, and names that do not exist. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const main = (part: string): string => fileURLToPath(new URL(`../../${part}/main.js`, import.meta.url));

/** A DNS server (RFC 1035 §4.1): a file says what it answers to all questions, an IPv4 address or what goes wrong. */
const DNS = `
const { readFileSync } = require('node:fs');
const socket = require('node:dgram').createSocket('udp4');
const CODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };
socket.on('message', (query, { port, address }) => {
  const says = readFileSync(process.argv[1], 'utf8');
  if (says === 'silence') return console.log('silent');
  const end = query.indexOf(0, 12) + 5;
  const answers = query.readUInt16BE(end - 4) === 1 && !(says in CODES);
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | (CODES[says] ?? 0), 2);
  header.set([0, 1, 0, answers ? 1 : 0, 0, 0, 0, 0], 4);
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...says.split('.').map(Number)];
  socket.send([header, query.subarray(12, end), Buffer.from(answers ? record : [])], port, address);
});
socket.bind(53, '127.0.0.1', () => console.log('answers'));`;

interface Names {
  /** What is answered from now on. */
  say(what: string): Promise<void>;
  startServer(): Promise<RunningProgram>;
  /** Starts a program that asks 127.0.0.1, each time for a minute. */
  start(part: 'client' | 'server', ...args: string[]): RunningProgram;
}

async function names(t: Test, host: Host): Promise<Names> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const [answers, resolver, order] = ['answers', 'resolv.conf', 'nsswitch.conf'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(resolver, 'nameserver 127.0.0.1\noptions timeout:30 attempts:2\n');
  await writeFile(order, 'hosts: files dns\n');
  // `ip netns exec` has made a mount namespace of its own.
  const script = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"';
  return {
    say: (what) => writeFile(answers, what),
    startServer: async () => {
      const server = host.start(process.execPath, ['-e', DNS, answers]);
      await server.waitFor(/^answers$/);
      return server;
    },
    start: (part, ...args) =>
      host.start('sh', ['-c', script, 'sh', resolver, order, process.execPath, main(part), ...args]),
  };
}

const CLIENT = ['--local', '127.0.0.1:5000', '--remote', 'guise.test:4567'];
const SERVER = ['--local', '4567', '--remote', 'guise.test:7000'];
const WAITING = /The name "guise\.test" cannot be looked up yet \((.*?)\); .* Waiting for it\.$/;

t.test(
  'without a resolver both wait, say so at once, and go on when there is one',
  { skip, timeout: 90_000 },
  async (t) => {
    await using rig = await Rig.create();
    const [atClient, atServer] = [await names(t, rig.client), await names(t, rig.server)];
    const server = atServer.start('server', ...SERVER);
    const client = atClient.start('client', ...CLIENT);
    await Promise.all([server.waitFor(WAITING), client.waitFor(WAITING)]);
    await atServer.say('127.0.0.1');
    await atClient.say('10.0.2.2');
    await Promise.all([atServer.startServer(), atClient.startServer()]);
    await server.waitFor(/"guise\.test" leads to 127\.0\.0\.1:7000$/);
    await client.waitFor(/"guise\.test" leads to 10\.0\.2\.2:4567$/);
    await Promise.all([server.waitFor(/ready/), client.waitFor(/ready/)]);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 3')).lost, 0);
    t.equal(client.output.match(/Waiting for it/g)?.length, 1, 'once');
    t.same([await client.stop(), await server.stop()], [0, 0]);
  },
);

t.test('a resolver that fails, refuses or says nothing is waited for', { skip, timeout: 90_000 }, async (t) => {
  await using rig = await Rig.create();
  const dns = await names(t, rig.client);
  await dns.say('SERVFAIL');
  const resolver = await dns.startServer();
  for (const what of ['SERVFAIL', 'REFUSED']) {
    await dns.say(what);
    const client = dns.start('client', ...CLIENT);
    t.comment(`${what}: ${WAITING.exec(await client.waitFor(WAITING))?.[1]}`);
    await dns.say('10.0.2.2');
    await client.waitFor(/ready/);
    t.equal(await client.stop(), 0, what);
  }
  await dns.say('silence');
  const client = dns.start('client', ...CLIENT);
  await resolver.waitFor(/silent/);
  t.match(await client.waitFor(WAITING), /\(no answer\)/);
  // The resolver is asked for a minute; `stop` would wait as long.
  client.stop().catch(() => {});
  const late = AbortSignal.timeout(20_000);
  t.equal(await Promise.race([client.exited, new Promise((resolve) => late.addEventListener('abort', resolve))]), 0);
});

t.test('a name that does not exist is an error at once', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const dns = await names(t, rig.client);
  await dns.say('NXDOMAIN');
  await dns.startServer();
  for (const [part, args] of [
    ['client', CLIENT],
    ['server', SERVER],
  ] as const) {
    const program = dns.start(part, ...args);
    t.equal(await program.exited, 1);
    t.match(
      program.output,
      /^guise: No address found for "guise\.test" \(ENOTFOUND\); check the name\. Change it with --remote\.$/,
    );
  }
});
