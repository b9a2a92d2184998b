import t from 'tap';
import { makeEchoReply, makeIcmpError } from '../../../src/netstack/ip/icmp.js';
import { ICMP, ICMP6, makeIcmp, readPacket } from './packets.js';
import { Rig } from './rig.js';

const OWN: readonly [string, string] = ['10.0.0.2', 'fd00::2'];

function rigOf(): Rig {
  return new Rig({ localAddresses: OWN });
}

for (const [family, remote] of [
  [0, '10.0.0.1'],
  [1, 'fd00::1'],
] as const) {
  const isIpv6 = family === 1;

  t.test(`${remote} answers, and the time is measured`, async (t) => {
    using rig = rigOf();
    const reply = rig.ip.ping(remote);
    const [request] = rig.written().map(readPacket);
    t.match(request, { source: OWN[family], destination: remote, protocol: isIpv6 ? ICMP6 : ICMP, hopLimit: 64 });
    t.equal(rig.holds, 1);
    rig.now += 12.5;
    rig.feed(makeIcmp(remote, OWN[family], makeEchoReply(request!.payload, isIpv6)));
    t.same(await reply, { address: remote, rtt: 12.5, size: 56 });
    t.equal(rig.holds, 0);
  });

  t.test(`of several pings to ${remote} each gets its own answer`, async (t) => {
    using rig = rigOf();
    const replies = [
      rig.ip.ping(remote, { size: 1 }),
      rig.ip.ping(remote, { size: 2 }),
      rig.ip.ping(remote, { size: 0 }),
    ];
    const requests = rig.written().map(readPacket).reverse();
    for (const { payload } of requests) rig.feed(makeIcmp(remote, OWN[family], makeEchoReply(payload, isIpv6)));
    t.same(
      (await Promise.all(replies)).map(({ size }) => size),
      [1, 2, 0],
    );
  });

  t.test(`a large ping to ${remote} goes and comes in fragments`, async (t) => {
    using rig = rigOf();
    using peer = new Rig();
    const reply = rig.ip.ping(remote, { size: 60_000, localAddress: OWN[family] });
    const answers = peer.feed(...rig.written());
    t.ok(answers.length > 40, `${answers.length} fragments`);
    rig.feed(...answers.reverse());
    t.match(await reply, { size: 60_000 });
  });

  t.test(`what ${remote} or a router says ends the ping`, async (t) => {
    for (const [kind, code] of [
      ['host', 'EHOSTUNREACH'],
      ['net', 'ENETUNREACH'],
      ['timeExceeded', 'EHOSTUNREACH'],
      ['tooBig', 'EMSGSIZE'],
    ] as const) {
      using rig = rigOf();
      const reply = rig.ip.ping(remote);
      const [sent] = rig.written();
      rig.feed(makeIcmp(isIpv6 ? 'fd00::9' : '10.0.0.9', OWN[family], makeIcmpError(kind, sent!, isIpv6, 1300)));
      await t.rejects(reply, { code, syscall: 'ping', address: remote });
    }
  });
}

t.test('an answer with other numbers, bytes or from another address is none', async (t) => {
  using rig = rigOf();
  const reply = rig.ip.ping('10.0.0.1', { timeout: 100 });
  const request = readPacket(rig.written()[0]!).payload;
  const answer = (change: (bytes: Uint8Array) => void, source = '10.0.0.1'): void => {
    const bytes = makeEchoReply(request, false);
    change(bytes);
    rig.feed(makeIcmp(source, OWN[0], bytes));
  };
  answer((bytes) => (bytes[5]! ^= 1));
  answer((bytes) => (bytes[7]! ^= 1));
  answer((bytes) => (bytes[60]! ^= 1));
  answer(() => {}, '10.0.0.3');
  rig.feed(makeIcmp('10.0.0.1', OWN[0], makeEchoReply(request.subarray(0, 20), false)));
  const other = makeIcmp(OWN[0], '10.0.0.77', request);
  rig.feed(makeIcmp('10.0.0.9', OWN[0], makeIcmpError('host', other, false)));
  rig.pass(100);
  await t.rejects(reply, { name: 'TimeoutError', message: 'ping 10.0.0.1: no answer in time.' });
});

t.test('pings end in the order of their time-outs, and not before', async (t) => {
  using rig = rigOf();
  const ended: string[] = [];
  const ping = (name: string, timeout: number): Promise<void> =>
    rig.ip.ping('10.0.0.1', { timeout }).then(
      () => {},
      (error: unknown) => void ended.push(`${name} ${(error as Error).name}`),
    );
  const all = [ping('long', 300), ping('short', 100)];
  t.equal(rig.ip.deadline, rig.now + 100);
  t.equal(rig.changes, 2);
  rig.pass(99);
  rig.ip.tick(rig.now);
  await Promise.resolve();
  t.same(ended, []);
  rig.pass(1);
  t.equal(rig.ip.deadline, rig.now + 200);
  rig.pass(200);
  await Promise.all(all);
  t.same(ended, ['short TimeoutError', 'long TimeoutError']);
  t.equal(rig.ip.deadline, Infinity);
});

t.test('a signal ends a ping with its reason', async (t) => {
  using rig = rigOf();
  const controller = new AbortController();
  const reply = rig.ip.ping('10.0.0.1', { signal: controller.signal });
  const request = readPacket(rig.written()[0]!).payload;
  controller.abort();
  await t.rejects(reply, { name: 'AbortError', code: 20 });
  rig.feed(makeIcmp('10.0.0.1', OWN[0], makeEchoReply(request, false)));
  await t.rejects(rig.ip.ping('10.0.0.1', { signal: AbortSignal.abort() }), { name: 'AbortError' });
  t.same(rig.written(), [], 'of one that had aborted before, nothing is sent');
  t.equal(rig.holds, 0);
});

t.test('a ping needs an address of its family to leave from', async (t) => {
  using none = new Rig();
  await t.rejects(none.ip.ping('10.0.0.1'), { code: 'EADDRNOTAVAIL', syscall: 'ping' });
  using rig = new Rig({ addresses: ['10.0.0.2'], localAddresses: ['10.0.0.2', 'fd00::2'] });
  await t.rejects(rig.ip.ping('10.0.0.1', { localAddress: '10.0.0.3' }), { code: 'EADDRNOTAVAIL' });
  await t.rejects(rig.ip.ping('fd00::1', { localAddress: '10.0.0.2' }), { code: 'EADDRNOTAVAIL' });
});

t.test('arguments are checked', async (t) => {
  using rig = rigOf();
  for (const [address, options] of [
    ['host', {}],
    [undefined, {}],
    ['10.0.0.1', null],
    ['10.0.0.1', { size: 65_508 }],
    ['10.0.0.1', { timeout: 0 }],
    ['10.0.0.1', { signal: {} }],
    ['10.0.0.1', { localAddress: 'x' }],
  ] as const)
    await t.rejects(rig.ip.ping(address as string, options as object), { code: 'ERR_GUISE_ARGUMENT' });
  t.same(rig.written(), []);
});

t.test('pings of a stack that closes end, and it takes no more', async (t) => {
  using rig = rigOf();
  const reply = rig.ip.ping('10.0.0.1');
  rig.ip.close();
  await t.rejects(reply, { code: 'ERR_GUISE_CLOSED' });
  await t.rejects(rig.ip.ping('10.0.0.1'), { code: 'ERR_GUISE_CLOSED' });
  using failed = rigOf();
  const other = failed.ip.ping('10.0.0.1');
  failed.ip.close(new Error('gone'));
  await t.rejects(other, { message: 'gone' });
});

t.test('while 8192 wait for an answer, none is sent for one more', async (t) => {
  using rig = rigOf();
  const pings: Promise<unknown>[] = [];
  for (let index = 0; index < 8192; index++) {
    pings.push(rig.ip.ping('10.0.0.1', { size: 0 }).catch(() => {}));
    rig.port.take();
  }
  await t.rejects(rig.ip.ping('10.0.0.1'), { code: 'ENOBUFS' });
  rig.ip.close();
  await Promise.all(pings);
});
