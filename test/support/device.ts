/** A device for stacks without root: a socketpair, or two stacks that face each other across one. */
import { createRequire } from 'node:module';
import { closeSync, readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Stack, type StackOptions } from '../../src/index.js';

const addon = fileURLToPath(new URL('../../../build/Release/test_support.node', import.meta.url));
export const { socketpair } = createRequire(import.meta.url)(addon) as { socketpair(): [number, number] };

export interface PairOptions extends Partial<Omit<StackOptions, 'device' | 'addresses'>> {
  readonly virtioHeader?: boolean;
}

export const CLIENT4 = '10.1.0.1';
export const SERVER4 = '10.1.0.2';
export const CLIENT6 = 'fd01::1';
export const SERVER6 = 'fd01::2';

/** Two stacks on the two ends of a socketpair. */
export async function stackPair({ virtioHeader = false, ...options }: PairOptions = {}): Promise<[Stack, Stack]> {
  const [a, b] = socketpair();
  return [
    await Stack.open({ ...options, device: { descriptors: [a], virtioHeader }, addresses: [CLIENT4, CLIENT6] }),
    await Stack.open({ ...options, device: { descriptors: [b], virtioHeader }, addresses: [SERVER4, SERVER6] }),
  ];
}

/** The far end of a stack's device, as raw IP packets. */
export class Wire implements Disposable {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(packet: Uint8Array): void {
    writeSync(this.#fd, packet);
  }

  /** The next packet; waits for it. */
  async read(): Promise<Buffer> {
    const buffer = Buffer.alloc(65_600);
    for (;;) {
      try {
        return buffer.subarray(0, readSync(this.#fd, buffer));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** A stack at the server's address, and the wire that leads to it. */
export async function stackOnWire(options: PairOptions = {}): Promise<[Stack, Wire]> {
  const [a, b] = socketpair();
  const stack = await Stack.open({ ...options, device: { descriptors: [a] }, addresses: [SERVER4, SERVER6] });
  return [stack, new Wire(b)];
}
