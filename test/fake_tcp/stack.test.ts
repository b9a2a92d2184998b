import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setImmediate as nextRound } from 'node:timers/promises';
import t from 'tap';
import type { Socket, Stack } from '../../src/index.js';
import { CLIENT4, SERVER4, SERVER6, stackOnWire, stackPair } from '../support/device.js';
import { accept, tuple, until } from '../support/peer.js';
import { build, read } from '../support/segment.js';

const SYN = 2,
  RST = 4,
  ACK = 16;

async function connected(client: Stack, server: Stack, address = SERVER4): Promise<[Socket, Socket]> {
  const listener = server.listen({ port: 4567 });
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const here = await client.connect({ address, port: 4567 });
  here.send(Buffer.from('hello'));
  const [there] = await accepted;
  return [here, there];
}

async function take(socket: Socket, count: number): Promise<Buffer[]> {
  const datagrams: Buffer[] = [];
  for await (const datagram of socket) if (datagrams.push(Buffer.from(datagram)) === count) break;
  return datagrams;
}

for (const virtioHeader of [false, true]) {
  t.test(`datagrams keep their boundaries and their order (virtio header: ${virtioHeader})`, async (t) => {
    const [client, server] = await stackPair({ virtioHeader, offload: virtioHeader });
    const [here, there] = await connected(client, server);
    t.same(await take(there, 1), [Buffer.from('hello')]);
    const sent = Array.from({ length: 1000 }, (_, i) => Buffer.alloc(1 + ((i * 7919) % 1460), i));
    const received = take(there, sent.length);
    for (const datagram of sent) here.send(datagram);
    t.same(await received, sent);
    const back = take(here, 1);
    there.send(Buffer.from('and back'));
    t.same(await back, [Buffer.from('and back')]);
    t.equal(here.counters.sentDatagrams, 1001);
    await Promise.all([client.close(), server.close()]);
  });
}

t.test('datagrams of 0 bytes pass between two guises that have heard of each other', async (t) => {
  const [client, server] = await stackPair();
  const accepted = once(server.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
  const here = await client.connect({ address: SERVER4, port: 4567 });
  here.send(new Uint8Array(0));
  await until(() => here.counters.sentDrops === 1);
  t.equal(client.counters.dropped['emptyDatagram'], 1, 'the server may not know the connection yet');
  here.send(Buffer.from('hello'));
  const [there] = await accepted;
  t.same(await take(there, 1), [Buffer.from('hello')]);
  await until(() => here.counters.receivedSegments > 0);
  for (const [from, to] of [
    [here, there],
    [there, here],
  ] as const) {
    const received = take(to, 2);
    for (const datagram of ['', 'more']) from.send(Buffer.from(datagram));
    t.same((await received).map(String).sort(), ['', 'more']);
  }
  const phantun = await client.connect({ address: SERVER4, port: 4567, profile: 'phantun' });
  t.throws(() => phantun.send(new Uint8Array(0)), { code: 'ERR_GUISE_DATAGRAM_SIZE' });
  await Promise.all([client.close(), server.close()]);
});

t.test('IPv6', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connected(client, server, SERVER6);
  t.equal(here.remoteAddress, SERVER6);
  t.equal(here.maxPayload, 1440);
  t.same(await take(there, 1), [Buffer.from('hello')]);
  await Promise.all([client.close(), server.close()]);
});

t.test('close tells the peer, which closes too', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connected(client, server);
  const closed = once(there, 'close');
  await here.close();
  await closed;
  t.ok(there.closed);
  t.throws(() => here.send(Buffer.from('late')), { code: 'ERR_GUISE_CLOSED' });
  await Promise.all([client.close(), server.close()]);
});

t.test('reset ends the peer with ECONNRESET', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connected(client, server);
  const failed = once(there, 'error');
  here.resetAndDestroy();
  const [error] = (await failed) as [Error];
  t.match(error, { code: 'ECONNRESET', address: CLIENT4 });
  await Promise.all([client.close(), server.close()]);
});

t.test(
  'what is reset leaves no socket of UDP behind, whichever worker hears of it first',
  { timeout: 30_000 },
  async (t) => {
    const [client, server] = await stackPair({ workers: 2 });
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const listener = server.listen({ port: 4567 });
    for (let i = 0; i < 200; i++) {
      const accepted = once(listener, 'connection') as Promise<[Socket]>;
      const here = await client.connect({ address: SERVER4, port: 4567, worker: 1 });
      const [there] = await accepted;
      there.spliceUdp({ address: '127.0.0.1', port: 9 });
      const failed = once(there, 'error');
      here.resetAndDestroy();
      await failed;
    }
    while (descriptors() > before) await nextRound();
    t.equal(descriptors(), before);
    await Promise.all([client.close(), server.close()]);
  },
);

t.test('a connection is spliced once', async (t) => {
  const [client, server] = await stackPair();
  const [here] = await connected(client, server);
  const remote = { address: '127.0.0.1', port: 9 };
  here.spliceUdp(remote);
  t.throws(() => here.spliceUdp(remote), { code: 'EISCONN' });
  t.throws(() => here.spliceApplication({ id: 1, listener: 1, worker: 0, local: remote, remote }), { code: 'EISCONN' });
  await Promise.all([client.close(), server.close()]);
});

t.test('connecting to a port where nobody listens is refused', async (t) => {
  const [client, server] = await stackPair();
  await t.rejects(client.connect({ address: SERVER4, port: 9 }), { code: 'ECONNREFUSED', syscall: 'connect', port: 9 });
  await Promise.all([client.close(), server.close()]);
});

t.test('connecting where nobody answers times out, and can be aborted', async (t) => {
  const [stack] = await stackOnWire();
  await t.rejects(stack.connect({ address: CLIENT4, port: 9, timeout: 20 }), { code: 'ETIMEDOUT' });
  const signal = AbortSignal.timeout(20);
  await t.rejects(stack.connect({ address: CLIENT4, port: 9, signal }), { name: 'TimeoutError' });
  await t.rejects(stack.connect({ address: CLIENT4, port: 9, signal }), { name: 'TimeoutError' });
  await stack.close();
});

t.test('a datagram that does not fit is refused with both sizes', async (t) => {
  const [client, server] = await stackPair({ mtu: 1400 });
  const [here] = await connected(client, server);
  // In fragments.
  t.equal(here.path.datagram, 1360);
  t.throws(() => here.send(Buffer.alloc(65_496)), {
    code: 'ERR_GUISE_DATAGRAM_SIZE',
    message: /65496 bytes .* 1 to 65495/,
  });
  await Promise.all([client.close(), server.close()]);
});

t.test('what is sent faster than it leaves is dropped and counted, never piled up', async (t) => {
  const [client, server] = await stackPair();
  const [here] = await connected(client, server);
  const datagram = Buffer.alloc(1460);
  for (let i = 0; i < 10_000; i++) here.send(datagram);
  await new Promise((resolve) => setImmediate(resolve));
  const dropped = client.counters.dropped['sendQueueFull'] ?? 0;
  t.ok(dropped > 0 && dropped < 8000, `${dropped} of 10000 dropped`);
  t.equal(here.counters.sentDrops >= dropped, true);
  await Promise.all([client.close(), server.close()]);
});

t.test('an idle connection is closed on both sides', async (t) => {
  const [client, server] = await stackPair({ idleTimeout: 1 });
  const [here, there] = await connected(client, server);
  await Promise.all([once(here, 'close'), once(there, 'close')]);
  t.ok(here.closed && there.closed);
  await Promise.all([client.close(), server.close()]);
});

t.test('a SYN leaves no state; first data with the cookie opens and is delivered', async (t) => {
  const [stack, wire] = await stackOnWire();
  const accepted = once(stack.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
  wire.write(build({ ...tuple, seq: 1000, ack: 0, flags: SYN }));
  const answer = read(await wire.read());
  t.match(answer, { flags: SYN | ACK, ack: 1001, window: 0xffff, checksumGood: true });
  t.equal([...stack.sockets].length, 0);
  const payload = Buffer.from('first');
  wire.write(build({ ...tuple, seq: 1001, ack: answer.seq + 1, flags: ACK, payload }));
  const [socket] = await accepted;
  t.same(await take(socket, 1), [payload]);
  t.match(read(await wire.read()), { flags: ACK, ack: 1006, seq: (answer.seq + 1) >>> 0 }, 'acknowledged at once');
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('closing ends what is being opened', async (t) => {
  const [stack, wire] = await stackOnWire();
  const opening = stack.connect({ address: CLIENT4, port: 4567 });
  t.match(read(await wire.read()), { flags: SYN });
  const refused = t.rejects(opening, { code: 'ECONNABORTED', port: 4567 });
  await stack.close();
  await refused;
  await t.rejects(stack.connect({ address: CLIENT4, port: 4567 }), { code: 'ECONNABORTED' });
  wire[Symbol.dispose]();
});

t.test('strangers get a RST, RSTs get nothing', async (t) => {
  const [stack, wire] = await stackOnWire();
  stack.listen({ port: 4567 });
  wire.write(build({ ...tuple, seq: 7, ack: 9, flags: RST }));
  wire.write(build({ ...tuple, seq: 8, ack: 1, flags: ACK, payload: Buffer.from('12345') }));
  t.match(read(await wire.read()), { flags: RST | ACK, seq: 1, ack: 13 }, 'a wrong cookie');
  wire.write(build({ ...tuple, destinationPort: 80, seq: 50, ack: 0, flags: SYN }));
  t.match(read(await wire.read()), { flags: RST | ACK, seq: 0, ack: 51 }, 'a closed port');
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('RSTs to strangers are limited to 100 a second', async (t) => {
  const [stack, wire] = await stackOnWire();
  for (let i = 0; i < 300; i++) wire.write(build({ ...tuple, sourcePort: 1000 + i, seq: 0, ack: 5, flags: ACK }));
  for (let i = 0; i < 100; i++) t.match(read(await wire.read()), { flags: RST | ACK });
  const { socket } = await accept(stack, wire);
  socket.send(Buffer.from('end'));
  let more = 0;
  while (read(await wire.read()).payload.length === 0) more++;
  t.ok(more < 100, `${100 + more} of 300`);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('garbage on the device is counted and survived', async (t) => {
  const [stack, wire] = await stackOnWire();
  const whole = build({ ...tuple, seq: 1, ack: 0, flags: SYN });
  for (let size = 1; size < whole.length; size++) wire.write(whole.subarray(0, size));
  let random = 1;
  for (let i = 0; i < 2000; i++) {
    const packet = Buffer.from(whole);
    for (let j = 0; j < 4; j++) {
      random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
      packet[random % packet.length] = random >>> 16;
    }
    wire.write(packet);
  }
  const accepted = once(stack.listen({ port: 4567 }), 'connection');
  const asked = { ...tuple, sourcePort: 50_000 };
  wire.write(build({ ...asked, seq: 1, ack: 0, flags: SYN }));
  let answer = read(await wire.read());
  while (answer.destinationPort !== 50_000) answer = read(await wire.read());
  wire.write(build({ ...asked, seq: 2, ack: answer.seq + 1, flags: ACK }));
  await accepted;
  const { dropped } = stack.counters;
  for (const reason of ['truncated', 'notIp', 'badChecksum']) t.ok((dropped[reason] ?? 0) > 0, `${reason} counted`);
  await stack.close();
  wire[Symbol.dispose]();
});
