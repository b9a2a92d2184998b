import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { Stack } from '../../src/index.js';
import type { Log } from '../../src/observe/log.js';
import { createClient } from '../../src/tunnel/client.js';
import { lossOf, type OpenStack } from '../../src/tunnel/host_stack.js';
import type { ClientOptions, ServerOptions, TunnelOptions } from '../../src/tunnel/options.js';
import { createServer } from '../../src/tunnel/server.js';
import type { Tunnel } from '../../src/tunnel/tunnel.js';
import { CLIENT4, SERVER4, socketpair } from '../support/device.js';
import { TUNNEL_OPTIONS } from '../support/tunnel_options.js';

const PORT = 4567;

/** A log that keeps its lines. */
function logged(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push((JSON.parse(line) as { msg: string }).msg);
  return { log: pino({ level: 'info' }, { write }), lines };
}

/** Opens a stack on a descriptor instead of on the host's TUN. */
function onDescriptor(address: string, descriptor: () => number, undone: () => void = () => {}): OpenStack {
  return async ({ options }) => {
    const { idleTimeout } = options;
    const stack = await Stack.open({ device: { descriptors: [descriptor()] }, addresses: [address], idleTimeout });
    const dispose = async (): Promise<void> => {
      await stack.close();
      undone();
    };
    return { stack, lost: lossOf(stack), done: ['set up'], [Symbol.asyncDispose]: dispose };
  };
}

async function udpSocket(port = 0): Promise<UdpSocket> {
  const socket = createSocket('udp4').bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

async function freePort(): Promise<number> {
  const socket = await udpSocket();
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Answers what it gets. */
async function echo(t: Test): Promise<number> {
  const socket = await udpSocket();
  socket.on('message', (datagram, { port }) => socket.send(datagram, port, '127.0.0.1'));
  t.teardown(() => void socket.close());
  return socket.address().port;
}

function shared(log: Log): Omit<TunnelOptions, 'remote'> {
  return {
    ...TUNNEL_OPTIONS,
    log,
  };
}

function clientOptions(log: Log, more: Partial<ClientOptions> = {}): ClientOptions {
  return {
    ...shared(log),
    local: { address: '127.0.0.1', port: 0 },
    remote: { host: SERVER4, port: PORT },
    connectTimeout: 15_000,
    keepalive: 25_000,
    deadAfter: 5000,
    profile: 'auto',
    ...more,
  };
}

function serverOptions(log: Log, backend: number, more: Partial<ServerOptions> = {}): ServerOptions {
  return {
    ...shared(log),
    local: { address: '::', port: PORT },
    remote: { host: '127.0.0.1', port: backend },
    ...more,
  };
}

interface Pair {
  readonly client: Tunnel;
  readonly server: Tunnel;
  readonly clientLines: string[];
  readonly serverLines: string[];
  /** UDP port of the client. */
  readonly port: number;
  readonly undone: string[];
}

/** A client and a server that face each other, started. */
async function pair(t: Test): Promise<Pair> {
  const [client, server] = [logged(), logged()];
  const port = await freePort();
  const ends = socketpair();
  const undone: string[] = [];
  const tunnels = {
    client: createClient(clientOptions(client.log, { local: { address: '127.0.0.1', port }, name: 'home' }), {
      openStack: onDescriptor(
        CLIENT4,
        () => ends[0],
        () => undone.push('client'),
      ),
    }),
    server: createServer(serverOptions(server.log, await echo(t)), {
      openStack: onDescriptor(
        SERVER4,
        () => ends[1],
        () => undone.push('server'),
      ),
    }),
  };
  await Promise.all([tunnels.client.start(), tunnels.server.start()]);
  t.teardown(() => Promise.all([tunnels.client.stop(), tunnels.server.stop()]));
  return { ...tunnels, clientLines: client.lines, serverLines: server.lines, port, undone };
}

/** Asks until an answer comes: what is asked while there is no connection waits, and may be dropped. */
async function ask(application: UdpSocket, port: number, text: string): Promise<string> {
  const answer = once(application, 'message') as Promise<[Buffer]>;
  application.send(text, port, '127.0.0.1');
  return (await answer)[0].toString();
}

t.test('a tunnel is started, looked at and stopped', { timeout: 30_000 }, async (t) => {
  const { client, server, clientLines, serverLines, port, undone } = await pair(t);
  const application = await udpSocket();
  t.teardown(() => void application.close());
  const before = client.snapshot();
  t.match(before, { role: 'client', name: 'home', state: 'running', connections: [], setUps: 1, reconnects: {} });
  t.match(before, {
    local: `127.0.0.1:${port}`,
    remote: `${SERVER4}:${PORT}`,
    remoteAddresses: [`${SERVER4}:${PORT}`],
  });
  for (const word of ['hello', 'again']) t.equal(await ask(application, port, word), word);

  const [connection] = client.snapshot().connections;
  t.match(connection, {
    state: 'open',
    application: `127.0.0.1:${application.address().port}`,
    remote: `${SERVER4}:${PORT}`,
    profile: 'guise',
    counters: { sentDatagrams: 2, sentBytes: 10, receivedDatagrams: 2, receivedBytes: 10 },
  });
  t.ok(connection!.age >= 0 && connection!.age < 30_000);
  const [accepted] = server.snapshot().connections;
  t.match(accepted, { state: 'open', local: `${SERVER4}:${PORT}`, remote: connection!.local, profile: 'guise' });
  t.match(server.snapshot(), { role: 'server', name: 'server', local: `${PORT}`, traffic: { sentDatagrams: 2 } });
  t.same(structuredClone(client.snapshot()).connections.length, 1, 'it is plain data');

  await client.stop();
  await client.stop();
  await client.ended;
  t.match(client.snapshot(), { state: 'stopped', connections: [], traffic: { sentDatagrams: 2, receivedBytes: 10 } });
  t.ok(client.snapshot().counters.deviceWrites > 0, 'what was counted outlives the stack');
  await server.stop();
  t.match(server.snapshot(), { state: 'stopped', connections: [], traffic: { sentDatagrams: 2, sentBytes: 10 } });
  t.same(undone, ['client', 'server']);
  t.match(clientLines, [
    `guise client: UDP 127.0.0.1:${port} -> TCP ${SERVER4}:${PORT}`,
    'a connection is opened when the first datagram arrives',
    'set up',
    'WireGuard on both ends: MTU = 1428 over IPv4',
    'data plane: 1 worker, one segment a packet (slow: no offload)',
    /^127\.0\.0\.1:\d+ connected from port \d+ to the server$/,
    'closing 1 connection',
    /^127\.0\.0\.1:\d+ closed$/,
  ]);
  t.match(serverLines.slice(4), [/^10\.1\.0\.1:\d+ connected$/, /^10\.1\.0\.1:\d+ closed$/, 'closing']);
  await t.rejects(createStopped(), { code: 'ERR_GUISE_CLOSED' }, 'a tunnel that was stopped starts no more');
});

async function createStopped(): Promise<void> {
  const tunnel = createClient(clientOptions(logged().log));
  await tunnel.stop();
  await tunnel.start();
}

t.test('what cannot be set up rejects with its reason, and leaves nothing', { timeout: 30_000 }, async (t) => {
  const busy = await udpSocket();
  t.teardown(() => void busy.close());
  const undone: string[] = [];
  const [near, far] = socketpair();
  t.teardown(() => closeSync(far));
  const client = createClient(
    clientOptions(logged().log, { local: { address: '127.0.0.1', port: busy.address().port } }),
    {
      openStack: onDescriptor(
        CLIENT4,
        () => near,
        () => undone.push('stack'),
      ),
    },
  );
  await t.rejects(client.start(), { code: 'EADDRINUSE' });
  await t.rejects(client.ended, { code: 'EADDRINUSE' });
  t.match(client.snapshot(), { state: 'failed', error: /EADDRINUSE/ });
  t.same(undone, ['stack']);
  await client.stop();
  t.equal(client.state, 'failed');
});

t.test('a name without an address is told before anything is opened', async (t) => {
  const openStack = async (): Promise<never> => t.fail('opened') as never;
  const lookUp = async (): Promise<never> => {
    throw new Error('no such name');
  };
  const server = createServer(serverOptions(logged().log, 1), { openStack, lookUp });
  await t.rejects(server.start(), /no such name/);
  t.match(server.snapshot(), { state: 'failed', error: 'no such name' });
});

t.test('a signal stops a tunnel, and one that has aborted before stops it at once', { timeout: 30_000 }, async (t) => {
  for (const early of [true, false]) {
    const controller = new AbortController();
    const [near, far] = socketpair();
    const server = createServer(serverOptions(logged().log, 1, { signal: controller.signal }), {
      openStack: onDescriptor(SERVER4, () => near),
    });
    if (early) controller.abort();
    await server.start();
    controller.abort();
    await server.ended;
    t.equal(server.state, 'stopped');
    closeSync(far);
  }
});

t.test('a tunnel whose interface is deleted is set up again, and counts on', { timeout: 30_000 }, async (t) => {
  const { log, lines } = logged();
  let [near, far] = socketpair();
  let opened = 0;
  const server = createServer(serverOptions(log, 1), { openStack: onDescriptor(SERVER4, () => (opened++, near)) });
  let ready = 0;
  server.on('ready', () => ready++);
  await server.start();
  t.same([opened, ready], [1, 1]);
  const again = once(server, 'ready');
  const old = far;
  [near, far] = socketpair();
  closeSync(old);
  await again;
  t.same([opened, ready], [2, 2]);
  t.match(server.snapshot(), { state: 'running', setUps: 2 });
  t.match(
    lines.find((line) => line.includes('again')),
    /^read ENODEV: The packet device is gone.* Setting it up again\.$/,
  );
  await server.stop();
  closeSync(far);
});

t.test('one that cannot be set up again fails, with the reason', { timeout: 30_000 }, async (t) => {
  const [near, far] = socketpair();
  const first = onDescriptor(SERVER4, () => near);
  let opened = 0;
  const server = createServer(serverOptions(logged().log, 1), {
    openStack: (needs) => (opened++ === 0 ? first(needs) : Promise.reject(new Error('no more'))),
  });
  await server.start();
  closeSync(far);
  await t.rejects(server.ended, /no more/);
  t.match(server.snapshot(), { state: 'failed', error: 'no more', connections: [] });
});
