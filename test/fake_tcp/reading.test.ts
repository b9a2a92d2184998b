/** What a user of a Socket gets to read, and how it ends. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import { CONNECTION } from '../../src/policy.js';
import type { Socket, Stack } from '../../src/index.js';
import { SERVER4, stackOnWire, stackPair } from '../support/device.js';
import { accept, connectPair, until } from '../support/peer.js';

const FIN = 1,
  RST = 4,
  ACK = 16;

const text = (datagram: Uint8Array): string => Buffer.from(datagram).toString();

async function all(socket: Socket): Promise<string[]> {
  const taken: string[] = [];
  for await (const datagram of socket) taken.push(text(datagram));
  return taken;
}

async function closeBoth(...stacks: Stack[]): Promise<void> {
  await Promise.all(stacks.map((stack) => stack.close()));
}

t.test(
  'what comes while one datagram is worked on waits, bounded, and the oldest go',
  { timeout: 20_000 },
  async (t) => {
    const [client, server] = await stackPair();
    const [here, there] = await connectPair(client, server);
    const size = 1400;
    const most = Math.floor(CONNECTION.receiveQueueBytes / (size + CONNECTION.datagramOverhead));
    const count = 2 * most;
    let sent = 0;
    const received = (): number => there.counters.receivedDatagrams + (server.counters.dropped['eventsFull'] ?? 0);
    const send = async (): Promise<void> => {
      // Few at a time: the socketpair between the stacks drops nothing then.
      for (; sent < count;) {
        for (let i = 0; i < 20; i++) here.send(Buffer.alloc(size, `${sent++}.`));
        await until(() => received() >= sent);
      }
    };
    here.send(Buffer.alloc(size, `${sent++}.`));
    const taken: number[] = [];
    for await (const datagram of there) {
      taken.push(Number(text(datagram).split('.')[0]));
      if (taken.length === 1) {
        await send();
        here.send(Buffer.from(`${sent}.`));
        await until(() => received() > sent);
        // All events of that turn are taken.
        await new Promise((resolve) => setImmediate(resolve));
        t.ok(there.receiveDrops > 0, `${there.receiveDrops} dropped`);
        await here.close();
      }
    }
    t.ok(taken.length <= most + 2, `${taken.length} of ${count} were kept, ${most} may be`);
    t.equal(taken.at(-1), sent, 'the last is there');
    t.equal(taken.length + there.receiveDrops + (server.counters.dropped['eventsFull'] ?? 0), sent + 1);
    t.same(
      taken,
      [...taken].sort((a, b) => a - b),
    );
    await closeBoth(client, server);
  },
);

t.test('an iterator throws what `error` would have said, after what came before', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, ack, write } = await accept(stack, wire);
  const reading = t.rejects(all(socket), { code: 'ECONNRESET', syscall: 'read', port: 40_000 });
  write({ seq, payload: Buffer.from('last') });
  write({ seq: seq + 4, ack, flags: RST });
  await reading;
  await t.rejects(all(socket), { code: 'ECONNRESET' }, 'one that begins later says so too');
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('listeners and iterators both hear of an error', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, write } = await accept(stack, wire);
  const reading = t.rejects(all(socket), { code: 'ECONNRESET' });
  const heard = once(socket, 'error');
  write({ flags: RST });
  t.match(await heard, [{ code: 'ECONNRESET' }]);
  await reading;
  await stack.close();
  wire[Symbol.dispose]();
});

for (const how of ['iterator', 'listener'] as const) {
  t.test(`what came before the peer's FIN is read before the end (${how})`, async (t) => {
    const [stack, wire] = await stackOnWire();
    const { socket, seq, write } = await accept(stack, wire);
    // Nobody reads yet: the data plane holds the datagrams while the FIN passes by.
    write({ seq, payload: Buffer.from('one') });
    write({ seq: seq + 3, payload: Buffer.from('two') });
    write({ seq: seq + 6, flags: FIN | ACK });
    if (how === 'iterator') {
      await until(() => socket.closed);
      t.same(await all(socket), ['one', 'two']);
    } else {
      while (socket.counters.receivedDatagrams < 2) continue; // in one task: the FIN is not read before
      const heard: string[] = [];
      socket.on('message', (datagram) => heard.push(text(datagram)));
      await once(socket, 'close');
      t.same(heard, ['one', 'two'], 'and `close` is last');
    }
    await stack.close();
    wire[Symbol.dispose]();
  });
}

t.test('leaving a loop leaves the socket open, and the next takes over', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, write } = await accept(stack, wire);
  write({ seq, payload: Buffer.from('one') });
  for await (const datagram of socket) {
    t.equal(text(datagram), 'one');
    break;
  }
  t.notOk(socket.closed);
  write({ seq: seq + 3, payload: Buffer.from('two') });
  write({ seq: seq + 6, flags: FIN | ACK });
  t.same(await all(socket), ['two']);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('two iterators share what comes', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, write } = await accept(stack, wire);
  const both = Promise.all([all(socket), all(socket)]);
  for (let i = 0; i < 6; i++) write({ seq: seq + i, payload: Buffer.from(`${i}`) });
  write({ seq: seq + 6, flags: FIN | ACK });
  const [first, second] = await both;
  t.same([...first, ...second].sort(), ['0', '1', '2', '3', '4', '5']);
  t.ok(first.length > 0 && second.length > 0, `${first.length} and ${second.length}`);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('a listener that throws loses no datagram of its neighbours, and is heard of', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, write } = await accept(stack, wire);
  const caught: Error[] = [];
  const handlers = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => caught.push(error));
  t.teardown(() => {
    process.removeAllListeners('uncaughtException');
    for (const handler of handlers) process.on('uncaughtException', handler);
  });
  let heard = 0;
  socket.on('message', () => {
    if (heard++ === 1) throw new Error('by a listener');
  });
  for (let i = 0; i < 51; i++) write({ seq: seq + i, payload: Buffer.from('x') });
  await until(() => socket.counters.receivedDatagrams === 51);
  await until(() => caught.length > 0 && heard === 51);
  t.equal(caught[0]?.message, 'by a listener');
  t.equal(caught.length, 1);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('what came before anybody read arrives in order, at both ends', async (t) => {
  for (const how of ['message', 'once', 'prepend', 'iterator'] as const) {
    for (const end of ['accepted', 'opened'] as const) {
      const [client, server] = await stackPair();
      const [here, there] = await connectPair(client, server);
      const [from, to] = end === 'accepted' ? [here, there] : [there, here];
      const sent = Array.from({ length: 20 }, (_, i) => `${i}`);
      for (const each of sent.slice(0, 10)) from.send(Buffer.from(each));
      await until(() => to.counters.receivedDatagrams === 10);
      const heard: string[] = [];
      const take = (datagram: Uint8Array): void => void heard.push(text(datagram));
      if (how === 'message') to.on('message', take);
      if (how === 'prepend') to.prependListener('message', take);
      if (how === 'once') {
        to.once('message', take);
        await until(() => heard.length === 1);
        to.addListener('message', take);
      }
      if (how === 'iterator') void all(to).then((taken) => heard.push(...taken));
      for (const each of sent.slice(10)) from.send(Buffer.from(each));
      await until(() => to.counters.receivedDatagrams === 20);
      await from.close();
      await until(() => heard.length === 20);
      t.same(heard, sent, `${how}, ${end}`);
      await closeBoth(client, server);
    }
  }
});

t.test('what came before a splice goes where it leads, in order, at both ends', async (t) => {
  for (const end of ['accepted', 'opened'] as const) {
    const backend = createSocket('udp4').bind(0, '127.0.0.1');
    await once(backend, 'listening');
    const arrived: string[] = [];
    backend.on('message', (datagram) => arrived.push(text(datagram)));
    const [client, server] = await stackPair();
    const listener = server.listen({ port: 4567 });
    const accepted = once(listener, 'connection') as Promise<[Socket]>;
    const here = await client.connect({ address: SERVER4, port: 4567 });
    // With the handshake: the data plane does not know the flow yet.
    if (end === 'accepted') here.send(Buffer.from('0'));
    const [there] = await accepted;
    if (end === 'opened') there.send(Buffer.from('0'));
    const [from, to] = end === 'accepted' ? [here, there] : [there, here];
    for (let i = 1; i < 10; i++) from.send(Buffer.from(`${i}`));
    await until(() => from.counters.sentDatagrams === 10);
    to.spliceUdp({ address: '127.0.0.1', port: backend.address().port });
    for (let i = 10; i < 20; i++) from.send(Buffer.from(`${i}`));
    await until(() => arrived.length === 20);
    t.same(
      arrived,
      Array.from({ length: 20 }, (_, i) => `${i}`),
      end,
    );
    backend.close();
    await closeBoth(client, server);
  }
});

t.test('a socket that is closed refuses what needs a connection, and can be closed again', async (t) => {
  const [client, server] = await stackPair();
  const [here] = await connectPair(client, server);
  await here.close();
  const remote = { address: '127.0.0.1', port: 9 };
  t.throws(() => here.send(Buffer.from('late')), { code: 'ERR_GUISE_CLOSED' });
  t.throws(() => here.spliceUdp(remote), { code: 'ERR_GUISE_CLOSED' });
  t.throws(() => here.spliceApplication({ id: 1, listener: 0, worker: 0, local: remote, remote }), {
    code: 'ERR_GUISE_CLOSED',
  });
  here.unsplice();
  here.resetAndDestroy();
  await here.close();
  t.same(await all(here), []);
  await closeBoth(client, server);
});
