/** Who takes accepted connections, and what happens to those that nobody takes. */
import { once } from 'node:events';
import t from 'tap';
import { CONNECTION } from '../../src/policy.js';
import type { Socket } from '../../src/index.js';
import { stackOnWire, stackPair, SERVER4, type Wire } from '../support/device.js';
import { tuple, until } from '../support/peer.js';
import { build, read } from '../support/segment.js';

const SYN = 2,
  RST = 4,
  ACK = 16;

/** The ACKs that complete the handshakes of clients, not sent yet. */
async function handshakes(wire: Wire, count: number): Promise<Buffer[]> {
  const acks: Buffer[] = [];
  for (let sourcePort = 1000; sourcePort < 1000 + count; sourcePort++) {
    wire.write(build({ ...tuple, sourcePort, seq: 0, ack: 0, flags: SYN }));
    const { seq } = read(await wire.read());
    acks.push(build({ ...tuple, sourcePort, seq: 1, ack: (seq + 1) >>> 0, flags: ACK }));
  }
  return acks;
}

t.test('no connection comes after `close`: what is being accepted is reset', { timeout: 10_000 }, async (t) => {
  const [stack, wire] = await stackOnWire();
  const listener = stack.listen({ port: 4567 });
  const acks = await handshakes(wire, 40);
  const story: string[] = [];
  listener.on('connection', () => {
    story.push('connection');
    listener.close();
  });
  listener.on('close', () => story.push('close'));
  for (const ack of acks) wire.write(ack);
  await until(() => story.includes('close'));
  const reset = new Set<number>();
  while (reset.size < 39) {
    const { flags, destinationPort } = read(await wire.read());
    t.equal(flags & RST, RST);
    reset.add(destinationPort);
  }
  await until(() => [...stack.sockets].length === 1);
  t.same(story, ['connection', 'close']);
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('connections that nobody takes wait for whoever comes', async (t) => {
  const [stack, wire] = await stackOnWire();
  const listener = stack.listen({ port: 4567 });
  for (const ack of await handshakes(wire, 3)) wire.write(ack);
  await until(() => [...stack.sockets].length === 3);
  const [first] = (await once(listener, 'connection')) as [Socket];
  t.equal(first.remotePort, 1000);
  for await (const socket of listener) {
    t.equal(socket.remotePort, 1001);
    break;
  }
  const ended = (async (): Promise<number> => {
    let more = 0;
    for await (const _ of listener) more++;
    return more;
  })();
  t.equal([...stack.sockets].length, 3);
  await new Promise((resolve) => setImmediate(resolve));
  listener.close();
  t.equal(await ended, 1);
  listener.close();
  await stack.close();
  wire[Symbol.dispose]();
});

t.test('what waits when the listener closes is reset, and one that failed meanwhile is handed to nobody', async (t) => {
  const [stack, wire] = await stackOnWire();
  const listener = stack.listen({ port: 4567 });
  for (const ack of await handshakes(wire, 3)) wire.write(ack);
  await until(() => [...stack.sockets].length === 3);
  wire.write(build({ ...tuple, sourcePort: 1000, seq: 1, ack: 0, flags: RST }));
  await until(() => [...stack.sockets].length === 2);
  const [socket] = (await once(listener, 'connection')) as [Socket];
  t.equal(socket.remotePort, 1001);
  listener.close();
  t.match(read(await wire.read()), { flags: RST, destinationPort: 1002 });
  t.same(
    [...stack.sockets].map(({ remotePort }) => remotePort),
    [1001],
  );
  await stack.close();
  wire[Symbol.dispose]();
});

t.test(`more than ${CONNECTION.backlog} that nobody takes are refused`, { timeout: 60_000 }, async (t) => {
  const [client, server] = await stackPair();
  const listener = server.listen({ port: 4567 });
  const refused: string[] = [];
  let opened = 0;
  for (; opened < CONNECTION.backlog; opened++) {
    const socket = await client.connect({ address: SERVER4, port: 4567 });
    socket.on('error', (error) => refused.push((error as NodeJS.ErrnoException).code ?? ''));
    await until(() => [...server.sockets].length > opened);
  }
  const late = await client.connect({ address: SERVER4, port: 4567 });
  t.match(await once(late, 'error'), [{ code: 'ECONNRESET' }]);
  t.equal(server.counters.dropped['flowsFull'], 1);
  t.same(refused, []);
  let taken = 0;
  listener.on('connection', () => taken++);
  await until(() => taken === CONNECTION.backlog);
  await Promise.all([client.close(), server.close()]);
});

t.test('a listener ends its iterators when it closes, and its port is free', async (t) => {
  const [stack, wire] = await stackOnWire();
  const listener = stack.listen({ port: 4567 });
  t.throws(() => stack.listen({ port: 4567 }), { code: 'EADDRINUSE' });
  const ended = (async (): Promise<string> => {
    for await (const _ of listener) return 'a connection';
    return 'ended';
  })();
  await listener[Symbol.asyncDispose]();
  t.equal(await ended, 'ended');
  t.equal(stack.listen({ port: 4567 }).port, 4567);
  await stack.close();
  wire[Symbol.dispose]();
});
