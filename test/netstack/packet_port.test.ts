import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import type { GuiseError } from '../../src/errors.js';
import { addon, PORT_COUNTERS, type NativePacketPort } from '../../src/native/addon.js';
import {
  FACT,
  IN,
  KIND,
  openPort,
  OPTION,
  OUT,
  OUTGOING_ROWS,
  PORT_TUPLE,
  READ_ROOM,
  ROW,
  STATE,
  TCP,
  UDP,
  type PacketPort,
} from '../../src/native/packet_port.js';
import { PACKET_PORT } from '../../src/policy.js';
import { encodeAddress } from '../../src/wire/address.js';
import { ACK, FIN, PSH, RST, SYN } from '../../src/netstack/tcp/segment.js';
import { socketpair } from '../support/device.js';
import { tcpPacket, udpPacket, type Ends } from '../support/packets.js';

const TO_US: Ends = { source: '10.0.0.9', sourcePort: 4000, destination: '10.0.0.1', destinationPort: 80 };
const TO_US6: Ends = { source: 'fd00::9', sourcePort: 4000, destination: 'fd00::1', destinationPort: 80 };

/** The tuple of what comes by `ends`. */
function tupleOf({ source, sourcePort, destination, destinationPort }: Ends): Uint8Array {
  const tuple = Buffer.alloc(PORT_TUPLE);
  tuple.set(encodeAddress(destination), 0);
  tuple.set(encodeAddress(source), 16);
  tuple.writeUInt16BE(destinationPort, 32);
  tuple.writeUInt16BE(sourcePort, 34);
  return tuple;
}

const memory = (): PacketPort => openPort({ memory: true, mtu: 1500 });
const slab = new Uint8Array(1 << 20);

function setOut(port: PacketPort, fields: Partial<Record<keyof typeof OUT, number>>, row = 0): void {
  port.outgoing.fill(0, row * ROW, (row + 1) * ROW);
  for (const [name, value] of Object.entries(fields)) port.outgoing[row * ROW + OUT[name as keyof typeof OUT]] = value;
}

/** What was written is fed into another port; the rows that it makes of it. */
function carry(from: PacketPort, to: PacketPort): number {
  for (let packet = from.take(); packet; packet = from.take()) to.feed(packet);
  return to.read(slab, 0);
}

const payloadOf = (port: PacketPort, row = 0): Uint8Array => {
  const at = port.incoming[row * ROW + IN.payload]!;
  return slab.subarray(at, at + port.incoming[row * ROW + IN.payloadSize]!);
};

t.test('rows, state and counters are where the addon has them', async (t) => {
  t.same(addon.layout.packetRow, {
    incoming: IN,
    outgoing: OUT,
    kinds: KIND,
    facts: FACT,
    options: OPTION,
    state: STATE,
  });
  t.same(Object.keys(addon.layout.portCounters.fields), PORT_COUNTERS);
  using port = memory();
  t.equal(port.incoming.length, 64 * ROW);
  t.equal(port.outgoing.length, OUTGOING_ROWS * ROW);
  t.equal(port.mtu, 1500);
  t.ok(Object.values(port.counters()).every((count) => count === 0));
});

t.test('a SYN is told of, attached, and answered', async (t) => {
  using port = memory();
  using peer = memory();
  const readable = new Promise<void>((resolve) => port.watch(resolve));
  port.feed(tcpPacket(TO_US, { seq: 7, flags: SYN, options: [2, 4, 5, 180, 1, 3, 3, 8] }));
  await readable;
  t.equal(port.read(slab, 0), 1);
  t.equal(port.incoming[IN.kind], KIND.tcp);
  t.equal(port.incoming[IN.flow], -1);
  t.equal(port.incoming[IN.options], OPTION.mss | OPTION.scale);
  t.equal(port.incoming[IN.mss], 1460 | (8 << 16));
  t.equal(port.hashRow(0, 5), port.hashTuple(tupleOf(TO_US), 5));
  t.not(port.hashRow(0, 5), port.hashRow(0, 6));
  const flow = port.attachRow(0);
  t.equal(flow, 0);
  t.equal(port.attach(TCP, tupleOf(TO_US)), -1);
  setOut(port, { flow, seq: 99, ack: 8, flags: SYN | ACK, window: 1000, options: OPTION.mss, mss: 1400 });
  t.equal(port.writeSegments(1), 0);
  t.equal(carry(port, peer), 1);
  t.equal(peer.incoming[IN.flags], SYN | ACK);
  t.equal(peer.incoming[IN.ports], (4000 << 16) | 80);
  t.equal(peer.incoming[IN.mss], 1400);
  port.feed(tcpPacket(TO_US, { flags: ACK, payload: Buffer.from('x') }));
  t.equal(port.read(slab, port.used), 1);
  t.equal(port.incoming[IN.flow], flow);
  port.detach(flow);
  t.equal(port.incoming[IN.flow], -1);
  setOut(port, { seq: 1, flags: RST });
  t.equal(port.answer(0), 0);
  t.equal(carry(port, peer), 1);
  t.equal(peer.incoming[IN.flags], RST);
});

t.test('payload leaves in segments, from any place of its chunks', async (t) => {
  for (const ends of [TO_US, TO_US6]) {
    using port = memory();
    using peer = memory();
    const chunks = Array.from({ length: 40 }, (_, i) => Buffer.alloc(i * 7, i));
    const all = Buffer.concat(chunks.slice(5)).subarray(3, 3 + 4000);
    const flow = port.attach(TCP, tupleOf(ends));
    setOut(port, { flow, seq: -1500, flags: ACK | PSH | FIN, window: 9, options: OPTION.timestamps, timestamp: 4 }, 9);
    t.equal(port.writeData(9, chunks, 5, 3, 4000, 1000), 4000);
    t.equal(carry(port, peer), 4);
    const rows = [0, 1, 2, 3];
    t.same(Buffer.concat(rows.map((row) => payloadOf(peer, row))), all);
    t.same(
      rows.map((row) => peer.incoming[row * ROW + IN.seq]),
      [-1500, -500, 500, 1500],
    );
    t.same(
      rows.map((row) => peer.incoming[row * ROW + IN.flags]),
      [ACK, ACK, ACK, ACK | PSH | FIN],
    );
    t.equal(port.writeData(9, chunks, 39, 0, 40 * 7, 1000), -22, 'EINVAL: the chunks have less');
    t.equal(port.writeData(9, chunks, 40, 0, 1, 1000), -22);
    port.detach(flow);
    t.equal(port.writeData(9, chunks, 5, 3, 4000, 1000), -9, 'EBADF: no flow');
  }
});

t.test('datagrams go and come, in fragments where they are large', async (t) => {
  for (const ends of [TO_US, TO_US6]) {
    using port = memory();
    using peer = memory();
    const payload = Buffer.alloc(6000, 'abc');
    t.equal(port.writeUdp(tupleOf(ends), payload), 0);
    t.equal(carry(port, peer), 1);
    t.equal(peer.incoming[IN.kind], KIND.udp);
    t.ok(peer.incoming[IN.facts]! & FACT.reassembled);
    t.same(Buffer.from(payloadOf(peer)), payload);
    const flow = port.attach(UDP, tupleOf(ends));
    t.equal(port.writeUdpFlow(flow, payload.subarray(0, 1000), 600), 0);
    t.equal(port.counters().sent, 7);
    t.equal(carry(port, peer), 1);
    t.equal(payloadOf(peer).length, 1000);
    t.equal(port.writeUdpFlow(flow + 1, payload), -9);
    t.equal(port.writeUdp(tupleOf(ends), Buffer.alloc(65_528)), -90, 'EMSGSIZE');
    port.feed(udpPacket(ends, Buffer.from('hello')));
    t.equal(port.read(slab, 0), 1);
    t.equal(port.incoming[IN.flow], flow);
    t.equal(Buffer.from(payloadOf(port)).toString(), 'hello');
    t.equal(peer.counters().reassembled, 2);
  }
});

t.test('a message of another protocol is written with its checksum', async (t) => {
  using port = memory();
  using peer = memory();
  const ECHO_REPLY = 129;
  const ICMPV6 = 58;
  const addresses = tupleOf(TO_US6).subarray(0, 32);
  t.equal(port.writePacket(ICMPV6, addresses, Buffer.from([ECHO_REPLY, 0, 0, 0, 1, 2, 3, 4, 5]), 255, 2), 0);
  t.equal(port.writePacket(253, addresses, Buffer.from([1]), 1, -1), 0);
  t.equal(carry(port, peer), 2);
  t.equal(peer.incoming[IN.kind], KIND.icmp);
  t.equal(peer.incoming[IN.facts]! >> FACT.hopLimitShift, 255);
  t.equal(peer.incoming[ROW + IN.kind], KIND.other);
  t.equal(peer.incoming[ROW + IN.flags], 253);
});

t.test('who takes packets is told once a turn', async (t) => {
  using port = memory();
  let told = 0;
  port.onWritten(() => ++told);
  const flow = port.attach(TCP, tupleOf(TO_US));
  setOut(port, { flow, flags: ACK });
  port.writeSegments(1);
  port.writeSegments(1);
  t.equal(told, 0);
  await Promise.resolve();
  t.equal(told, 1);
  t.equal(port.take()?.length, 40);
  t.equal(port.take()?.length, 40);
  t.equal(port.take(), undefined);
  port.writeData(0, [Buffer.alloc(1)], 0, 0, 1, 1);
  await Promise.resolve();
  t.equal(told, 2);
});

t.test('what waits is read in turns, and what is too much is dropped', async (t) => {
  using port = openPort({ memory: true, mtu: 576 }, { rows: 2 });
  const packet = tcpPacket(TO_US, { flags: ACK, payload: Buffer.alloc(60_000) });
  const fits = Math.floor(PACKET_PORT.queueBytes / (packet.length + 40));
  for (let i = 0; i < fits + 3; ++i) port.feed(packet);
  port.feed(new Uint8Array(0));
  t.equal(port.counters().overrun, 4);
  let turns = 0;
  const rows: number[] = [];
  await new Promise<void>((resolve) => {
    port.watch(() => {
      ++turns;
      rows.push(port.read(slab, 0));
      if (port.counters().received === fits) resolve();
    });
  });
  t.equal(turns, Math.ceil(fits / 2));
  t.ok(rows.slice(0, -1).every((count) => count === 2));
});

t.test('what `readable` throws is uncaught, and packets are read all the same', async (t) => {
  const [device, far] = socketpair();
  using port = openPort({ descriptor: device, virtioHeader: false, segmentation: false });
  const thrown: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  await new Promise<void>((resolve) => {
    port.watch(() => {
      if (thrown.length === 0) throw new Error('mine');
      t.equal(port.read(slab, 0), 1);
      resolve();
    });
    writeSync(far, tcpPacket(TO_US, { flags: SYN }));
  });
  process.removeAllListeners('uncaughtException');
  for (const listener of listeners) process.on('uncaughtException', listener);
  t.match(thrown, [{ message: 'mine' }]);
  closeSync(far);
});

t.test('a descriptor: packets come and go, and its end is told', async (t) => {
  const [device, far] = socketpair();
  using port = openPort({ descriptor: device, virtioHeader: false, segmentation: false, mtu: 1400 });
  t.equal(port.mtu, 1400);
  port.refresh();
  t.equal(port.mtu, 1400);
  const tuple = tupleOf(TO_US);
  setOut(port, { flow: port.attach(TCP, tuple), flags: ACK });
  t.equal(port.writeSegments(1), 0);
  t.equal(readSync(far, Buffer.alloc(100)), 40);
  let answer = 0;
  const gone = new Promise<void>((resolve) => {
    port.watch(() => {
      answer = port.read(slab, 0);
      if (answer < 0) {
        port.close();
        resolve();
      }
    });
  });
  closeSync(far);
  await gone;
  t.equal(answer, -19, 'ENODEV');
  t.throws(() => port.watch(() => {}), { code: 'EBADF' });
});

t.test('what cannot be opened or watched is an error with its code', async (t) => {
  const device = { virtioHeader: false, segmentation: false };
  t.throws(() => openPort({ ...device, descriptor: 2 ** 30 }), { code: 'EBADF', syscall: 'fcntl' });
  using port = openPort({ ...device, descriptor: openSync(fileURLToPath(import.meta.url), 'r') });
  t.equal(port.mtu, 1500);
  t.throws(() => port.watch(() => {}), { code: 'EPERM', syscall: 'epoll_ctl' });
  const [own, far] = socketpair();
  using watched = openPort({ ...device, descriptor: own });
  watched.watch(() => {});
  t.throws(() => watched.watch(() => {}), { code: 'EALREADY' });
  closeSync(far);
});

t.test('misuse throws, with a code and a sentence', async (t) => {
  const native = new addon.PacketPort();
  const options = { descriptor: -1, virtioHeader: false, segmentation: false, mtu: 0, rows: 4, ...PACKET_PORT };
  const refused = (call: () => unknown, name: string): void => {
    try {
      call();
      t.fail(`${name} is refused`);
    } catch (error) {
      t.equal((error as GuiseError).code, 'ERR_GUISE_ARGUMENT');
      t.match((error as Error).message, new RegExp(`^${name} is .*; give .*\\.$`));
    }
  };
  for (const wrong of [undefined, 'x', -1, 0.5, 2 ** 33]) {
    for (const name of ['rows', 'mtu', ...Object.keys(PACKET_PORT)])
      refused(() => new addon.PacketPort().open({ ...options, [name]: wrong as number }), name);
  }
  refused(() => new addon.PacketPort().open({ ...options, descriptor: -2 }), 'descriptor');
  refused(() => new addon.PacketPort().open({ ...options, mtu: 67 }), 'mtu');
  t.equal(native.open(options), 0);
  t.equal(native.open(options), -114, 'EALREADY');
  const tuple = tupleOf(TO_US);
  const mixed = Buffer.concat([encodeAddress('10.0.0.1'), encodeAddress('fd00::1'), Buffer.alloc(4)]);
  const bytes = new Uint8Array(8);
  refused(() => native.read([] as never, 0), 'slab');
  refused(() => native.read(bytes, -1), 'at');
  refused(() => native.writeSegments(129), 'count');
  refused(() => native.writeData(128, [bytes], 0, 0, 1, 1), 'row');
  refused(() => native.writeData(0, bytes as never, 0, 0, 1, 1), 'chunks');
  refused(() => native.writeData(0, [bytes], 0.5, 0, 1, 1), 'first');
  refused(() => native.writeData(0, [bytes], 0, -1, 1, 1), 'offset');
  refused(() => native.writeData(0, [bytes], 0, 0, 0, 1), 'size');
  refused(() => native.writeData(0, [bytes], 0, 0, 1, 65_536), 'segmentSize');
  refused(() => native.answer(0), 'row');
  refused(() => native.attachRow(0), 'row');
  refused(() => native.hashRow(0, 1), 'row');
  refused(() => native.hashTuple(tuple, 'x' as never), 'word');
  refused(() => native.attach(7, tuple), 'protocol');
  refused(() => native.attach(6, mixed), 'tuple');
  refused(() => native.attach(6, tuple.subarray(1)), 'tuple');
  refused(() => native.writeUdp(tuple, 'x' as never, 0), 'payload');
  refused(() => native.writeUdp(tuple, bytes, 67), 'mtu');
  refused(() => native.writePacket(256, tuple.subarray(0, 32), bytes, 1, -1), 'protocol');
  refused(() => native.writePacket(1, mixed.subarray(0, 32), bytes, 1, -1), 'addresses');
  refused(() => native.writePacket(1, tuple.subarray(0, 32), bytes, 256, -1), 'hopLimit');
  refused(() => native.writePacket(1, tuple.subarray(0, 32), bytes, 1, 7), 'checksumAt');
  refused(() => native.writePacket(1, tuple.subarray(0, 32), bytes, 1, 3), 'checksumAt');
  refused(() => native.writePacket(1, tuple.subarray(0, 32), bytes.subarray(0, 1), 1, 0), 'payload');
  native.feed(tcpPacket(TO_US, { flags: SYN }));
  t.equal(native.read(new Uint8Array(READ_ROOM - 1), 0), 0, 'a slab without room');
  t.equal(native.read(new Uint8Array(READ_ROOM), 0), 1);
  refused(() => native.attachRow(1), 'row');
  native.close();
});

t.test('before it is opened and after it is closed every call answers EBADF', async (t) => {
  const native = new addon.PacketPort();
  const names = Object.getOwnPropertyNames(addon.PacketPort.prototype).filter(
    (name) => !['constructor', 'open', 'close', 'take', 'lastSyscall'].includes(name),
  );
  const check = (): void => {
    for (const name of names) t.equal((native[name as keyof NativePacketPort] as () => number)(), -9, name);
    t.equal(native.take(), undefined);
  };
  check();
  native.open({ descriptor: -1, virtioHeader: false, segmentation: false, mtu: 0, rows: 4, ...PACKET_PORT });
  native.close();
  native.close();
  check();
});

const child = fileURLToPath(new URL('port_child.js', import.meta.url));

t.test('a port keeps its process alive until it is unreferenced or closed', async (t) => {
  for (const what of ['unref', 'close', 'memory']) {
    const { status, stdout, signal } = spawnSync(process.execPath, [child, what], {
      timeout: 20_000,
      encoding: 'utf8',
    });
    t.same([status, signal, stdout], [0, null, 'end\n'], what);
  }
});

t.test('a thread with open ports ends', async (t) => {
  const worker = new Worker(child, { argv: ['thread'] });
  await new Promise((resolve) => worker.once('message', resolve));
  t.equal(await worker.terminate(), 1);
});
