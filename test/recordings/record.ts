/**
 * Prints every packet of some connections, a line each: who sent it, and its bytes in hexadecimal. With chance fixed the
 * lines are the same in every run, so that they show whether the wire has changed.
 */
import { once } from 'node:events';
import { closeSync, readSync, writeSync } from 'node:fs';
import { Stack, type Profile, type Socket } from '../../src/index.js';
import { CLIENT4, CLIENT6, SERVER4, SERVER6, socketpair } from '../support/device.js';

interface Scene {
  readonly name: string;
  readonly profile: Profile;
  readonly family?: 4 | 6;
  readonly virtioHeader?: boolean;
  readonly end: 'client closes' | 'server closes' | 'client resets' | 'nobody listens';
}

const SCENES: readonly Scene[] = [
  { name: 'guise over IPv4, the client closes', profile: 'guise', end: 'client closes' },
  { name: 'guise over IPv6, the server closes', profile: 'guise', family: 6, end: 'server closes' },
  { name: 'guise with super-segments, the client resets', profile: 'guise', virtioHeader: true, end: 'client resets' },
  { name: 'phantun over IPv4, the client closes', profile: 'phantun', end: 'client closes' },
  { name: 'phantun over IPv6, the server closes', profile: 'phantun', family: 6, end: 'server closes' },
  { name: 'guise, nobody listens', profile: 'guise', end: 'nobody listens' },
];

/** What two stacks say to each other. */
class Line {
  readonly packets: string[] = [];
  readonly #ends: readonly [client: number, server: number];
  /** Each packet has a virtio_net_hdr in front, and may be a super-segment. */
  readonly virtioHeader: boolean;
  #timer: NodeJS.Immediate | undefined;

  constructor(ends: readonly [number, number], virtioHeader: boolean) {
    this.#ends = ends;
    this.virtioHeader = virtioHeader;
    this.#carry();
  }

  /** Waits until this many packets were carried. */
  async seen(count: number): Promise<void> {
    while (this.packets.length < count) await new Promise((resolve) => setImmediate(resolve));
  }

  stop(): void {
    clearImmediate(this.#timer);
    for (const end of this.#ends) closeSync(end);
  }

  #carry(): void {
    for (const [from, to, who] of [
      [this.#ends[0], this.#ends[1], 'client'],
      [this.#ends[1], this.#ends[0], 'server'],
    ] as const) {
      const buffer = Buffer.alloc(70_000);
      for (;;) {
        let size: number;
        try {
          size = readSync(from, buffer);
        } catch {
          break; // nothing more for now
        }
        if (size === 0) break;
        const packet = buffer.subarray(0, size);
        this.packets.push(`${who} ${packet.toString('hex')}`);
        writeSync(to, packet);
      }
    }
    this.#timer = setImmediate(() => this.#carry());
  }
}

/** Sends datagrams in one go, and waits until they were delivered and acknowledged. */
async function exchange(line: Line, from: Socket, to: Socket, sizes: readonly number[]): Promise<void> {
  const before = line.packets.length;
  const segments = line.virtioHeader ? 1 : sizes.length;
  let arrived = 0;
  const all = new Promise<void>((resolve) => {
    const take = (): void => {
      if (++arrived < sizes.length) return;
      to.off('message', take);
      resolve();
    };
    to.on('message', take);
  });
  sizes.forEach((size, index) => from.send(Buffer.alloc(size, 0x41 + index)));
  await all;
  await line.seen(before + segments + 1);
}

async function record({ name, profile, family = 4, virtioHeader = false, end }: Scene): Promise<void> {
  const [a, clientEnd] = socketpair();
  const [b, serverEnd] = socketpair();
  const line = new Line([clientEnd, serverEnd], virtioHeader);
  const open = (descriptor: number, addresses: string[]): Promise<Stack> =>
    Stack.open({ device: { descriptors: [descriptor], virtioHeader }, addresses });
  const client = await open(a, [CLIENT4, CLIENT6]);
  const server = await open(b, [SERVER4, SERVER6]);
  const remote = { address: family === 4 ? SERVER4 : SERVER6, port: 4567, profile };
  if (end === 'nobody listens') {
    await client.connect(remote).catch(() => undefined);
  } else {
    const accepted = once(server.listen({ port: 4567 }), 'connection') as Promise<[Socket]>;
    const here = await client.connect(remote);
    const [there] = await accepted;
    for (const socket of [here, there]) socket.on('error', () => {});
    await exchange(line, here, there, [100]);
    await exchange(line, there, here, [100]);
    await exchange(line, here, there, [200, 200, 7]);
    await exchange(line, there, here, [1, 1, 1]);
    const closed = Promise.all(
      [here, there].map((socket) => new Promise<void>((resolve) => socket.once('close', resolve))),
    );
    if (end === 'client resets') here.resetAndDestroy();
    else void (end === 'client closes' ? here : there).close();
    await closed;
  }
  console.log(`# ${name}`);
  for (const packet of line.packets) console.log(packet);
  await Promise.all([client.close(), server.close()]);
  line.stop();
}

for (const scene of SCENES) await record(scene);
