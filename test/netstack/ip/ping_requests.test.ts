import t from 'tap';
import { makeEcho, parseIcmp } from '../../../src/netstack/ip/icmp.js';
import type { PingRequest } from '../../../src/netstack/ip/ping_requests.js';
import { NETSTACK_ICMP } from '../../../src/policy.js';
import { makeIcmp, readPacket } from './packets.js';
import { Rig } from './rig.js';

const ends = [
  ['10.0.0.1', '203.0.113.7', false],
  ['fd00::1', '2001:db8::77', true],
] as const;

t.test('the user decides at once', async (t) => {
  const asked: PingRequest[] = [];
  using rig = new Rig({ onPing: (request) => asked.push(request) % 2 === 0 });
  for (const [source, destination, isIpv6] of ends) {
    const request = makeIcmp(source, destination, makeEcho(7, Buffer.alloc(10), isIpv6));
    t.same(rig.feed(request), [], 'no');
    const [answer] = rig.feed(request).map(readPacket);
    t.match(answer, { source: destination, destination: source });
    t.match(parseIcmp(answer!.payload, isIpv6), { type: 'echoReply', id: 7 });
    t.same(
      asked.splice(0),
      Array.from({ length: 2 }, () => ({ source, destination, size: 10 })),
    );
  }
});

t.test('the user takes its time, and the slab is another meanwhile', async (t) => {
  for (const [source, destination, isIpv6] of ends) {
    const decisions: ((answers: boolean) => void)[] = [];
    using rig = new Rig({ onPing: () => new Promise((resolve) => decisions.push(resolve)) });
    const request = (id: number): Buffer => makeIcmp(source, destination, makeEcho(id, Buffer.from(`${id}`), isIpv6));
    for (const id of [1, 2, 3]) t.same(rig.feed(request(id)), []);
    decisions[1]!(true);
    decisions[0]!(false);
    decisions[2]!(true);
    await new Promise((resolve) => setImmediate(resolve));
    const answers = rig.written().map(readPacket);
    t.same(
      answers.map(({ payload }) => parseIcmp(payload, isIpv6)),
      [2, 3].map((id) => ({ type: 'echoReply', id })),
    );
    for (const answer of answers) t.match(answer, { source: destination, destination: source });
  }
});

t.test('those that are undecided are bounded, and the end of the stack ends them', async (t) => {
  let decide: (answers: boolean) => void = () => {};
  const decision = new Promise<boolean>((resolve) => (decide = resolve));
  let asked = 0;
  const rig = new Rig({
    onPing: () => {
      asked++;
      return decision;
    },
  });
  const request = makeIcmp('10.0.0.1', '10.0.0.2', makeEcho(1, Buffer.alloc(1), false));
  for (let i = 0; i < NETSTACK_ICMP.undecidedPings + 10; i++) rig.feed(request);
  t.equal(asked, NETSTACK_ICMP.undecidedPings);
  rig.ip.close();
  decide(true);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(rig.written(), []);
  rig.feed(request);
  t.equal(asked, NETSTACK_ICMP.undecidedPings + 1, 'decided ones make room');
  rig.port.close();
});

t.test('what the user throws stops nobody else', async (t) => {
  using rig = new Rig({
    onPing: ({ size }) => {
      if (size === 1) throw new Error('at once');
      return Promise.reject(new Error('later'));
    },
  });
  const thrown: string[] = [];
  const onThrown = (error: Error): void => void thrown.push(error.message);
  process.on('uncaughtException', onThrown);
  t.teardown(() => process.off('uncaughtException', onThrown));
  for (const size of [1, 2]) rig.feed(makeIcmp('10.0.0.1', '10.0.0.2', makeEcho(1, Buffer.alloc(size), false)));
  while (thrown.length < 2) await new Promise((resolve) => setImmediate(resolve));
  t.same(thrown, ['at once', 'later']);
});
