/**
 * Connections that are opened, used and idle out, many times over: memory and descriptors have to come back to where
 * they were. A program of its own, for a heap of its own:
 *
 *     node --expose-gc dist/test/fake_tcp/leaks.js FLOWS ROUNDS
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { SERVER4, stackPair } from '../support/device.js';

/** Opened at once: more would overrun the socketpair between the stacks. */
const AT_ONCE = 200;
/** Rounds after which heaps and pools have their size. */
const WARM_UP = 3;

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const residentKiB = (): number => Number(/VmRSS:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]);

const [flows = 2000, rounds = 4] = process.argv.slice(2).map(Number);
const sink = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 }).bind(0, '127.0.0.1');
await once(sink, 'listening');
let arrived = 0;
sink.on('message', () => arrived++);
const backend = { address: '127.0.0.1', port: sink.address().port };

const [client, server] = await stackPair({ idleTimeout: 1000, virtioHeader: true });
server.listen({ port: 4567 }).on('connection', (socket) => {
  socket.on('error', () => {});
  socket.spliceUdp(backend);
});

let before = { memory: 0, descriptors: 0 };
let after = before;
for (let round = 0; round < rounds + WARM_UP; round++) {
  for (let opened = 0; opened < flows; opened += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, () => client.connect({ address: SERVER4, port: 4567 }));
    for (const socket of await Promise.all(batch)) {
      socket.on('error', () => {});
      socket.send(Buffer.from('used'));
    }
  }
  while ([...client.sockets].length + [...server.sockets].length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  globalThis.gc!();
  after = { memory: residentKiB(), descriptors: descriptors() };
  if (round < WARM_UP) before = after;
  process.stderr.write(`round ${round}: ${after.memory} KiB, ${after.descriptors} descriptors, ${arrived} arrived\n`);
}
process.stdout.write(JSON.stringify({ before, after, arrived, opened: flows * (rounds + WARM_UP) }));
process.exit(0);
