/** The far end of a connection, made of single segments: it does what no honest peer does. */
import { once } from 'node:events';
import type { Socket, Stack } from '../../src/index.js';
import { CLIENT4, SERVER4, type Wire } from './device.js';
import { build, read, type TestSegment } from './segment.js';

const SYN = 2,
  ACK = 16;

/** From the peer to the stack's port 4567. */
export const tuple = { source: CLIENT4, destination: SERVER4, sourcePort: 40_000, destinationPort: 4567 };

export interface Accepted {
  readonly socket: Socket;
  /** What the peer sends and acknowledges next. */
  readonly seq: number;
  readonly ack: number;
  /** Writes a segment of the connection. */
  readonly write: (segment: Partial<TestSegment>) => void;
}

/** Opens a connection to a stack, which listens for it. */
export async function accept(stack: Stack, wire: Wire, syn: Partial<TestSegment> = {}): Promise<Accepted> {
  const isn = syn.seq ?? 1000;
  const accepted = once(stack.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
  wire.write(build({ ...tuple, ack: 0, flags: SYN, ...syn, seq: isn }));
  let answer = read(await wire.read());
  while ((answer.flags & SYN) === 0) answer = read(await wire.read());
  const numbers = { seq: isn + 1, ack: (answer.seq + 1) >>> 0 };
  const write = (segment: Partial<TestSegment>): void =>
    wire.write(build({ ...tuple, ...numbers, flags: ACK, ...segment }));
  write({});
  const [socket] = await accepted;
  return { socket, ...numbers, write };
}

/** Connects a client to port 4567 of a server. What the first datagram is does not matter: it opens the connection. */
export async function connectPair(client: Stack, server: Stack): Promise<[here: Socket, there: Socket]> {
  const accepted = once(server.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
  const here = await client.connect({ address: SERVER4, port: 4567 });
  const [there] = await accepted;
  return [here, there];
}

/** Waits for a condition, turn by turn. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
