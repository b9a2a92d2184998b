/** Sockets between two stacks that exchange raw packets. */
import { once } from 'node:events';
import t from 'tap';
import type { GuiseError, TcpConnectOptions, TcpSocket } from '../../src/netstack/index.js';
import { TcpSocket as SocketClass } from '../../src/netstack/index.js';
import { digestOf, receive, send } from './bytes.js';
import { A4, A6, B4, B6, Pair } from './pair.js';

/** Both ends of a connection. */
async function connected(
  { a, b }: Pair,
  options: Partial<TcpConnectOptions> = {},
): Promise<{ client: TcpSocket; server: TcpSocket }> {
  const listener = b.listen({ port: 7, allowHalfOpen: options.allowHalfOpen });
  const client = a.connect({ address: B4, port: 7, ...options });
  const [server] = (await once(listener, 'connection')) as [TcpSocket];
  if (client.connecting) await once(client, 'connect');
  listener.close();
  return { client, server };
}

async function failure(socket: TcpSocket): Promise<GuiseError> {
  const [error] = (await once(socket, 'error')) as [GuiseError];
  return error;
}

for (const [family, from, to] of [
  ['IPv4', A4, B4],
  ['IPv6', A6, B6],
] as const) {
  t.test(`${family}: both ends know both ends, and what is sent comes back`, async (t) => {
    await using pair = await Pair.open();
    const listener = pair.b.listen({ port: 7 });
    listener.on('connection', (socket) => {
      t.match(socket, { localAddress: to, localPort: 7, localFamily: family, remoteAddress: from });
      t.match(socket, { readyState: 'open', pending: false, connecting: false });
      socket.pipe(socket);
    });
    const events: string[] = [];
    const socket = pair.a.connect({ address: to, port: 7 });
    t.match(socket, { connecting: true, pending: true, readyState: 'opening' });
    for (const event of ['connect', 'ready', 'end', 'finish', 'close']) socket.on(event, () => events.push(event));
    void send(1, 3_000_000, socket);
    t.equal(await receive(socket), digestOf(1, 3_000_000));
    if (!socket.closed) await once(socket, 'close');
    t.match(socket, { localAddress: from, remoteAddress: to, remotePort: 7, remoteFamily: family });
    t.match(socket.address(), { address: from, family, port: socket.localPort });
    t.ok(socket.localPort >= 32_768 && socket.localPort <= 60_999);
    t.match(socket, { bytesRead: 3_000_000, bytesWritten: 3_000_000, readyState: 'closed', destroyed: true });
    t.same(events.slice(0, 2), ['connect', 'ready']);
    t.equal(events.at(-1), 'close');
    t.same([...events].sort(), ['close', 'connect', 'end', 'finish', 'ready']);
  });
}

t.test('half-close: who has ended still reads', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair, { allowHalfOpen: true });
  client.end('question');
  t.equal(await receive(server), await digestLike('question'));
  t.equal(server.readyState, 'writeOnly');
  t.equal(client.readyState, 'readOnly');
  void send(2, 500_000, server);
  t.equal(await receive(client), digestOf(2, 500_000));
});

t.test('without allowHalfOpen a socket ends when its peer does', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  client.end();
  server.resume();
  await once(client.resume(), 'close');
  t.ok(server.writableFinished);
});

t.test('nobody listens: ECONNREFUSED, as from net.connect', async (t) => {
  await using pair = await Pair.open();
  const socket = pair.a.connect({ address: B4, port: 9 });
  t.match(await failure(socket), { code: 'ECONNREFUSED', syscall: 'connect', address: B4, port: 9, errno: -111 });
  t.equal(pair.b.counters().resetsSent, 1);
  t.ok(socket.destroyed);
});

t.test('a signal ends a connect that nobody answers, and an open connection', async (t) => {
  await using pair = await Pair.open({}, () => false);
  const controller = new AbortController();
  const socket = pair.a.connect({ address: B4, port: 7, signal: controller.signal });
  controller.abort();
  t.match(await failure(socket), { name: 'AbortError', code: 'ABORT_ERR' });
  t.equal(pair.a.counters().connections, 0, 'nothing of it is left');
});

t.test('a reset is ECONNRESET at the peer, and no error here', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  server.resetAndDestroy();
  t.match(await failure(client), { code: 'ECONNRESET', syscall: 'read', errno: -104 });
  t.ok(server.destroyed && server.errored === null);
});

t.test(
  'destroy with an error resets; with something unread too; else the rest is sent and the stream ends',
  async (t) => {
    await using pair = await Pair.open();
    const one = await connected(pair);
    one.client.on('error', () => {}).destroy(new Error('mine'));
    t.match(await failure(one.server), { code: 'ECONNRESET' });

    const two = await connected(pair);
    two.server.write('never read');
    two.client.pause();
    while (two.client.readableLength === 0) await new Promise(setImmediate);
    two.client.destroy();
    t.match(await failure(two.server), { code: 'ECONNRESET' });

    const three = await connected(pair);
    three.client.write(Buffer.alloc(200_000, 1));
    three.client.destroy();
    let size = 0;
    for await (const chunk of three.server as AsyncIterable<Buffer>) size += chunk.length;
    t.equal(size, 200_000);
  },
);

t.test('what is sent to somebody who has gone is answered with a reset', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair, { allowHalfOpen: true });
  client.destroy();
  await once(server.resume(), 'end');
  server.write('late');
  t.match(await failure(server), { code: 'ECONNRESET' });
});

t.test('a reader that stops stops the writer, and goes on with what is there', async (t) => {
  await using pair = await Pair.open({ a: { sendBuffer: 65_536 }, b: { receiveBuffer: 65_536 } });
  const { client, server } = await connected(pair);
  server.pause();
  let drains = 0;
  client.on('drain', () => drains++);
  const block = Buffer.alloc(16_384, 'x');
  let written = 0;
  // Until nothing moves for a while: neither side takes more.
  for (let still = 0; still < 200; still++) {
    while (client.writableLength < client.writableHighWaterMark) {
      client.write(block);
      written += block.length;
      still = 0;
    }
    await new Promise(setImmediate);
  }
  const held = server.readableLength;
  t.ok(held > 0 && held <= 65_536, `${held} bytes wait for the reader`);
  t.ok(client.bytesWritten < 65_536 * 8, `${client.bytesWritten} bytes were taken of the writer`);
  let size = 0;
  server.on('data', (chunk: Buffer) => (size += chunk.length)).resume();
  await once(client, 'drain');
  client.end();
  await once(server, 'end');
  t.equal(size, written);
  t.equal(drains, 1);
});

t.test('a reader that reads in small pieces keeps the window open', async (t) => {
  await using pair = await Pair.open({ b: { receiveBuffer: 8192 } });
  const { client, server } = await connected(pair);
  void send(3, 100_000, client);
  let size = 0;
  while (!server.readableEnded) {
    const piece = server.read(100) as Buffer | null;
    if (piece) size += piece.length;
    else if (server.readableLength > 0) size += (server.read() as Buffer).length;
    else await new Promise(setImmediate);
    if (size === 100_000) server.resume();
  }
  t.equal(size, 100_000);
});

t.test('setTimeout tells of silence once, and not while something happens', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  server.on('error', () => {}).resume();
  let told = 0;
  client.setTimeout(60, () => told++);
  t.equal(client.timeout, 60);
  const busy = performance.now() + 200;
  while (performance.now() < busy) {
    client.write('x');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  t.equal(told, 0);
  await once(client, 'timeout');
  t.equal(told, 1);
  t.notOk(client.destroyed);
  client.setTimeout(0);
  t.equal(client.timeout, undefined);
});

t.test('keepalive probes a peer that is silent, and does not where it is off', async (t) => {
  let probes = 0;
  await using pair = await Pair.open({}, (_, from) => {
    if (from === 'a') probes++;
    return true;
  });
  const { client } = await connected(pair, { keepAlive: true, keepAliveInitialDelay: 50 });
  probes = 0;
  while (probes < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  t.notOk(client.destroyed, 'the peer has answered');
  client.setKeepAlive(false);
  probes = 0;
  await new Promise((resolve) => setTimeout(resolve, 150));
  t.equal(probes, 0);
});

t.test('destroySoon sends what was written, then closes', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  client.write(Buffer.alloc(100_000));
  client.destroySoon();
  let size = 0;
  for await (const chunk of server as AsyncIterable<Buffer>) size += chunk.length;
  t.equal(size, 100_000);
  t.ok(client.destroyed);
});

t.test('write callbacks come in order, and corked writes leave together', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  const done: number[] = [];
  client.cork();
  for (let each = 0; each < 3; each++) client.write(`${each}`, () => done.push(each));
  client.uncork();
  client.end();
  const [first] = (await once(server, 'data')) as [Buffer];
  t.equal(first.toString(), '012');
  t.same(done, [0, 1, 2]);
});

t.test('ports: one that is asked for, one that is taken, and as many as there are', async (t) => {
  await using pair = await Pair.open();
  const { client } = await connected(pair, { localPort: 5000 });
  t.equal(client.localPort, 5000);
  const twice = pair.a.connect({ address: B4, port: 7, localPort: 5000 });
  t.match(await failure(twice), { code: 'EADDRINUSE', syscall: 'connect' });
});

t.test('a socket is not made with new', async (t) => {
  t.throws(() => new (SocketClass as unknown as new () => unknown)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
});

t.test('what a listener of the user throws is an uncaught exception and stops nobody', async (t) => {
  await using pair = await Pair.open();
  const { client, server } = await connected(pair);
  const thrown = once(process, 'uncaughtException');
  server.once('data', () => {
    throw new Error('of the user');
  });
  client.write('x');
  t.match(await thrown, [{ message: 'of the user' }]);
  client.end('y');
  t.equal(await receive(server), await digestLike('y'));
});

async function digestLike(text: string): Promise<string> {
  const { Readable } = await import('node:stream');
  return receive(Readable.from([Buffer.from(text)]));
}
