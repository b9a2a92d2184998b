/** The stack as a whole: what it is opened with, what it tells of itself, how it ends. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netstack, TcpListener, type TcpSocket } from '../../src/netstack/index.js';
import { socketpair } from '../support/device.js';
import { digestOf, receive, send } from './bytes.js';
import { A4, B4, Pair } from './pair.js';

t.test('what is wrong with options is said with their names', async (t) => {
  const refused = (options: object, name: string): Promise<unknown> =>
    t.rejects(Netstack.open(options), { code: 'ERR_GUISE_ARGUMENT', message: new RegExp(`^${name} is `) });
  await refused({ mtu: 100 }, 'mtu');
  await refused({ congestion: 'vegas' }, 'congestion');
  await refused({ addresses: ['host'] }, 'addresses.0.');
  await refused({ addresses: 'x' }, 'addresses');
  await refused({ device: { name: 'a/b' } }, 'device.name');
  await refused({ device: { descriptor: -1 } }, 'device.descriptor');
  await refused({ filters: [1] }, 'filters');
  await refused({ sendBuffer: 1 }, 'sendBuffer');
  await refused({ ecn: 'always' }, 'ecn');
  await using stack = await Netstack.open();
  t.throws(() => stack.connect({ address: A4, port: 80 }), { message: /^localAddress is undefined/ });
  t.throws(() => stack.connect({ address: A4, port: 80, localAddress: 'fd00::1' }), { message: /IPv4/ });
  t.throws(() => stack.connect({ address: A4, port: 0, localAddress: B4 }), { message: /^port is 0/ });
  t.throws(() => stack.listen({ port: 70_000 }), { message: /^port is 70000/ });
  t.throws(() => stack.info({} as unknown as TcpSocket), { message: /^socket is/ });
});

t.test('an address and a port are listened on once', async (t) => {
  await using stack = await Netstack.open();
  const listener = stack.listen({ port: 80 });
  t.throws(() => stack.listen({ port: 80 }), { code: 'EADDRINUSE', syscall: 'listen', port: 80 });
  t.same(listener.address(), { address: '::', family: 'IPv6', port: 80 });
  listener.close();
  t.equal(listener.address(), null);
  stack.listen({ port: 80 });
  t.throws(() => new (TcpListener as unknown as new () => unknown)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
});

t.test('a listener that is closed resets what nobody has taken, and ends its iterators', async (t) => {
  await using pair = await Pair.open();
  const listener = pair.b.listen({ port: 7 });
  const socket = pair.a.connect({ address: B4, port: 7 });
  await once(socket, 'connect');
  const closed = once(listener, 'close');
  listener.close();
  await closed;
  t.match(await once(socket, 'error'), [{ code: 'ECONNRESET' }]);
  for await (const _ of listener) t.fail('nothing comes');
  t.notOk(listener.listening);
});

t.test('more than the backlog waits outside until somebody takes one', async (t) => {
  await using pair = await Pair.open();
  const listener = pair.b.listen({ port: 7, backlog: 2 });
  const sockets = [1, 2].map(() => pair.a.connect({ address: B4, port: 7 }));
  while (pair.b.counters().accepted < 2) await new Promise(setImmediate);
  sockets.push(pair.a.connect({ address: B4, port: 7 }));
  while (pair.b.counters().synsDropped < 1) await new Promise(setImmediate);
  t.ok(sockets[2]!.connecting);
  let taken = 0;
  for await (const socket of listener) {
    socket.resume();
    if (++taken === 3) break;
  }
  t.notOk(sockets[2]!.connecting, 'its second SYN was answered');
});

t.test('info tells of a connection, counters of all', async (t) => {
  await using pair = await Pair.open({ a: { congestion: 'bbr' } });
  pair.b.listen({ port: 7 }).on('connection', (socket) => socket.pipe(socket));
  const socket = pair.a.connect({ address: B4, port: 7 });
  void send(4, 1_000_000, socket);
  const reading = receive(socket);
  await once(socket, 'connect');
  t.match(pair.a.info(socket), { state: 'established', congestion: 'bbr', segmentSize: 1448 });
  t.equal(await reading, digestOf(4, 1_000_000));
  if (!socket.closed) await once(socket, 'close');
  t.equal(pair.a.info(socket), undefined);
  while (pair.b.counters().connections > 0) await new Promise(setImmediate);
  t.match(pair.b.counters(), { synsKept: 1, accepted: 1, halfOpen: 0, cookiesSent: 0, receiveBudgetTaken: 0 });
  t.ok(pair.b.counters().received > 0);
});

t.test('a stack that is closed resets what is open, tells the peers, and is closed for good', async (t) => {
  const pair = await Pair.open();
  pair.b.listen().on('connection', (socket) => socket.on('error', () => {}));
  const sockets = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = pair.a.connect({ address: B4, port: 7 });
      await once(socket, 'connect');
      return socket;
    }),
  );
  const errors = sockets.map((socket) => once(socket, 'error'));
  await pair.b.close();
  for (const [error] of await Promise.all(errors)) t.match(error, { code: 'ECONNRESET' });
  t.throws(() => pair.b.listen(), { code: 'ERR_GUISE_CLOSED' });
  t.throws(() => pair.b.connect({ address: A4, port: 1 }), { code: 'ERR_GUISE_CLOSED' });
  t.equal(pair.b.counters().connections, 0);
  await pair.b.close();
  await pair.a.close();
});

t.test('what a socket had written before it was closed arrives, although the stack is closed at once', async (t) => {
  await using pair = await Pair.open();
  const listener = pair.a.listen({ port: 7 });
  const socket = pair.b.connect({ address: A4, port: 7 });
  const [server] = (await once(listener, 'connection')) as [TcpSocket];
  const reading = receive(server);
  await send(5, 200_000, socket);
  socket.destroy();
  await pair.b.close();
  t.equal(await reading, digestOf(5, 200_000));
});

t.test('packets are taken by iterators and by Web streams, and fed by both', async (t) => {
  const a = await Netstack.open({ addresses: [A4] });
  const b = await Netstack.open({ addresses: [B4] });
  void a.readable.pipeTo(b.writable);
  void b.readable.pipeTo(a.writable);
  b.listen().on('connection', (socket) => socket.end('hello'));
  t.equal((await a.connect({ address: B4, port: 7 }).setEncoding('utf8').toArray()).join(''), 'hello');
  t.throws(() => a.feed('x' as unknown as Uint8Array), { code: 'ERR_GUISE_ARGUMENT' });
  await Promise.all([a.close(), b.close()]);
});

t.test('a device may be a descriptor: two stacks on the ends of a socketpair', async (t) => {
  const [one, other] = socketpair();
  await using a = await Netstack.open({ device: { descriptor: one, virtioHeader: true }, addresses: [A4] });
  await using b = await Netstack.open({ device: { descriptor: other, virtioHeader: true }, addresses: [B4] });
  b.listen().on('connection', (socket) => socket.pipe(socket));
  const socket = a.connect({ address: B4, port: 7 });
  void send(8, 3_000_000, socket);
  t.equal(await receive(socket), digestOf(8, 3_000_000));
  t.equal(a.name, undefined);
  t.throws(() => a.packets, { code: 'ERR_GUISE_ARGUMENT', message: /^device is / });
});

t.test('as many connections as are allowed: more are not answered, nor opened', async (t) => {
  await using pair = await Pair.open({ a: { maxConnections: 2 }, b: { maxConnections: 1 } });
  pair.b.listen().on('connection', (socket) => socket.resume());
  await once(pair.a.connect({ address: B4, port: 7 }), 'connect');
  const second = pair.a.connect({ address: B4, port: 7 });
  t.match(await once(pair.a.connect({ address: B4, port: 7 }), 'error'), [{ code: 'ENFILE', syscall: 'connect' }]);
  while (pair.b.counters().synsDropped === 0) await new Promise(setImmediate);
  t.ok(second.connecting);
});

t.test('a filter keeps who it does not like from opening', async (t) => {
  await using pair = await Pair.open({ b: { filters: [(source) => source !== A4] } });
  pair.b.listen().on('connection', () => t.fail('it came'));
  const socket = pair.a.connect({ address: B4, port: 7, signal: AbortSignal.timeout(100) });
  t.match(await once(socket, 'error'), [{ name: 'AbortError' }]);
  t.equal(pair.b.counters().filtered, 1);
});

t.test('tcp: false takes no connection', async (t) => {
  await using pair = await Pair.open({ b: { tcp: false } });
  pair.b.listen().on('connection', () => t.fail('it came'));
  const socket = pair.a.connect({ address: B4, port: 7, signal: AbortSignal.timeout(100) });
  t.match(await once(socket, 'error'), [{ name: 'AbortError' }]);
});

t.test('guise loads nothing of the netstack, and the netstack nothing of the fake TCP', async (t) => {
  const source = fileURLToPath(new URL('../../src', import.meta.url));
  const loaded = (module: string, found = new Set<string>()): Set<string> => {
    if (found.has(module)) return found;
    found.add(module);
    for (const [, name] of readFileSync(module, 'utf8').matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)';/gm))
      loaded(resolve(dirname(module), name!), found);
    return found;
  };
  const guise = [...loaded(`${source}/index.js`)];
  t.ok(guise.includes(`${source}/fake_tcp/stack.js`), 'the walk works');
  t.same(
    guise.filter((module) => module.includes('/netstack/')),
    [],
  );
  const netstack = [...loaded(`${source}/netstack/index.js`)];
  t.ok(netstack.includes(`${source}/netstack/tcp/connection.js`), 'the walk works');
  t.same(
    netstack.filter((module) => module.includes('/fake_tcp/')),
    [],
  );
});
