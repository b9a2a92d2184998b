/**
 * What the stacks that were there before can do: a test for each row of docs/netstack.md. What takes a TUN is in
 * ../tools/tools.test.ts and in course.test.ts.
 */
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import t from 'tap';
import { Netstack, unicastOnly, type Datagram, type TcpSocket, type UdpSocket } from '../../src/netstack/index.js';
import { digestOf, receive, send } from './bytes.js';
import { A4, B4, B6, Pair } from './pair.js';

const ANYWHERE = '203.0.113.9';

async function connected(pair: Pair, address = B4, port = 80): Promise<[here: TcpSocket, there: TcpSocket]> {
  const listener = pair.b.listen({ port, allowHalfOpen: true });
  const here = pair.a.connect({ address, port, allowHalfOpen: true });
  const [there] = (await once(listener, 'connection')) as [TcpSocket];
  if (here.connecting) await once(here, 'connect');
  listener.close();
  for (const socket of [here, there]) socket.on('error', () => {}); // the end of the stack
  return [here, there];
}

/** Reads to the end, and leaves the socket open. */
async function textOf(socket: TcpSocket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  await once(socket, 'end');
  return text;
}

t.test('ustunet: any address and port is accepted, and each stream tells which', async (t) => {
  await using pair = await Pair.open();
  const listener = pair.b.listen();
  for (const [address, port] of [
    [ANYWHERE, 1],
    [B4, 65_535],
    ['2001:db8::9', 4242],
  ] as const) {
    const here = pair.a.connect({ address, port });
    const [there] = (await once(listener, 'connection')) as [TcpSocket];
    t.match(there, { localAddress: address, localPort: port });
    here.destroy();
  }
});

t.test('ustunet: what reads and what writes are apart', async (t) => {
  await using pair = await Pair.open();
  const [here, there] = await connected(pair);
  const { readable, writable } = Duplex.toWeb(here);
  void there.pipe(there);
  const writer = (writable as WritableStream<Uint8Array>).getWriter();
  const read = (async (): Promise<string> => {
    let text = '';
    for await (const chunk of readable as unknown as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString();
    return text;
  })();
  for (const word of ['one', 'two', 'three']) await writer.write(Buffer.from(word));
  await writer.close();
  t.equal(await read, 'onetwothree');
});

t.test('ustunet, tcp-tun: shutdown of one direction, and of both', async (t) => {
  await using pair = await Pair.open();
  const [here, there] = await connected(pair);
  here.end('all that is asked');
  t.equal(await textOf(there), 'all that is asked');
  there.end('and what is answered');
  t.equal(await textOf(here), 'and what is answered');
  const [one, other] = await connected(pair, B4, 81);
  one.end();
  other.end();
  await Promise.all([one, other].map((socket) => once(socket.resume(), 'close')));
  t.match([one, other], [{ destroyed: true }, { destroyed: true }]);
});

t.test('netstack-smoltcp: protocols are switched, buffers have a size', async (t) => {
  const sizes = { sendBuffer: 8192, receiveBuffer: 8192 };
  await using pair = await Pair.open({ a: { ...sizes }, b: { ...sizes, icmp: false, udp: false } });
  const [here, there] = await connected(pair);
  t.ok(pair.b.info(there)!.receiveWindow <= 8192, `${pair.b.info(there)!.receiveWindow}`);
  // The reader does not read: the writer has to stop.
  let written = 0;
  while (here.write(Buffer.alloc(4096))) written += 4096;
  t.ok(written <= 8192 + here.writableHighWaterMark, `${written}`);
  await t.rejects(pair.a.ping(B4, { timeout: 50 }), { name: 'TimeoutError' }, 'no ICMP');
  const udp = pair.a.udp({ port: 0 });
  udp.on('unreachable', () => t.fail('no ICMP'));
  udp.send(Buffer.from('x'), { destination: { address: B4, port: 9 } });
  await t.rejects(pair.a.ping(B4, { timeout: 50 }));
  await using none = await Pair.open({ b: { tcp: false } });
  none.b.listen();
  const never = none.a.connect({ address: B4, port: 80, signal: AbortSignal.timeout(100) });
  await t.rejects(once(never, 'connect'), { name: 'AbortError' });
});

t.test('netstack-smoltcp: filters', async (t) => {
  const filters = [unicastOnly, (source: string, destination: string) => source === A4 && destination !== ANYWHERE];
  await using pair = await Pair.open({ b: { filters } });
  await connected(pair);
  const refused = pair.a.connect({ address: ANYWHERE, port: 80, signal: AbortSignal.timeout(100) });
  await t.rejects(once(refused, 'connect'), { name: 'AbortError' });
  await t.rejects(pair.a.ping(ANYWHERE, { timeout: 50 }), { name: 'TimeoutError' });
  t.ok(pair.b.counters().filtered >= 2);
});

t.test('netstack-smoltcp: the stack is a source and a sink of packets', async (t) => {
  await using a = await Netstack.open({ addresses: [A4] });
  await using b = await Netstack.open({ addresses: [B4] });
  void a.readable.pipeTo(b.writable).catch(() => {});
  void b.readable.pipeTo(a.writable).catch(() => {});
  b.listen({ port: 80 }).on('connection', (socket) => void send(7, 1_000_000, socket));
  t.equal(await receive(a.connect({ address: B4, port: 80 })), digestOf(7, 1_000_000));
});

t.test('netstack-smoltcp: a listener is a stream of connections, whose ends are not swapped', async (t) => {
  await using pair = await Pair.open();
  const listener = pair.b.listen();
  const here = pair.a.connect({ address: ANYWHERE, port: 443, localPort: 5555 });
  for await (const there of listener) {
    t.match(there, { localAddress: ANYWHERE, localPort: 443, remoteAddress: A4, remotePort: 5555 });
    there.end();
    break;
  }
  t.match(here, { localAddress: A4, localPort: 5555, remoteAddress: ANYWHERE, remotePort: 443 });
});

t.test('netstack-smoltcp: both halves of UDP', async (t) => {
  await using pair = await Pair.open();
  const inward = async (udp: UdpSocket, count: number): Promise<Datagram[]> => {
    const datagrams: Datagram[] = [];
    for await (const datagram of udp) if (datagrams.push(datagram) === count) break;
    return datagrams;
  };
  const outward = ({ data, source, destination }: Datagram): void =>
    server.send(data, { destination: source, source: destination });
  const server = pair.b.udp();
  const client = pair.a.udp({ port: 7000 });
  for (const port of [53, 443]) client.send(Buffer.from(`to ${port}`), { destination: { address: ANYWHERE, port } });
  for (const datagram of await inward(server, 2)) outward(datagram);
  t.match(await inward(client, 2), [
    { source: { address: ANYWHERE, port: 53 }, destination: { address: A4, port: 7000 } },
    { source: { address: ANYWHERE, port: 443 }, destination: { address: A4, port: 7000 } },
  ]);
});

t.test('netstack-smoltcp: ping, answered and sent', async (t) => {
  await using pair = await Pair.open();
  for (const address of [B4, B6, ANYWHERE]) t.match(await pair.a.ping(address), { address, size: 56 });
  t.equal(pair.b.counters().echoesAnswered, 3);
});

t.test('tcp-tun: a listener and a stream, connect, write, read', async (t) => {
  await using pair = await Pair.open();
  const [here, there] = await connected(pair);
  here.write('a question');
  t.equal(String(((await once(there, 'data')) as [Buffer])[0]), 'a question');
  there.write('an answer');
  t.equal(String(((await once(here, 'data')) as [Buffer])[0]), 'an answer');
});

t.test('tcp-tun: abort', async (t) => {
  await using pair = await Pair.open();
  const [here, there] = await connected(pair);
  here.resetAndDestroy();
  await t.rejects(once(there, 'end'), { code: 'ECONNRESET' });
  t.same([pair.a.counters().connections, pair.b.counters().connections], [0, 0], 'no TIME-WAIT');
});

t.test('tcp-tun: calls in states that are not usual', async (t) => {
  await using pair = await Pair.open();
  const greeted = once(pair.b.listen({ port: 80, allowHalfOpen: true }), 'connection') as Promise<[TcpSocket]>;
  const early = pair.a.connect({ address: B4, port: 80, allowHalfOpen: true });
  early.on('error', () => {}).end('before the connection is there'); // SYN-SENT
  t.throws(() => pair.b.listen({ port: 80, address: '::' }), { code: 'EADDRINUSE' });
  const [there] = await greeted;
  t.equal(await textOf(there.on('error', () => {})), 'before the connection is there');

  const [here, waiting] = await connected(pair, B4, 81);
  here.end();
  await once(waiting.resume(), 'end');
  waiting.write('in CLOSE-WAIT'); // the peer has ended
  t.equal(String(((await once(here, 'data')) as [Buffer])[0]), 'in CLOSE-WAIT');
  const late = new Promise((resolve) => here.once('error', resolve));
  here.write('in FIN-WAIT-2');
  t.match(await late, { code: 'ERR_STREAM_WRITE_AFTER_END' });

  const given = pair.a.connect({ address: '198.51.100.1', port: 9 });
  given.destroy(); // SYN-SENT
  await once(given, 'close');
  t.equal(given.setNoDelay().setKeepAlive(true).setUserTimeout(5).destroyed, true, 'CLOSED');
  t.equal(pair.a.info(given), undefined);
  for (let i = 0; i < 2; i++) given.destroy().resetAndDestroy();
});

t.test('tcp-tun, missing there: fragments are put together', async (t) => {
  await using pair = await Pair.open({ a: { mtu: 576 } });
  const server = pair.b.udp({ port: 7 });
  const client = pair.a.udp({ port: 7000 });
  client.send(Buffer.alloc(60_000, 'abc'), { destination: { address: B4, port: 7 } });
  const [{ data }] = (await once(server, 'message')) as [Datagram];
  t.same(data, Buffer.alloc(60_000, 'abc'));
  t.equal(pair.b.counters().reassembled, 1);
});

t.test('tcp-tun, missing there: user time-out and idle time-out', async (t) => {
  let isCut = false;
  await using pair = await Pair.open({}, () => !isCut);
  const [here, there] = await connected(pair);
  isCut = true;
  here.setUserTimeout(300).write('nobody takes it');
  const begin = performance.now();
  await t.rejects(once(here, 'end'), { code: 'ETIMEDOUT' });
  t.ok(performance.now() - begin >= 299);
  await once(there.setTimeout(20), 'timeout');
});

t.test('tcp-tun, missing there: several connections at once', async (t) => {
  await using pair = await Pair.open();
  pair.b.listen({ port: 80 }).on('connection', (socket) => void socket.pipe(socket));
  const sockets = Array.from({ length: 50 }, () => pair.a.connect({ address: B4, port: 80 }));
  const answers = sockets.map(async (socket, i) => {
    void send(i, 100_000, socket);
    return receive(socket);
  });
  t.same(
    await Promise.all(answers),
    sockets.map((_, i) => digestOf(i, 100_000)),
  );
});

t.test('tcp-tun, missing there: calls that are pending return', async (t) => {
  const pair = await Pair.open();
  const [here] = await connected(pair);
  const next = async (each: AsyncIterable<unknown>): Promise<boolean | undefined> => {
    const iterator = each[Symbol.asyncIterator]();
    return (await iterator.next()).done;
  };
  const pending = [
    once(pair.a.connect({ address: ANYWHERE, port: 99 }), 'close').then(() => 'closed'),
    once(here, 'close').then(() => 'closed'),
    next(pair.a.listen()),
    next(pair.a.udp()),
    pair.a.ping('198.51.100.1').catch((error: unknown) => (error as NodeJS.ErrnoException).code),
  ];
  await pair[Symbol.asyncDispose]();
  t.same(await Promise.all(pending), ['closed', 'closed', true, true, 'ERR_GUISE_CLOSED']);
});
