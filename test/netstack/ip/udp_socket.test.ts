import { once } from 'node:events';
import t from 'tap';
import { UdpSocket } from '../../../src/netstack/ip/udp_socket.js';
import type { Datagram } from '../../../src/netstack/ip/datagram.js';
import { makeIcmpError } from '../../../src/netstack/ip/icmp.js';
import { fragments, makeIcmp, makeUdp, readPacket, readUdp } from './packets.js';
import { Rig } from './rig.js';

const PEER = { address: '10.0.0.1', port: 40_000 };
const PEER6 = { address: 'fd00::1', port: 40_000 };
const OWN = { address: '203.0.113.7', port: 53 };
const OWN6 = { address: '2001:db8::7', port: 53 };

/** Bytes of the largest datagram that packets of 65 535 bytes have room for, fragments put together too. */
const MOST = 65_507;
const MOST6 = 65_487;

function heard(socket: UdpSocket): Datagram[] {
  const datagrams: Datagram[] = [];
  socket.on('message', (datagram) => datagrams.push(datagram));
  return datagrams;
}

async function rest<T>(items: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) taken.push(item);
  return taken;
}

t.test('a datagram to any address and port comes with both ends, and is answered from there', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  t.same(socket.local, { address: undefined, port: undefined });
  socket.on('message', ({ data, source, destination }) =>
    socket.send(Buffer.from(`${data.toString()} back`), { destination: source, source: destination }),
  );
  for (const [source, destination] of [
    [PEER, OWN],
    [PEER6, OWN6],
    [PEER, { address: '10.99.0.1', port: 1 }],
    [PEER, { address: '10.99.0.1', port: 65_535 }],
  ] as const) {
    const answers = rig.feed(makeUdp(source, destination, 'there'));
    t.same(answers.map(readUdp), [{ source: destination, destination: source, data: Buffer.from('there back') }]);
  }
});

t.test('datagrams of any size come whole, an empty one too', async (t) => {
  using rig = new Rig();
  const datagrams = heard(rig.ip.udp({ port: 53 }));
  for (const size of [0, 1, 2048, 2049, MOST, MOST6]) {
    const data = Buffer.alloc(size, `${size}`);
    rig.feed(...fragments(makeUdp(PEER, OWN, data), 1480, size));
    t.ok(datagrams.pop()?.data.equals(data), `${size} bytes`);
    if (size <= MOST6) rig.feed(...fragments(makeUdp(PEER6, OWN6, data), 1400, size));
    if (size <= MOST6) t.ok(datagrams.pop()?.data.equals(data), `${size} bytes over IPv6`);
  }
});

t.test('what was handed out stays what it is when others come', async (t) => {
  using rig = new Rig();
  const datagrams = heard(rig.ip.udp());
  rig.feed(makeUdp(PEER, OWN, 'first'));
  rig.feed(makeUdp(PEER, OWN, 'other'));
  t.same(
    datagrams.map(({ data }) => data.toString()),
    ['first', 'other'],
  );
});

t.test('of several sockets the one that says most gets it', async (t) => {
  using rig = new Rig();
  const names: string[] = [];
  for (const [name, options] of Object.entries({
    any: {},
    family: { address: '0.0.0.0' },
    port: { port: 53 },
    address: { address: OWN.address },
    both: { ...OWN },
  }))
    rig.ip.udp(options).on('message', () => names.push(name));
  rig.feed(
    makeUdp(PEER, OWN, ''),
    makeUdp(PEER, { ...OWN, port: 54 }, ''),
    makeUdp(PEER, { address: '10.0.0.9', port: 53 }, ''),
    makeUdp(PEER6, OWN6, ''),
    makeUdp(PEER6, { ...OWN6, port: 54 }, ''),
  );
  t.same(names, ['both', 'address', 'family', 'port', 'any']);
});

t.test('an end is one socket’s, and free when that is closed', async (t) => {
  using rig = new Rig();
  for (const options of [{}, { port: 53 }, { address: '10.0.0.2' }, { address: '10.0.0.2', port: 53 }]) {
    const socket = rig.ip.udp(options);
    t.throws(() => rig.ip.udp(options), { code: 'EADDRINUSE', syscall: 'bind' });
    socket.close();
    socket.close();
    t.ok(socket.closed);
    rig.ip.udp(options);
  }
  t.throws(() => rig.ip.udp({ address: '::' }), { code: 'EADDRINUSE' }, ':: is any');
  t.match(rig.ip.udp({ address: '::', port: 99 }).local, { address: undefined, port: 99 });
});

t.test('port 0 is one that is free', async (t) => {
  using rig = new Rig();
  const ports = new Set<number>();
  for (let index = 0; index < 100; index++) ports.add(rig.ip.udp({ address: '10.0.0.2', port: 0 }).local.port!);
  t.equal(ports.size, 100);
  t.ok([...ports].every((port) => port >= 49_152 && port <= 65_535));
});

t.test('a stack with addresses of its own listens and sends there alone', async (t) => {
  using rig = new Rig({ addresses: ['10.0.0.2', 'fd00::2'], localAddresses: ['10.0.0.2', 'fd00::2'] });
  t.throws(() => rig.ip.udp({ address: '10.0.0.3' }), { code: 'EADDRNOTAVAIL', syscall: 'bind' });
  const socket = rig.ip.udp({ port: 53 });
  const datagrams = heard(socket);
  t.same(rig.feed(makeUdp(PEER, { address: '10.0.0.3', port: 53 }, 'not ours')), [], 'with no error');
  t.equal(rig.ip.counters.notOurs, 1);
  t.same(datagrams, []);
  socket.send(Buffer.from('x'), { destination: PEER6 });
  t.same(readUdp(rig.written()[0]!).source, { address: 'fd00::2', port: 53 }, 'the default');
  t.throws(() => socket.send(Buffer.from('x'), { destination: PEER, source: { address: '10.0.0.3' } }), {
    code: 'EADDRNOTAVAIL',
    syscall: 'send',
  });
});

t.test('a datagram leaves from what the socket says, and for the rest from what the call says', async (t) => {
  using rig = new Rig();
  const send = (socket: UdpSocket, source?: { address?: string; port?: number }, destination = PEER) => {
    socket.send(Buffer.from('x'), { destination, source });
    return readUdp(rig.written()[0]!).source;
  };
  const both = rig.ip.udp(OWN);
  t.same(send(both), OWN);
  t.same(send(both, OWN), OWN);
  t.throws(() => send(both, { port: 54 }), { code: 'ERR_GUISE_ARGUMENT', message: /source\.port is 54/ });
  t.throws(() => send(both, { address: '10.0.0.9' }), { code: 'ERR_GUISE_ARGUMENT', message: /source\.address/ });
  t.throws(() => send(both, {}, PEER6), { code: 'ERR_GUISE_ARGUMENT', message: /family/ });
  const port = rig.ip.udp({ port: 53 });
  t.same(send(port, { address: '10.0.0.9' }), { address: '10.0.0.9', port: 53 });
  t.throws(() => send(port), { code: 'EADDRNOTAVAIL', syscall: 'send', address: PEER.address, port: PEER.port });
  const any = rig.ip.udp();
  t.same(send(any, { address: '10.0.0.9', port: 7 }), { address: '10.0.0.9', port: 7 });
  t.throws(() => send(any, { address: '10.0.0.9' }), { code: 'ERR_GUISE_ARGUMENT', message: /source\.port/ });
  const family = rig.ip.udp({ address: '0.0.0.0', port: 53 });
  t.same(send(family, { address: '10.0.0.9' }), { address: '10.0.0.9', port: 53 });
  t.same(send(rig.ip.udp({ port: 99 }), { address: 'FD00:0::5' }, { address: 'FD00::0:1', port: 1 }), {
    address: 'fd00::5',
    port: 99,
  });
});

t.test('what cannot be sent is said', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp(OWN);
  const send = (data: unknown, options: unknown) => () =>
    socket.send(data as Uint8Array, options as { destination: typeof PEER });
  t.throws(send(Buffer.alloc(65_508), { destination: PEER }), {
    code: 'EMSGSIZE',
    address: PEER.address,
    port: PEER.port,
  });
  for (const options of [undefined, null, {}, { destination: {} }, { destination: { ...PEER, port: 0 } }])
    t.throws(send(Buffer.from('x'), options), { code: 'ERR_GUISE_ARGUMENT' });
  t.throws(send(Buffer.from('x'), { destination: { address: 'localhost', port: 1 } }), { code: 'ERR_GUISE_ARGUMENT' });
  t.throws(send('text', { destination: PEER }), { code: 'ERR_GUISE_ARGUMENT', message: /^data is "text"/ });
  send(Buffer.from('x'), { destination: PEER })();
  t.throws(send(Buffer.from('x'), { destination: { ...PEER, port: 65_536 } }), { code: 'ERR_GUISE_ARGUMENT' });
  t.equal(rig.written().length, 1);
  socket.close();
  t.throws(send(Buffer.from('x'), { destination: PEER }), { code: 'ERR_GUISE_CLOSED' });
  t.throws(() => socket.sessions(), { code: 'ERR_GUISE_CLOSED' });
  for (const options of [null, 1, { port: -1 }, { port: '53' }, { address: 'x' }])
    t.throws(() => rig.ip.udp(options as object), { code: 'ERR_GUISE_ARGUMENT' });
  t.throws(() => new (UdpSocket as unknown as new () => UdpSocket)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
});

t.test('a large datagram leaves in fragments, 65 507 bytes at most', async (t) => {
  using rig = new Rig({ mtu: 1280 });
  using other = new Rig();
  const datagrams = heard(other.ip.udp());
  const socket = rig.ip.udp({ port: 53 });
  for (const [source, destination, size] of [
    [OWN, PEER, MOST],
    [OWN6, PEER6, MOST6],
  ] as const) {
    const data = Buffer.alloc(size, 'abc');
    socket.send(data, { destination, source });
    const pieces = rig.written();
    t.ok(pieces.length > 50 && pieces.every((piece) => piece.length <= 1280), `${pieces.length} fragments`);
    other.feed(...pieces.reverse());
    t.ok(datagrams.pop()?.data.equals(data));
  }
});

t.test('a reader that is slow loses the oldest, bounded to 1 MiB', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  for (let index = 0; index < 1200; index++) rig.feed(makeUdp(PEER, OWN, Buffer.alloc(1024 - 128, index)));
  t.equal(socket.receiveDrops, 1200 - 1024);
  socket.close();
  const waiting = await rest(socket);
  t.equal(waiting.length, 1024);
  t.equal(waiting[0]!.data[0], (1200 - 1024) & 255);
});

t.test('a socket keeps the process alive until it is closed, unless told otherwise', async (t) => {
  using rig = new Rig();
  const [one, other] = [rig.ip.udp({ port: 1 }), rig.ip.udp({ port: 2 })];
  t.equal(rig.holds, 2);
  t.equal(one.unref().unref(), one);
  t.equal(rig.holds, 1);
  t.equal(one.ref().ref(), one);
  t.equal(rig.holds, 2);
  other.unref().close();
  one.close();
  one.ref();
  t.equal(rig.holds, 0);
});

t.test('what waits goes to an iterator or to the first listener', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  rig.feed(makeUdp(PEER, OWN, 'one'), makeUdp(PEER, OWN, 'two'), makeUdp(PEER, OWN, 'three'));
  for await (const { data } of socket) {
    t.equal(data.toString(), 'one');
    break;
  }
  const [datagram] = (await once(socket, 'message')) as [Datagram];
  t.equal(datagram.data.toString(), 'two');
  t.same(heard(socket), [], 'not within the call');
  const listener = once(socket, 'message') as Promise<[Datagram]>;
  t.equal((await listener)[0].data.toString(), 'three');
});

t.test('order is kept when a listener comes while datagrams wait', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  rig.feed(makeUdp(PEER, OWN, 'one'));
  const datagrams = heard(socket);
  rig.feed(makeUdp(PEER, OWN, 'two'));
  t.same(
    datagrams.map(({ data }) => data.toString()),
    ['one', 'two'],
  );
});

t.test('a stack that has failed ends its sockets with the error', async (t) => {
  const rig = new Rig();
  const [listened, iterated, quiet] = [rig.ip.udp({ port: 1 }), rig.ip.udp({ port: 2 }), rig.ip.udp({ port: 3 })];
  const events: unknown[] = [];
  listened.on('error', (error) => events.push(error)).on('close', () => events.push('close'));
  const iteration = t.rejects(rest(iterated), { message: 'gone' });
  quiet
    .on('error', () => events.push('quiet'))
    .on('close', () => {
      throw new Error('of a listener');
    });
  const thrown = once(process, 'uncaughtException') as Promise<[Error]>;
  rig.ip.close(new Error('gone'));
  await iteration;
  t.match((await thrown)[0], { message: 'of a listener' });
  t.match(events, [{ message: 'gone' }, 'close', 'quiet']);
  rig.port.close();
});

t.test('the socket hears that what it sent does not arrive', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp({ port: 53 });
  const errors: unknown[] = [];
  socket.on('unreachable', (error, source) =>
    errors.push({ code: error.code, address: error.address, port: error.port, source }),
  );
  for (const [source, destination] of [
    [OWN, PEER],
    [OWN6, PEER6],
  ] as const) {
    socket.send(Buffer.from('x'), { destination, source });
    const [sent] = rig.written();
    for (const [kind, code] of [
      ['port', 'ECONNREFUSED'],
      ['host', 'EHOSTUNREACH'],
    ] as const) {
      const error = makeIcmpError(kind, sent!, source === OWN6);
      rig.feed(makeIcmp(destination.address, source.address, error));
      t.same(errors.pop(), { code, ...destination, source });
    }
  }
  const strange = makeUdp({ ...OWN, port: 54 }, PEER, 'x');
  rig.feed(makeIcmp(PEER.address, OWN.address, makeIcmpError('port', strange, false)));
  t.same(errors, [], 'not what it did not send');
});

t.test('a path that takes less gets fragments that it takes', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp({ port: 53 });
  socket.on('unreachable', () => t.fail('that is seen to'));
  for (const [source, destination, isIpv6] of [
    [OWN, PEER, false],
    [OWN6, PEER6, true],
  ] as const) {
    const send = (): number[] => {
      socket.send(Buffer.alloc(1440), { destination, source });
      return rig.written().map(({ length }) => length);
    };
    const whole = send();
    t.equal(whole.length, 1);
    const sent = makeUdp(source, destination, Buffer.alloc(1440));
    const router = isIpv6 ? 'fd00::9' : '10.0.0.9';
    rig.feed(makeIcmp(router, source.address, makeIcmpError('tooBig', sent, isIpv6, 1300)));
    const sizes = send();
    t.ok(sizes.length === 2 && sizes.every((size) => size <= 1300), sizes.join(' '));
    rig.pass(600_000);
    t.same(send(), whole, 'ten minutes later it is tried again');
  }
});

t.test('a closed port is said, with what was sent', async (t) => {
  using rig = new Rig();
  rig.ip.udp({ port: 99 });
  for (const [source, destination, isIpv6] of [
    [PEER, OWN, false],
    [PEER6, OWN6, true],
  ] as const) {
    const packet = makeUdp(source, destination, 'anybody?');
    const [answer, ...others] = rig.feed(packet).map(readPacket);
    t.same(others, []);
    t.match(answer, { source: destination.address, destination: source.address, hopLimit: 64 });
    t.same(Uint8Array.from(answer!.payload.subarray(8)), Uint8Array.from(packet));
    t.same([...answer!.payload.subarray(0, 2)], isIpv6 ? [1, 4] : [3, 3]);
  }
  t.match(rig.ip.counters, { icmpErrors: 2, udpUnheard: 2, icmpErrorsLimited: 0 });
  for (let index = 0; index < 20; index++) rig.feed(makeUdp(PEER, OWN, 'anybody?'));
  t.match(rig.ip.counters, { icmpErrors: 2 + 5, icmpErrorsLimited: 15, udpUnheard: 22 });
});
