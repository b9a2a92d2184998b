import t from 'tap';
import { makeEcho, makeEchoReply, makeIcmpError, parseIcmp } from '../../../src/netstack/ip/icmp.js';
import { fragments, ICMP6, makeIcmp, makePacket, makeUdp, readPacket, TCP, UDP } from './packets.js';
import { Rig } from './rig.js';

const PEER = { address: '10.0.0.1', port: 40_000 };

t.test('an echo request to any address is answered from there', async (t) => {
  using rig = new Rig();
  for (const [source, destination, isIpv6] of [
    ['10.0.0.1', '203.0.113.7', false],
    ['10.0.0.1', '10.0.0.200', false],
    ['fd00::1', '2001:db8::77', true],
  ] as const) {
    const request = makeEcho(0x12345678, Buffer.from('what comes back'), isIpv6);
    const [answer, ...others] = rig.feed(makeIcmp(source, destination, request)).map(readPacket);
    t.same(others, []);
    t.match(answer, { source: destination, destination: source, hopLimit: 64 });
    const expected = makeEchoReply(request, isIpv6);
    t.same(Buffer.from(answer!.payload.subarray(4)), Buffer.from(expected.subarray(4)));
    t.match(parseIcmp(answer!.payload, isIpv6), { type: 'echoReply' });
  }
  t.equal(rig.ip.counters.echoesAnswered, 3);
});

t.test('an echo request in fragments is answered in fragments', async (t) => {
  using rig = new Rig();
  for (const isIpv6 of [false, true]) {
    const [source, destination] = isIpv6 ? ['fd00::1', 'fd00::2'] : ['10.0.0.1', '10.0.0.2'];
    const packet = makeIcmp(source, destination, makeEcho(1, Buffer.alloc(60_000, 'ab'), isIpv6));
    const pieces = rig.feed(...fragments(packet, 1448));
    t.ok(pieces.length > 40 && pieces.every((piece) => piece.length <= 1500), `${pieces.length} fragments`);
    using peer = new Rig();
    t.same(peer.feed(...pieces), [], 'an answer that nobody waits for');
    t.equal(peer.port.counters().reassembled, 1);
  }
});

t.test('overlapping fragments are dropped, and no part of them is taken', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  socket.on('message', () => t.fail('a datagram'));
  for (const [source, destination] of [
    ['10.0.0.1', '10.0.0.2'],
    ['fd00::1', 'fd00::2'],
  ] as const) {
    const packet = makeUdp({ address: source, port: 1 }, { address: destination, port: 2 }, Buffer.alloc(3000));
    const pieces = fragments(packet, 1200);
    const shifted = fragments(packet, 1192);
    rig.feed(pieces[0]!, shifted[1]!, ...pieces.slice(1));
  }
  t.ok(rig.port.counters().overlapping >= 2, `${rig.port.counters().overlapping}`);
});

t.test('a datagram behind extension headers arrives', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  const texts: string[] = [];
  socket.on('message', ({ data }) => texts.push(data.toString()));
  const plain = makeUdp({ address: 'fd00::1', port: 1 }, { address: 'fd00::2', port: 2 }, 'extended');
  const header = Buffer.from(plain.subarray(0, 40));
  header[6] = 0;
  const extensions = Buffer.from([60, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0]);
  header.writeUInt16BE(plain.length - 40 + extensions.length, 4);
  rig.feed(Buffer.concat([header, extensions, plain.subarray(40)]));
  t.same(texts, ['extended']);
});

t.test('a protocol that nobody here knows is said', async (t) => {
  using rig = new Rig();
  const packet = makePacket('10.0.0.1', '10.0.0.2', 132, Buffer.alloc(20));
  const [answer] = rig.feed(packet).map(readPacket);
  t.same(
    [...answer!.payload.subarray(0, 8)].filter((_, at) => at !== 2 && at !== 3),
    [3, 2, 0, 0, 0, 0],
  );
  const [problem] = rig.feed(makePacket('fd00::1', 'fd00::2', 132, Buffer.alloc(20))).map(readPacket);
  t.same([...problem!.payload.subarray(0, 2)], [4, 1]);
  t.equal(problem!.payload.readUInt32BE(4), 6, 'the byte that names it');
  t.same(rig.feed(makePacket('fd00::1', 'fd00::2', 59, Buffer.alloc(20))), [], 'but not that there is none');
});

t.test('an IPv6 option that has to be known is said', async (t) => {
  using rig = new Rig();
  const extension = Buffer.from([UDP, 0, 0x9e, 4, 0, 0, 0, 0]);
  const payload = Buffer.concat([extension, Buffer.alloc(8)]);
  const [problem] = rig.feed(makePacket('fd00::1', 'fd00::2', 60, payload)).map(readPacket);
  t.equal(problem?.protocol, ICMP6);
  t.same([...problem!.payload.subarray(0, 2)], [4, 2]);
  t.equal(problem!.payload.readUInt32BE(4), 42);
});

t.test('an IPv6 packet with an address of IPv4 in it is nobody’s', async (t) => {
  using rig = new Rig({ filters: [] });
  rig.ip.udp().on('message', () => t.fail('a datagram'));
  for (const at of [8, 24]) {
    const packet = makeUdp({ address: 'fd00::1', port: 1 }, { address: 'fd00::2', port: 2 }, 'x');
    packet.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2], at);
    t.same(rig.feed(packet), []);
  }
  t.equal(rig.port.counters().damaged, 2);
});

t.test('filters stop what comes before anybody hears of it, and nothing is said', async (t) => {
  using rig = new Rig();
  rig.ip.udp().on('message', () => t.fail('a datagram'));
  for (const [source, destination] of [
    ['10.0.0.1', '255.255.255.255'],
    ['10.0.0.1', '224.0.0.1'],
    ['0.0.0.0', '10.0.0.2'],
    ['127.0.0.1', '10.0.0.2'],
    ['fd00::1', 'ff02::1'],
    ['::', 'fd00::2'],
    ['fd00::1', '::1'],
  ] as const) {
    const isIpv6 = source.includes(':');
    const udp = makeUdp({ address: source, port: 1 }, { address: destination, port: 2 }, 'x');
    t.same(rig.feed(udp, makeIcmp(source, destination, makeEcho(1, Buffer.from('x'), isIpv6))), [], destination);
  }
  const { filtered } = rig.ip.counters;
  t.equal(filtered, 14);
});

t.test('without filters multicast comes, and is never answered with an error', async (t) => {
  using rig = new Rig({ filters: [] });
  const heard: string[] = [];
  rig.ip.udp({ port: 5353 }).on('message', ({ destination }) => heard.push(destination.address));
  const packets = [5353, 9].map((port) => makeUdp(PEER, { address: '224.0.0.251', port }, 'x'));
  t.same(rig.feed(...packets), []);
  t.same(heard, ['224.0.0.251']);
  t.equal(rig.ip.counters.icmpErrorsWithheld, 1);
});

t.test('filters of a user decide in place of the default', async (t) => {
  using rig = new Rig({ filters: [(source) => source !== '10.0.0.6', (_, destination) => destination !== '10.0.0.7'] });
  const answered = (source: string, destination: string): boolean =>
    rig.feed(makeIcmp(source, destination, makeEcho(1, Buffer.from('x'), false))).length > 0;
  t.ok(answered('10.0.0.1', '10.0.0.2'));
  t.notOk(answered('10.0.0.6', '10.0.0.2'));
  t.notOk(answered('10.0.0.1', '10.0.0.7'));
});

t.test('a stack that is to stay silent says nothing, and hears errors', async (t) => {
  using rig = new Rig({ icmp: false, localAddresses: ['10.0.0.2', 'fd00::2'] });
  t.same(
    rig.feed(
      makeIcmp('10.0.0.1', '10.0.0.2', makeEcho(1, Buffer.from('x'), false)),
      makeUdp(PEER, { address: '10.0.0.2', port: 9 }, 'x'),
      makePacket('10.0.0.1', '10.0.0.2', 132, Buffer.alloc(20)),
    ),
    [],
  );
  const reply = rig.ip.ping('10.0.0.1');
  const [sent] = rig.written();
  rig.feed(makeIcmp('10.0.0.1', '10.0.0.2', makeIcmpError('host', sent!, false)));
  await t.rejects(reply, { code: 'EHOSTUNREACH' });
});

t.test('errors about TCP are told with tuple, sequence number, kind and MTU', async (t) => {
  using rig = new Rig();
  for (const isIpv6 of [false, true]) {
    const [own, peer] = isIpv6 ? ['fd00::2', 'fd00::1'] : ['10.0.0.2', '10.0.0.1'];
    const segment = Buffer.alloc(20);
    segment.writeUInt16BE(4000, 0);
    segment.writeUInt16BE(80, 2);
    segment.writeUInt32BE(0x89abcdef, 4);
    const sent = makePacket(own, peer, TCP, segment);
    rig.feed(makeIcmp(peer, own, makeIcmpError('tooBig', sent, isIpv6, 1300)));
    const [error] = rig.tcpErrors.splice(0);
    t.match(error, { seq: 0x89abcdef | 0, kind: 'tooBig', mtu: 1300 });
    t.same(rig.ip.book.ends(error!.tuple), {
      local: { address: own, port: 4000 },
      remote: { address: peer, port: 80 },
    });
  }
});

t.test('errors about nothing of ours are heard by nobody', async (t) => {
  using rig = new Rig();
  rig.ip.udp({ port: 53 }).on('unreachable', () => t.fail('a socket'));
  const about = (packet: Uint8Array): Buffer => makeIcmp('10.0.0.1', '10.0.0.2', makeIcmpError('port', packet, false));
  t.same(
    rig.feed(
      about(makePacket('10.0.0.2', '10.0.0.1', 132, Buffer.alloc(8))),
      about(makeIcmp('10.0.0.2', '10.0.0.1', makeEchoReply(makeEcho(1, Buffer.from('x'), false), false))),
      about(makeIcmp('10.0.0.2', '10.0.0.1', makeEcho(1, Buffer.from('x'), false))),
      about(makeUdp({ address: '10.0.0.2', port: 54 }, PEER, 'x')),
      about(Buffer.alloc(20)),
      makeIcmp('10.0.0.1', '10.0.0.2', Buffer.from([13, 0, 0, 0, 0, 0, 0, 0])),
    ),
    [],
  );
  t.same(rig.tcpErrors, []);
});

t.test('rows of TCP are admitted by the same filters', async (t) => {
  using rig = new Rig({ addresses: ['10.0.0.2'] });
  t.ok(rig.ip.owns('10.0.0.2'));
  t.notOk(rig.ip.owns('10.0.0.3'));
  const slab = Buffer.alloc(1 << 20);
  const segment = Buffer.alloc(20);
  segment[12] = 0x50;
  rig.port.feed(makePacket('10.0.0.1', '10.0.0.2', UDP, Buffer.from([0, 1, 0, 2, 0, 8, 0, 0])));
  rig.port.feed(makePacket('10.0.0.1', '10.0.0.3', UDP, Buffer.from([0, 1, 0, 2, 0, 8, 0, 0])));
  t.equal(rig.port.read(slab, 0), 2);
  t.ok(rig.ip.admits(0, rig.port.incoming, slab));
  t.notOk(rig.ip.admits(1, rig.port.incoming, slab));
});
