import { once } from 'node:events';
import t from 'tap';
import type { Socket } from '../../src/index.js';
import { stackOnWire } from '../support/device.js';
import { accept, tuple } from '../support/peer.js';
import { build, read } from '../support/segment.js';

const FIN = 1,
  SYN = 2,
  RST = 4,
  ACK = 16;
const WINDOW = 2 ** 30;

async function next(socket: Socket): Promise<string> {
  for await (const datagram of socket) return Buffer.from(datagram).toString();
  return 'closed';
}

t.test('only the exact sequence number resets; a guess inside the window is challenged', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, write } = await accept(stack, wire, { seq: 0, options: Buffer.from('0103030e', 'hex') });
  t.equal(socket.profile, 'phantun');
  write({ seq: 0x9000_0000, ack: 0, flags: RST });
  for (const [segment, name] of [
    [{ seq: 500, flags: RST }, 'a RST'],
    [{ seq: 1, flags: SYN }, 'a SYN'],
  ] as const) {
    // Again and again: a connection challenges ten times a second at most.
    const again = setInterval(() => write({ ...segment, ack: 0 }), 10);
    t.match(read(await wire.read()), { flags: ACK, ack: 1 }, `${name} is challenged`);
    clearInterval(again);
  }
  t.notOk(socket.closed);
  const failed = once(socket, 'error');
  write({ seq: 1, ack: 0, flags: RST });
  t.match(await failed, [{ code: 'ECONNRESET' }]);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('where RSTs are ignored, even an exact one changes nothing', async (t) => {
  const [stack, wire] = await stackOnWire({ ignoreRst: true });
  const { socket, seq, write } = await accept(stack, wire);
  write({ flags: RST });
  write({ seq, payload: Buffer.from('still here') });
  t.equal(await next(socket), 'still here');
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('blind RSTs, SYNs, FINs and datagrams close nothing and get nothing in, and are counted', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, ack, write } = await accept(stack, wire);
  const payload = Buffer.from('injected');
  for (let i = 0; i < 500; i++) {
    const outside = (seq + WINDOW + 1 + i * 3_000_000) >>> 0;
    write({ seq: outside, flags: RST });
    write({ seq: outside, flags: SYN });
    write({ seq: outside, flags: FIN | ACK });
    write({ seq: outside, payload });
    write({ ack: (ack + 1 + i * 3_000_000) >>> 0, payload });
    write({ flags: 0, payload });
  }
  write({ payload: Buffer.from('honest') });
  t.equal(await next(socket), 'honest');
  t.notOk(socket.closed);
  const { dropped, challenges } = stack.counters;
  t.equal(dropped['outOfWindow'], 1000, 'RSTs and datagrams');
  t.equal(dropped['badAck'], 1000, 'wrong acknowledgements, and none');
  t.equal(challenges + (dropped['challengeLimit'] ?? 0), 1000, 'SYNs and FINs');
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('a peer that an outage has carried out of the window is believed after eight datagrams in a row', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, write } = await accept(stack, wire);
  const far = seq + 2 * WINDOW;
  for (let i = 1; i <= 9; i++) write({ seq: far + i, payload: Buffer.from(`${i}`) });
  t.equal(await next(socket), '9');
  write({ seq: far + 10, payload: Buffer.from('A') });
  t.equal(await next(socket), 'A');
  t.equal(stack.counters.dropped['outOfWindow'], 8);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('what RSTs outside of the window carry is not delivered, however many come in a row', async (t) => {
  const [stack, wire] = await stackOnWire();
  const { socket, seq, write } = await accept(stack, wire);
  for (let i = 0; i < 20; i++) write({ seq: seq + 2 * WINDOW + i, flags: RST | ACK, payload: Buffer.from('!') });
  write({ seq, payload: Buffer.from('good') });
  t.equal(await next(socket), 'good');
  t.equal(stack.counters.dropped['outOfWindow'], 20);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('a flood of SYNs, ACKs and RSTs keeps nothing, and an honest client is accepted beside it', async (t) => {
  const [stack, wire] = await stackOnWire();
  stack.listen({ port: 80 });
  /** SYNs that were answered and that were not, because too many came at once. */
  const syns = (): [number, number] => [stack.counters.synsAnswered, stack.counters.dropped['synLimit'] ?? 0];
  let answers = 0;
  for (let i = 0; i < 20_000; i++) {
    const stranger = { ...tuple, destinationPort: 80, source: `10.9.${i >> 8}.${i & 255}`, seq: i * 77_777 };
    wire.write(build({ ...stranger, ack: 0, flags: SYN }));
    wire.write(build({ ...stranger, ack: i * 55_555, flags: ACK }));
    wire.write(build({ ...stranger, ack: 0, flags: RST }));
    if (i % 50 < 49) continue;
    // The answers, so that the device does not fill up.
    while (syns()[0] + syns()[1] <= i) await new Promise((resolve) => setImmediate(resolve));
    for (const answered = syns()[0]; answers < answered;) answers += read(await wire.read()).flags & SYN ? 1 : 0;
  }
  const [answered, refused] = syns();
  t.equal(answered + refused, 20_000);
  t.ok(answered >= 5000, `${answered} answered`);
  const { socket } = await accept(stack, wire);
  t.equal([...stack.sockets].length, 1);
  t.notOk(socket.closed);
  t.equal(stack.counters.dropped['stranger'], 40_000);
  t.equal(stack.counters.waitingBytes, 0);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('more connections than allowed are refused, in total and of one address', async (t) => {
  const [stack, wire] = await stackOnWire({ maxFlows: 3, maxFlowsPerSource: 2 });
  stack.listen({ port: 80 });
  const open = async (source: string, sourcePort: number): Promise<void> => {
    const from = { ...tuple, source, sourcePort, destinationPort: 80 };
    wire.write(build({ ...from, seq: 0, ack: 0, flags: SYN }));
    let answer = read(await wire.read());
    while ((answer.flags & SYN) === 0) answer = read(await wire.read());
    wire.write(build({ ...from, seq: 1, ack: answer.seq + 1, flags: ACK, payload: Buffer.from('x') }));
    t.match(read(await wire.read()), { ack: 2 }, 'accepted or refused');
  };
  for (const port of [1, 2, 3, 4]) await open('10.9.0.1', port);
  for (const port of [1, 2, 3]) await open('10.9.0.2', port);
  t.equal([...stack.sockets].length, 3);
  t.match(stack.counters.dropped, { sourceFull: 2, flowsFull: 2 });
  const first = [...stack.sockets].find(({ remoteAddress }) => remoteAddress === '10.9.0.1')!;
  first.resetAndDestroy();
  await open('10.9.0.1', 5);
  t.equal([...stack.sockets].length, 3, 'one that ends makes room');
  await stack.close();
  wire[Symbol.dispose]();
});
