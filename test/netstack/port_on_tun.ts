/**
 * Says in TAP how a packet port does on a TUN of this network namespace, with the kernel's TCP, UDP and ping as peers. With
 * the argument `offload` the TUN has super-segments.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv4, type Socket } from 'node:net';
import t from 'tap';
import { openTun } from '../../src/native/device.js';
import {
  FACT,
  IN,
  KIND,
  openPort,
  OPTION,
  OUT,
  PORT_TUPLE,
  ROW,
  SACK_COUNT_SHIFT,
  UDP,
} from '../../src/native/packet_port.js';
import { ACK, FIN, PSH, RST, SYN } from '../../src/netstack/tcp/segment.js';
import { encodeAddress } from '../../src/wire/address.js';
import { run } from '../net/process.js';

const OFFLOAD = process.argv[2] === 'offload';
const MTU = 1500;
const HOSTS = [
  ['10.9.0.1', '10.9.0.2'],
  ['fd09::1', 'fd09::2'],
] as const;

const opened = openTun('tuna', 1, OFFLOAD);
if ('errno' in opened) throw new Error(`${opened.syscall}: ${opened.errno}`);
for (const args of [
  ['link', 'set', 'lo', 'up'],
  ['address', 'add', '10.9.0.1/24', 'dev', 'tuna'],
  ['address', 'add', 'fd09::1/64', 'dev', 'tuna', 'nodad'],
  ['link', 'set', 'tuna', 'up'],
])
  await run('ip', args);

const port = openPort({
  descriptor: opened.fds[0]!,
  virtioHeader: opened.virtioHeader,
  segmentation: opened.segmentation,
});
const slab = new Uint8Array(4 << 20);
/** Of what comes: who looks at each row. */
let onRow: (row: Int32Array, payload: Buffer, index: number) => void = () => {};
let readAnswer = 0;
let onGone = (): void => {};

port.watch(() => {
  const rows = port.read(slab, 0);
  readAnswer = rows;
  if (rows < 0) return onGone();
  for (let i = 0; i < rows; ++i) {
    const row = port.incoming.subarray(i * ROW, (i + 1) * ROW);
    const at = row[IN.payload]!;
    onRow(row, Buffer.from(slab.subarray(at, at + row[IN.payloadSize]!)), i);
  }
});

function setOut(fields: Partial<Record<keyof typeof OUT, number>>): void {
  port.outgoing.fill(0, 0, ROW);
  for (const [name, value] of Object.entries(fields)) port.outgoing[OUT[name as keyof typeof OUT]] = value;
}

/** What the kernel's TCP sent on a connection that this end has accepted. */
class Peer {
  flow = -1;
  next = 0;
  sent = 0;
  acknowledged = 0;
  readonly received: Buffer[] = [];
  readonly sizes: [payload: number, segment: number][] = [];
  syn = new Int32Array(ROW);
  finished = false;
  timestamp = 0;

  take(row: Int32Array, payload: Buffer, index: number): void {
    if (row[IN.kind] !== KIND.tcp) return;
    this.timestamp = row[IN.timestamp]!;
    if (row[IN.flags]! & SYN) {
      this.syn = row.slice();
      this.flow = port.attachRow(index);
      this.next = (row[IN.seq]! + 1) | 0;
      this.write(SYN | ACK, OPTION.mss | OPTION.scale | OPTION.sackPermitted | OPTION.timestamps);
      this.sent = 1;
      return;
    }
    if (row[IN.flow] !== this.flow || row[IN.seq] !== this.next) return;
    this.acknowledged = row[IN.ack]!;
    if (payload.length > 0) this.sizes.push([payload.length, row[IN.segmentSize]!]);
    this.received.push(payload);
    this.next = (this.next + payload.length) | 0;
    if (row[IN.flags]! & FIN) {
      this.next = (this.next + 1) | 0;
      this.finished = true;
    }
    if (payload.length > 0 || this.finished) this.write(ACK, OPTION.timestamps);
  }

  /** A row of this connection's numbers, and a segment by it. */
  write(flags: number, options: number): void {
    this.setRow(flags, options);
    if (port.writeSegments(1) !== 0) throw new Error('a segment was refused');
  }

  setRow(flags: number, options: number): void {
    setOut({
      flow: this.flow,
      seq: (1000 + this.sent) | 0,
      ack: this.next,
      flags,
      window: 65_535,
      options,
      mss: 1440 | (9 << 16),
      timestamp: 1,
      timestampEcho: this.timestamp,
    });
  }
}

async function connected(host: string): Promise<[Peer, Socket]> {
  const peer = new Peer();
  onRow = (row, payload, index) => peer.take(row, payload, index);
  const socket = connect({ host, port: 80 });
  await once(socket, 'connect');
  return [peer, socket];
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

for (const [here, there] of HOSTS) {
  const family = isIPv4(here) ? 'IPv4' : 'IPv6';

  t.test(`${family}: the kernel's SYN is understood, and its stream comes whole`, async (t) => {
    const [peer, socket] = await connected(there);
    const { options, mss, facts, window, ports } = Object.fromEntries(
      Object.entries(IN).map(([name, at]) => [name, peer.syn[at]!]),
    ) as Record<keyof typeof IN, number>;
    t.equal(options, OPTION.mss | OPTION.scale | OPTION.sackPermitted | OPTION.timestamps);
    t.equal(mss & 0xffff, MTU - (family === 'IPv4' ? 40 : 60));
    t.ok(mss >> 16 <= 14);
    t.equal(facts & FACT.ipv6, family === 'IPv4' ? 0 : FACT.ipv6);
    t.equal(facts >> FACT.hopLimitShift, 64);
    t.ok(window > 0);
    t.equal(ports >>> 16, 80);
    t.equal(ports & 0xffff, socket.localPort);
    const all = Buffer.alloc(400_000, 'the kernel sends ');
    socket.end(all);
    await until(() => peer.finished);
    t.ok(Buffer.concat(peer.received).equals(all));
    const merged = peer.sizes.filter(([payload, segment]) => payload > segment);
    t.equal(merged.length > 0, OFFLOAD, `${merged.length} of ${peer.sizes.length} are super-segments`);
    t.ok(
      merged.every(([, segment]) => segment === 1428),
      'each of the MSS less the timestamps',
    );
    t.equal(port.counters().damaged, 0);
    setOut({ flow: peer.flow, seq: 1001, ack: peer.next, flags: RST | ACK });
    port.writeSegments(1);
    await once(socket, 'error').catch(() => {});
    port.detach(peer.flow);
  });

  t.test(`${family}: the kernel takes what is written, and says by SACK what is missing`, async (t) => {
    const [peer, socket] = await connected(there);
    const all = Buffer.from(Array.from({ length: 60_000 }, (_, i) => i * 7 + (i >> 8)));
    const chunks = [all.subarray(0, 100), all.subarray(100, 30_001), all.subarray(30_001)];
    const received: Buffer[] = [];
    let size = 0;
    socket.on('data', (data: Buffer) => {
      received.push(data);
      size += data.length;
    });
    // The first segment is lost, and comes last.
    const LOST = 1000;
    const sent = peer.sent;
    let blocks = 0;
    onRow = (row) => {
      if (row[IN.flow] === peer.flow) blocks = Math.max(blocks, row[IN.options]! >> SACK_COUNT_SHIFT);
    };
    peer.sent = sent + LOST;
    peer.setRow(ACK | PSH, OPTION.timestamps);
    t.equal(port.writeData(0, chunks, 1, LOST - 100, all.length - LOST, 1428), all.length - LOST);
    await until(() => blocks > 0);
    t.equal(size, 0);
    peer.sent = sent;
    peer.setRow(ACK, OPTION.timestamps);
    t.equal(port.writeData(0, chunks, 0, 0, LOST, 1428), LOST);
    await until(() => size === all.length);
    t.ok(Buffer.concat(received).equals(all));
    t.equal(port.counters().segmentationFallbacks, 0);
    t.equal(port.counters().refused, 0);
    peer.sent = sent + all.length;
    peer.write(RST | ACK, 0);
    await once(socket, 'close').catch(() => {});
    port.detach(peer.flow);
  });

  t.test(`${family}: pings that come in fragments are answered in fragments`, async (t) => {
    const { reassembled, sent } = port.counters();
    onRow = (row, message) => {
      if (row[IN.kind] !== KIND.icmp) return;
      const REQUEST = family === 'IPv4' ? 8 : 128;
      if (message[0] !== REQUEST) return;
      message[0] = family === 'IPv4' ? 0 : 129;
      const protocol = row[IN.flags]!;
      const addresses = Buffer.concat([encodeAddress(there), encodeAddress(here)]);
      t.equal(port.writePacket(protocol, addresses, message, 64, 2), 0);
    };
    const said = await run('ping', ['-c', '2', '-i', '0.2', '-W', '5', '-s', '20000', there]);
    t.match(said, /2 received, 0% packet loss/);
    t.equal(port.counters().reassembled - reassembled, 2);
    t.ok(port.counters().sent - sent >= 28);
  });

  t.test(`${family}: datagrams go both ways, in fragments and whole`, async (t) => {
    const socket = createSocket(family === 'IPv4' ? 'udp4' : 'udp6');
    socket.bind(0, here);
    await once(socket, 'listening');
    const tuple = Buffer.alloc(PORT_TUPLE);
    tuple.set(encodeAddress(there), 0);
    tuple.set(encodeAddress(here), 16);
    tuple.writeUInt16BE(53, 32);
    tuple.writeUInt16BE(socket.address().port, 34);
    const flow = port.attach(UDP, tuple);
    onRow = (row, payload) => {
      if (row[IN.kind] !== KIND.udp || row[IN.ports]! >>> 16 !== 53) return;
      t.equal(row[IN.flow], flow);
      t.equal(port.writeUdpFlow(flow, payload), 0);
    };
    for (const size of [0, 1, 1452, 1473, 8001, 65_000]) {
      const datagram = Buffer.alloc(size, `${size} `);
      socket.send(datagram, 53, there);
      const [back] = (await once(socket, 'message')) as [Buffer];
      t.ok(back.equals(datagram), `${size} bytes`);
    }
    port.detach(flow);
    socket.close();
  });
}

t.test('the MTU is that of the interface, when it is asked for', async (t) => {
  t.equal(port.mtu, MTU);
  await run('ip', ['link', 'set', 'tuna', 'mtu', '1380']);
  port.refresh();
  t.equal(port.mtu, 1380);
});

t.test('an interface that is deleted is gone', async (t) => {
  const gone = new Promise<void>((resolve) => (onGone = resolve));
  await run('ip', ['link', 'delete', 'tuna']);
  await gone;
  t.ok(readAnswer < 0, `${readAnswer}`);
  port.close();
});
