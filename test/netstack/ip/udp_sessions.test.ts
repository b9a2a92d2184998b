import { once } from 'node:events';
import t from 'tap';
import { makeIcmpError } from '../../../src/netstack/ip/icmp.js';
import { UdpSession } from '../../../src/netstack/ip/udp_session.js';
import { UdpSessions } from '../../../src/netstack/ip/udp_sessions.js';
import { makeIcmp, makeUdp, readUdp } from './packets.js';
import { Rig } from './rig.js';

const OWN = { address: '203.0.113.7', port: 53 };
const peer = (index: number): { address: string; port: number } => ({
  address: `10.0.${index >> 8}.${index & 255}`,
  port: 40_000,
});

function opened(rig: Rig, options = {}) {
  const sessions = rig.ip.udp().sessions(options);
  const list: UdpSession[] = [];
  sessions.on('session', (session) => list.push(session));
  return { sessions, list };
}

t.test('each pair of source and destination has a session, which answers from what was dialled', async (t) => {
  using rig = new Rig();
  const { sessions, list } = opened(rig);
  sessions.on('session', (session) =>
    session.on('message', (data) => session.send(Buffer.from(`${data.toString()}!`))),
  );
  const answers = rig.feed(
    makeUdp(peer(1), OWN, 'a'),
    makeUdp(peer(2), OWN, 'b'),
    makeUdp(peer(1), OWN, 'c'),
    makeUdp(peer(1), { ...OWN, port: 54 }, 'd'),
    makeUdp({ address: 'fd00::1', port: 5 }, { address: 'fd00::2', port: 6 }, 'e'),
  );
  t.same(
    answers.map(readUdp).map(({ source, destination, data }) => [destination, source, data.toString()]),
    [
      [peer(1), OWN, 'a!'],
      [peer(2), OWN, 'b!'],
      [peer(1), OWN, 'c!'],
      [peer(1), { ...OWN, port: 54 }, 'd!'],
      [{ address: 'fd00::1', port: 5 }, { address: 'fd00::2', port: 6 }, 'e!'],
    ],
  );
  t.equal(sessions.size, 4);
  t.same(list.map(({ source, destination }) => [source, destination])[2], [peer(1), { ...OWN, port: 54 }]);
});

t.test('sessions and their datagrams can be iterated', async (t) => {
  using rig = new Rig();
  const sessions = rig.ip.udp().sessions();
  rig.feed(makeUdp(peer(1), OWN, 'one'), makeUdp(peer(1), OWN, 'two'), makeUdp(peer(2), OWN, 'three'));
  const texts: string[] = [];
  for await (const session of sessions) {
    setImmediate(() => session.close());
    for await (const data of session) texts.push(data.toString());
    if (session.source.address === peer(2).address) break;
  }
  t.same(texts, ['one', 'two', 'three']);
  t.equal(sessions.size, 0);
});

t.test('a session ends when no datagram came or left for its time', async (t) => {
  using rig = new Rig();
  const { sessions, list } = opened(rig, { idleTimeout: 1000 });
  t.equal(rig.ip.deadline, Infinity);
  rig.feed(makeUdp(peer(1), OWN, ''), makeUdp(peer(2), OWN, ''), makeUdp(peer(3), OWN, ''));
  t.equal(rig.changes, 1);
  t.equal(rig.ip.deadline, rig.now + 1000);
  rig.pass(600);
  rig.feed(makeUdp(peer(1), OWN, ''));
  list[1]!.send(Buffer.from('x'));
  const closed: number[] = [];
  list.forEach((session, index) => session.on('close', () => closed.push(index)));
  rig.pass(399);
  t.same(closed, []);
  rig.pass(1);
  t.same(closed, [2]);
  rig.pass(600);
  t.same(closed, [2, 0, 1]);
  t.equal(sessions.size, 0);
  t.equal(rig.ip.deadline, Infinity);
  rig.feed(makeUdp(peer(1), OWN, ''));
  t.equal(list.length, 4, 'what comes then makes a new one');
  t.throws(() => list[0]!.send(Buffer.from('x')), { code: 'ERR_GUISE_CLOSED' });
});

t.test('without an idle time-out a session stays', async (t) => {
  using rig = new Rig();
  const { sessions } = opened(rig, { idleTimeout: Infinity });
  rig.feed(makeUdp(peer(1), OWN, ''));
  rig.pass(1e12);
  t.equal(sessions.size, 1);
});

t.test('one more than allowed ends the one that was idle for longest', async (t) => {
  using rig = new Rig();
  const { sessions, list } = opened(rig, { limit: 3 });
  for (const index of [1, 2, 3, 1, 4, 5]) {
    rig.pass(1);
    rig.feed(makeUdp(peer(index), OWN, ''));
  }
  t.same(
    list.map(({ source, closed }) => [source.address, closed]),
    [
      [peer(1).address, false],
      [peer(2).address, true],
      [peer(3).address, true],
      [peer(4).address, false],
      [peer(5).address, false],
    ],
  );
  t.equal(sessions.evicted, 2);
  t.equal(sessions.size, 3);
});

t.test('a flood of sources that nobody asks for stays bounded, and those that are open are found', async (t) => {
  using rig = new Rig();
  const sessions = rig.ip.udp().sessions({ limit: 10 });
  for (let index = 0; index < 2000; index++) rig.feed(makeUdp(peer(index), OWN, `${index}`));
  t.equal(sessions.size, 10);
  t.equal(sessions.evicted, 1990);
  const texts: string[] = [];
  const iterator = sessions[Symbol.asyncIterator]();
  for (let count = 0; count < 10; count++) {
    const { value: session } = (await iterator.next()) as { value: UdpSession };
    const first = await session[Symbol.asyncIterator]().next();
    texts.push((first.value as Buffer).toString());
  }
  t.same(texts, ['1990', '1991', '1992', '1993', '1994', '1995', '1996', '1997', '1998', '1999']);
});

t.test('a slow reader of a session loses the oldest', async (t) => {
  using rig = new Rig();
  const { list } = opened(rig);
  for (let index = 0; index < 1100; index++) rig.feed(makeUdp(peer(1), OWN, Buffer.alloc(1024 - 128)));
  t.equal(list[0]!.receiveDrops, 1100 - 1024);
});

t.test('a session hears that what it sent does not arrive, and goes on', async (t) => {
  using rig = new Rig();
  const { list } = opened(rig);
  rig.feed(makeUdp(peer(1), OWN, ''));
  const [session] = list;
  session!.send(Buffer.from('x'));
  const [sent] = rig.written();
  const heard = once(session!, 'unreachable') as Promise<[{ code: string }]>;
  rig.feed(makeIcmp(peer(1).address, OWN.address, makeIcmpError('port', sent!, false)));
  t.match((await heard)[0], { code: 'ECONNREFUSED', ...peer(1) });
  t.notOk(session!.closed);
});

t.test('a session sends no more at once than its path takes', async (t) => {
  using rig = new Rig();
  const { list } = opened(rig);
  rig.feed(makeUdp(peer(1), OWN, ''));
  const sent = makeUdp(OWN, peer(1), Buffer.alloc(1400));
  rig.feed(makeIcmp('10.0.9.9', OWN.address, makeIcmpError('tooBig', sent, false, 1000)));
  list[0]!.send(Buffer.alloc(1400));
  t.same(
    rig.written().map(({ length }) => length <= 1000),
    [true, true],
  );
  t.throws(() => list[0]!.send(Buffer.alloc(65_508)), { code: 'EMSGSIZE' });
  t.throws(() => list[0]!.send('x' as never), { code: 'ERR_GUISE_ARGUMENT' });
});

t.test('closing the sessions gives what comes to the socket again', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  const sessions = socket.sessions();
  t.throws(() => socket.sessions(), { code: 'EISCONN' });
  const events: string[] = [];
  sessions.on('session', (session) => session.on('close', () => events.push('session')));
  sessions.on('close', () => events.push('sessions'));
  rig.feed(makeUdp(peer(1), OWN, 'in a session'));
  sessions.close();
  sessions.close();
  t.same(events, ['session', 'sessions']);
  const heard = once(socket, 'message') as Promise<[{ data: Buffer }]>;
  rig.feed(makeUdp(peer(1), OWN, 'to the socket'));
  t.equal((await heard)[0].data.toString(), 'to the socket');
  await using again = socket.sessions();
  rig.feed(makeUdp(peer(1), OWN, ''));
  t.equal(again.size, 1);
});

t.test('a session that its listener closes at once, or with all others, does no harm', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  const sessions = socket.sessions({ limit: 1 });
  sessions.once('session', (session) => session.close());
  rig.feed(makeUdp(peer(1), OWN, ''));
  t.equal(sessions.size, 0);
  sessions.once('session', (session) => session.on('close', () => socket.close()));
  rig.feed(makeUdp(peer(2), OWN, ''), makeUdp(peer(3), OWN, ''), makeUdp(peer(4), OWN, ''));
  t.equal(sessions.size, 0);
  t.ok(socket.closed);
  t.equal(rig.ip.counters.udpUnheard, 1, 'the last finds nobody');
  rig.ip
    .udp()
    .sessions()
    .on('session', (session) => void session[Symbol.asyncDispose]());
  rig.feed(makeUdp(peer(3), OWN, ''), makeUdp(peer(3), OWN, ''));
});

t.test('whoever iterates over sessions hears that the stack has failed', async (t) => {
  const rig = new Rig();
  const sessions = rig.ip.udp().sessions();
  const next = sessions[Symbol.asyncIterator]().next();
  rig.ip.close(new Error('gone'));
  await t.rejects(next, { message: 'gone' });
  rig.port.close();
});

t.test('limits are checked', async (t) => {
  using rig = new Rig();
  const socket = rig.ip.udp();
  for (const options of [{ idleTimeout: 0 }, { idleTimeout: '1' }, { limit: 0 }, { limit: 1.5 }, null])
    t.throws(() => socket.sessions(options as object), { code: 'ERR_GUISE_ARGUMENT' });
  t.throws(() => new (UdpSession as unknown as new () => UdpSession)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
  t.throws(() => new (UdpSessions as unknown as new () => UdpSessions)(), { code: 'ERR_GUISE_CONSTRUCTOR' });
});
