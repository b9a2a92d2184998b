import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { guiseError, type GuiseError } from '../../src/errors.js';
import {
  addon,
  ENGINE_COUNTERS,
  EVENT_RECORD_FIELDS,
  EVENT_TYPES,
  FLOW_COUNTERS,
  OPENING_DETAIL,
  type NativeEngine,
} from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import { DATA_PLANE } from '../../src/policy.js';
import { encodeTuple } from '../../src/wire/tuple.js';
import { CLIENT4, SERVER4, socketpair, Wire } from '../support/device.js';
import { FLOW } from '../support/flow.js';
import { build } from '../support/segment.js';

const EBADF = -9;
const OPTIONS = { virtioHeader: false, segmentation: false, offload: false, maxFlows: 4, ...DATA_PLANE };
const TUPLE = encodeTuple({ address: SERVER4, port: 443 }, { address: CLIENT4, port: 1000 });
const ADDRESS = new Uint8Array(16);
const NONE = new Uint8Array(0);
const child = fileURLToPath(new URL('child.js', import.meta.url));

/** Calls with whatever a JavaScript program may give. */
type Call = (engine: Record<keyof NativeEngine, (...args: unknown[]) => unknown>) => unknown;

const ignore = (): void => {};
const HANDLERS = {
  datagram: ignore,
  segment: ignore,
  opening: ignore,
  application: ignore,
  attached: ignore,
  applicationGone: ignore,
  awake: ignore,
  refused: ignore,
  unsent: ignore,
  addresses: ignore,
  largeSent: ignore,
  answer: ignore,
  recut: ignore,
  icmpError: ignore,
  deviceGone: ignore,
};

function opened(): [NativeEngine, Wire] {
  const [device, far] = socketpair();
  const native = new addon.Engine();
  t.equal(native.open({ ...OPTIONS, devices: [device] }, ignore), 0);
  return [native, new Wire(far)];
}

const refused = (call: () => unknown, kind: typeof TypeError | typeof RangeError, named: string): void => {
  try {
    call();
    t.fail(`${named} is refused`);
  } catch (error) {
    const { code, message } = error as GuiseError;
    t.ok(error instanceof kind, message);
    t.equal(code, 'ERR_GUISE_ARGUMENT');
    t.match(message, new RegExp(`^${named} is .*; give .*\\.$`, 's'));
  }
};

t.test('misuse of the border throws, with a code and a sentence', (t) => {
  const [native, wire] = opened();
  using _ = wire;
  const engine = native as unknown as Parameters<Call>[0];
  const outOfRange: Record<string, [name: string, call: Call][]> = {
    worker: [-1, 1, 99, 0.5, NaN].flatMap((worker): [string, Call][] => [
      ['worker', (e) => e.events(worker)],
      ['worker', (e) => e.swapEvents(worker, new Uint32Array(2))],
      ['worker', (e) => e.openFlow(TUPLE, { ...FLOW, worker })],
      ['worker', (e) => e.sendSegment(worker, TUPLE, 0n, 1, 1, 2, NONE)],
    ]),
    port: [-1, 1.5, 65_536, 70_000, Infinity].flatMap((port): [string, Call][] => [
      ['port', (e) => e.listenUdp(ADDRESS, port)],
      ['port', (e) => e.spliceUdp(1, ADDRESS, port, [])],
      ['port', (e) => e.listen(port, NONE, NONE, NONE, NONE, NONE, ADDRESS)],
      ['port', (e) => e.unlisten(port, ADDRESS)],
      ['port', (e) => e.route(ADDRESS, port)],
    ]),
    'port 0': [
      ['port', (e) => e.route(ADDRESS, 0)],
      ['port', (e) => e.spliceUdp(1, ADDRESS, 0, [])],
      ['port', (e) => e.listen(0, NONE, NONE, NONE, NONE, NONE, ADDRESS)],
    ],
    numbers: [-1, 2 ** 32, 0.5].flatMap((number): [string, Call][] => [
      ['seq', (e) => e.sendSegment(0, TUPLE, 0n, number, 1, 2, NONE)],
      ['ack', (e) => e.sendSegment(0, TUPLE, 0n, 1, number, 2, NONE)],
      ['sendNext', (e) => e.openFlow(TUPLE, { ...FLOW, sendNext: number })],
      ['receiveNext', (e) => e.openFlow(TUPLE, { ...FLOW, receiveNext: number })],
      ['receiveNext', (e) => e.sendControl(1, 16, number)],
      ['flow', (e) => e.closeFlow(number)],
      ['flow', (e) => e.setPathLimit(number, 1000, true, undefined)],
      ['flow', (e) => e.watchSending(number)],
      ['flow', (e) => e.sendProbe(number, 1, 24, 24, false, false)],
      ['token', (e) => e.sendProbe(1, number, 24, 24, false, false)],
      ['payload', (e) => e.setPathLimit(1, number, true, undefined)],
      ['watched', (e) => e.setPathLimit(1, 1000, true, number)],
      ['size', (e) => e.sendProbe(1, 1, number, 1000, false, false)],
      ['span', (e) => e.sendProbe(1, 1, 24, number, false, false)],
      ['application', (e) => e.forgetApplication(number)],
      ['listener', (e) => e.udpPort(number)],
    ]),
    sizes: [
      ['flags', (e) => e.sendControl(1, 256)],
      ['flags', (e) => e.sendSegment(0, TUPLE, 0n, 1, 1, -1, NONE)],
      ['maxPayload', (e) => e.openFlow(TUPLE, { ...FLOW, maxPayload: 0 })],
      ['way', (e) => e.openFlow(TUPLE, { ...FLOW, way: 1n << 64n })],
      ['port', (e) => e.pass([0], [])],
      ['a remote', (e) => e.pass([], [[ADDRESS]])],
      ['address', (e) => e.route(new Uint8Array(4), 1)],
      ['maxPayload', (e) => e.openFlow(TUPLE, { ...FLOW, maxPayload: 65_536 })],
      ['payload', (e) => e.setPathLimit(1, 7, true, undefined)],
      ['payload', (e) => e.setPathLimit(1, 65_536, true, undefined)],
      ['watched', (e) => e.setPathLimit(1, 1000, true, 65_536)],
      ['size', (e) => e.sendProbe(1, 1, 23, 1000, false, false)],
      ['size', (e) => e.sendProbe(1, 1, 65_496, 65_535, false, false)],
      ['span', (e) => e.sendProbe(1, 1, 1000, 999, false, false)],
      ['span', (e) => e.sendProbe(1, 1, 1000, 1999, false, true)],
      ['size', (e) => e.sendProbe(1, 1, 32_748, 65_535, false, true)],
      ['span', (e) => e.sendProbe(1, 1, 1000, 65_536, false, false)],
      ['tuple', (e) => e.openFlow(new Uint8Array(35), FLOW)],
      ['address', (e) => e.listenUdp(new Uint8Array(4), 1000)],
      ['options', (e) => e.sendSegment(0, TUPLE, 0n, 1, 1, 2, new Uint8Array(44))],
      ['unscaled6', (e) => e.listen(1, NONE, NONE, NONE, NONE, new Uint8Array(2), ADDRESS)],
      ['guise4', (e) => e.listen(1, new Uint8Array(3), NONE, NONE, NONE, NONE, ADDRESS)],
      ['reason', (e) => e.countDrop(addon.layout.dropReasons.length)],
      ['out', (e) => e.swapEvents(0, new Uint32Array(1))],
    ],
  };
  for (const [name, call] of Object.values(outOfRange).flat()) refused(() => call(engine), RangeError, name);
  for (const wrong of [undefined, null, '1', {}, [], true]) {
    const calls: [name: string, call: Call][] = [
      ['worker', (e) => e.events(wrong)],
      ['port', (e) => e.listen(wrong, NONE, NONE, NONE, NONE, NONE, ADDRESS)],
      ['address', (e) => e.listenUdp(wrong, 1)],
      ['tuple', (e) => e.openFlow(wrong, FLOW)],
      ['flow', (e) => e.sendDatagrams(wrong, [])],
      ['address', (e) => e.route(wrong, 1)],
      ['port', (e) => e.route(ADDRESS, wrong)],
      ['flow', (e) => e.setPathLimit(wrong, 1000, true, undefined)],
      ['payload', (e) => e.setPathLimit(1, wrong, true, undefined)],
      ['fragments', (e) => e.setPathLimit(1, 1000, wrong === true ? 1 : wrong, undefined)],
      ['watched', (e) => e.setPathLimit(1, 1000, true, wrong === undefined ? null : wrong)],
      ['flow', (e) => e.watchSending(wrong)],
      ['flow', (e) => e.sendProbe(wrong, 1, 24, 24, false, false)],
      ['token', (e) => e.sendProbe(1, wrong, 24, 24, false, false)],
      ['size', (e) => e.sendProbe(1, 1, wrong, 24, false, false)],
      ['span', (e) => e.sendProbe(1, 1, 24, wrong, false, false)],
      ['fragment', (e) => e.sendProbe(1, 1, 24, 24, wrong === true ? 0 : wrong, false)],
      ['pair', (e) => e.sendProbe(1, 1, 24, 48, false, wrong === true ? 0 : wrong)],
      ['a datagram', (e) => e.sendDatagrams(1, [wrong])],
      ['push', (e) => e.openFlow(TUPLE, { ...FLOW, push: wrong === true ? 1 : wrong })],
    ];
    for (const [name, call] of calls) refused(() => call(engine), TypeError, name);
  }
  refused(() => engine.sendDatagrams(1, 'text'), TypeError, 'datagrams');
  refused(() => engine.openFlow(TUPLE), TypeError, 'options');
  native.close();
  t.end();
});

t.test('misuse when opening throws and opens nothing', (t) => {
  const open = (options: object, wake: unknown = ignore): number =>
    (new addon.Engine() as unknown as { open(...args: unknown[]): number }).open(options, wake);
  const [device, far] = socketpair();
  using _ = new Wire(far);
  refused(() => open({ ...OPTIONS, devices: [] }), RangeError, 'devices');
  refused(() => open({ ...OPTIONS, devices: [-1] }), RangeError, 'a descriptor');
  refused(() => open({ ...OPTIONS, devices: [device, device] }), RangeError, 'a descriptor');
  refused(() => open({ ...OPTIONS, devices: [device] }, 'wake'), TypeError, 'wake');
  refused(() => open({ ...OPTIONS, devices: 'all' }), TypeError, 'devices');
  for (const field of Object.keys(DATA_PLANE)) {
    const [own, other] = socketpair();
    closeSync(other);
    refused(() => open({ ...OPTIONS, devices: [own], [field]: undefined }), TypeError, field);
    const [again, another] = socketpair();
    closeSync(another);
    refused(() => open({ ...OPTIONS, devices: [again], [field]: -1 }), RangeError, field);
  }
  closeSync(device);
  t.end();
});

t.test('the sentence of misuse is that of the registry', (t) => {
  const details = { name: 'port', found: 70_000, expected: 'a whole number from 1 to 65535' };
  const [native, wire] = opened();
  using _ = wire;
  t.throws(() => native.unlisten(70_000, ADDRESS), { message: guiseError('ERR_GUISE_ARGUMENT', details).message });
  native.close();
  t.end();
});

t.test('before it is opened and after it is closed every call answers EBADF', (t) => {
  const [native, wire] = opened();
  using _ = wire;
  native.close();
  for (const engine of [new addon.Engine(), native]) {
    const calls: [name: string, call: () => unknown][] = [
      ['counters', () => engine.counters()],
      ['events', () => engine.events(0)],
      ['swapEvents', () => engine.swapEvents(0, new Uint32Array(2))],
      ['listenUdp', () => engine.listenUdp(ADDRESS, 0)],
      ['udpPort', () => engine.udpPort(1)],
      ['closeUdp', () => engine.closeUdp(1)],
      ['pass', () => engine.pass([1], [])],
      ['route', () => engine.route(ADDRESS, 1)],
      ['readFlow', () => engine.readFlow(1)],
      ['listen', () => engine.listen(1, NONE, NONE, NONE, NONE, NONE, ADDRESS)],
      ['unlisten', () => engine.unlisten(1, ADDRESS)],
      ['countDrop', () => engine.countDrop(1)],
      ['openFlow', () => engine.openFlow(TUPLE, FLOW)],
      ['closeFlow', () => engine.closeFlow(1)],
      ['spliceApplication', () => engine.spliceApplication(1, 1, [])],
      ['unsplice', () => engine.unsplice(1)],
      ['spliceUdp', () => engine.spliceUdp(1, ADDRESS, 1, [])],
      ['forgetApplication', () => engine.forgetApplication(1)],
      ['sendSegment', () => engine.sendSegment(0, TUPLE, 0n, 1, 1, 2, NONE)],
      ['sendControl', () => engine.sendControl(1, 16, undefined)],
      ['setPathLimit', () => engine.setPathLimit(1, 1000, true, undefined)],
      ['watchSending', () => engine.watchSending(1)],
      ['sendProbe', () => engine.sendProbe(1, 1, 24, 24, false, false)],
      ['sendDatagrams', () => engine.sendDatagrams(1, [])],
    ];
    for (const [name, call] of calls) t.equal(call(), EBADF, name);
    engine.close();
  }
  t.end();
});

t.test('both sides know the same records, counters, events and policy', (t) => {
  const { eventRecord, eventTypes, openingDetail, engineCounters, flowCounters, policy } = addon.layout;
  t.same(Object.keys(eventRecord.fields).sort(), [...EVENT_RECORD_FIELDS].sort());
  t.same(Object.keys(eventTypes).sort(), [...EVENT_TYPES].sort());
  t.same(Object.keys(openingDetail).sort(), [...OPENING_DETAIL].sort());
  t.same(Object.keys(engineCounters.fields).sort(), [...ENGINE_COUNTERS].sort());
  t.same(Object.keys(flowCounters.fields).sort(), [...FLOW_COUNTERS].sort());
  t.same([...policy].sort(), Object.keys(DATA_PLANE).sort());
  for (const { size, fields } of [eventRecord, engineCounters, flowCounters]) {
    const offsets = Object.values<number>(fields);
    t.equal(new Set(offsets).size, offsets.length, 'each has a place of its own');
    t.ok(offsets.every((offset) => Number.isInteger(offset) && offset >= 0 && offset < size));
  }
  t.end();
});

t.test(
  'what JavaScript must hear of arrives however full the buffer is, and however much waits behind it',
  async (t) => {
    const FLOWS = 5000;
    const [device, far] = socketpair();
    const wire = new Wire(far);
    const attached = new Set<number>();
    let datagrams = 0;
    const gone: true[] = [];
    const engine = new Engine(
      { ...OPTIONS, devices: [device], maxFlows: FLOWS, eventBufferBytes: 1 << 17 },
      {
        ...HANDLERS,
        datagram: () => datagrams++,
        attached: (flow) => attached.add(flow),
        deviceGone: () => gone.push(true),
      },
    );
    const open = (port: number): number =>
      engine.openFlow(encodeTuple({ address: SERVER4, port: 443 }, { address: CLIENT4, port }), FLOW);
    // All in one task: JavaScript reads nothing meanwhile.
    const first = open(1000);
    engine.readFlow(first);
    const ends = { source: CLIENT4, destination: SERVER4, sourcePort: 1000, destinationPort: 443 };
    for (let sent = 0; engine.counters().dropped['eventsFull'] === undefined; sent++) {
      wire.write(build({ ...ends, seq: 1 + sent * 1000, ack: 1, flags: 0x10, payload: Buffer.alloc(1000) }));
      while (engine.flowCounters(first).receivedDatagrams <= sent) continue;
    }
    let last = 0;
    for (let i = 1; i < FLOWS; i++) last = open(1000 + i);
    engine.sendDatagrams(last, [Buffer.from('the worker has them all')]);
    while (engine.flowCounters(last).sentDatagrams === 0) continue;
    wire[Symbol.dispose]();
    while (gone.length === 0) await new Promise((resolve) => setImmediate(resolve));
    t.equal(attached.size, FLOWS);
    const { receivedDatagrams, receivedDrops } = engine.flowCounters(first);
    t.ok(receivedDrops > 0);
    t.equal(datagrams, receivedDatagrams - receivedDrops);
    engine.close();
  },
);

t.test('a device that cannot be watched is refused and closed', (t) => {
  const before = readdirSync('/proc/self/fd').length;
  const file = openSync(child, 'r');
  t.throws(() => new Engine({ ...OPTIONS, devices: [file] }, HANDLERS), { code: 'EPERM', syscall: 'epoll_ctl' });
  t.equal(readdirSync('/proc/self/fd').length, before);
  t.end();
});

t.test('with too few descriptors an engine is not opened, and none is left over', (t) => {
  const answers = [0, 1, 2, 3, 4].map((room) =>
    execFileSync('bash', ['-c', `ulimit -n 64; exec "$0" "$1" open ${room}`, process.execPath, child], {
      encoding: 'utf8',
    }),
  );
  t.same(answers, [
    'EMFILE epoll_create1, 1 closed',
    'EMFILE eventfd, 1 closed',
    'EMFILE timerfd_create, 1 closed',
    'opened, 1 closed',
    'opened, 1 closed',
  ]);
  t.end();
});

t.test('a listener that throws costs no other event, and what it throws is an uncaught exception', (t) => {
  t.equal(execFileSync(process.execPath, [child, 'throw', 'caught'], { encoding: 'utf8' }), '51 delivered, 1 uncaught');
  const { status, stderr } = spawnSync(process.execPath, [child, 'throw'], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /Error: the listener is wrong\n {4}at .*child/);
  t.end();
});
