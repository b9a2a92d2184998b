import { once } from 'node:events';
import t, { type Test } from 'tap';
import type { Profile, Socket, Stack } from '../../src/index.js';
import { stackOnWire } from '../support/device.js';
import { build, read, type TestSegment } from '../support/segment.js';

const SYN = 2,
  RST = 4,
  ACK = 16;

// What phantun 0.8.1 puts onto the wire, by its own rules; ports and addresses are ours, so the test computes the rest.
const CLIENT = { source: '10.1.0.2', destination: '10.0.0.1', destinationPort: 4567, window: 0xffff };

t.test('as a client of phantun: SYN, ACK, data and closing RST byte for byte', async (t) => {
  const [stack, wire] = await stackOnWire();
  const opening = stack.connect({ address: '10.0.0.1', port: 4567, profile: 'phantun' });
  const syn = await wire.read();
  const { sourcePort } = read(syn);
  const ours = { ...CLIENT, sourcePort };
  const options = Buffer.from('0103030e', 'hex');
  t.same(syn, build({ ...ours, seq: 0, ack: 0, flags: 2, options }));
  const theirs = { source: '10.0.0.1', destination: '10.1.0.2', sourcePort: 4567, destinationPort: sourcePort };
  wire.write(build({ ...theirs, seq: 0, ack: 1, flags: 0x12, options }));
  const socket = await opening;
  t.same(await wire.read(), build({ ...ours, seq: 1, ack: 1, flags: 0x10 }));
  socket.send(Buffer.from('hello'));
  t.same(await wire.read(), build({ ...ours, seq: 1, ack: 1, flags: 0x10, payload: Buffer.from('hello') }));
  socket.send(Buffer.from('hi'));
  t.same(await wire.read(), build({ ...ours, seq: 6, ack: 1, flags: 0x10, payload: Buffer.from('hi') }));
  await socket.close();
  t.same(await wire.read(), build({ ...ours, seq: 8, ack: 0, flags: 0x04 }));
  await stack.close();
  wire[Symbol.dispose]();
});

/** A server that a stack with the profile `auto` connects to, a SYN at a time. */
async function startAuto(t: Test): Promise<{
  stack: Stack;
  opening: Promise<Socket>;
  /** Waits for a SYN of a profile and answers it. */
  answer: (profile: Profile, flags: number, isn: number) => Promise<void>;
  /** Waits for the segment behind it. */
  next: () => Promise<Partial<TestSegment>>;
  stop: () => Promise<void>;
}> {
  const [stack, wire] = await stackOnWire();
  const opening = stack.connect({ address: '10.0.0.1', port: 4567 });
  return {
    stack,
    opening,
    answer: async (profile, flags, isn) => {
      const syn = read(await wire.read());
      t.equal(syn.flags, SYN);
      t.equal(syn.seq === 0, profile === 'phantun', `the SYN is ${profile}'s`);
      const theirs = { source: '10.0.0.1', destination: '10.1.0.2', sourcePort: 4567, destinationPort: syn.sourcePort };
      wire.write(build({ ...theirs, seq: isn, ack: (syn.seq + 1) >>> 0, flags }));
    },
    next: async () => read(await wire.read()),
    stop: async () => {
      await stack.close();
      wire[Symbol.dispose]();
    },
  };
}

t.test('auto falls back to the phantun profile when a SYN with a random ISN is refused', async (t) => {
  const { opening, answer, stop } = await startAuto(t);
  await answer('guise', RST | ACK, 0);
  await answer('phantun', SYN | ACK, 0);
  t.equal((await opening).profile, 'phantun');
  await stop();
});

t.test('a guise server that comes up between two SYNs is not taken for phantun', async (t) => {
  const { stack, opening, answer, next, stop } = await startAuto(t);
  await answer('guise', RST | ACK, 0);
  await answer('phantun', SYN | ACK, 1234);
  t.match(await next(), { flags: RST, seq: 1 }, 'the answer to the second is refused');
  await answer('guise', SYN | ACK, 5678);
  t.equal((await opening).profile, 'guise');
  t.match(await next(), { flags: ACK, ack: 5679 });
  const again = stack.connect({ address: '10.0.0.1', port: 4567 });
  await answer('guise', SYN | ACK, 1);
  t.equal((await again).profile, 'guise');
  await stop();
});

t.test('a phantun server behind something that gives it another ISN is found all the same', async (t) => {
  const { opening, answer, next, stop } = await startAuto(t);
  await answer('guise', RST | ACK, 0);
  await answer('phantun', SYN | ACK, 1234);
  t.match(await next(), { flags: RST });
  await answer('guise', RST | ACK, 0);
  await answer('phantun', SYN | ACK, 1234);
  t.equal((await opening).profile, 'phantun');
  await stop();
});

t.test('as a server of a phantun client: SYN-ACK in its form, RST to close, its data accepted', async (t) => {
  const [stack, wire] = await stackOnWire();
  const accepted = once(stack.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
  const theirs = { source: '10.0.0.2', destination: '10.1.0.2', sourcePort: 40_000, destinationPort: 4567 };
  wire.write(build({ ...theirs, seq: 0, ack: 0, flags: 2, options: Buffer.from('0103030e', 'hex') }));
  const answer = read(await wire.read());
  t.match(answer, { flags: 0x12, ack: 1, window: 0xffff, options: Buffer.from('0103030e', 'hex') });
  wire.write(build({ ...theirs, seq: 1, ack: answer.seq + 1, flags: 0x10 }));
  const [socket] = await accepted;
  socket.send(Buffer.from('hello'));
  const data = read(await wire.read());
  t.match(data, { flags: 0x10, seq: answer.seq + 1, payload: Buffer.from('hello') }, 'no PSH');
  await socket.close();
  t.match(read(await wire.read()), { flags: 0x04, ack: 0, seq: answer.seq + 6 });
  await stack.close();
  wire[Symbol.dispose]();
});
