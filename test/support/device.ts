/** A device for stacks without root: a socketpair, or two stacks that face each other across one. */
import { createRequire } from 'node:module';
import { closeSync, readSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Stack, type StackOptions } from '../../src/index.js';

const addon = fileURLToPath(new URL('../../../build/Release/test_support.node', import.meta.url));
export const { socketpair } = createRequire(import.meta.url)(addon) as { socketpair: () => [number, number] };

export interface PairOptions extends Partial<Omit<StackOptions, 'device' | 'addresses'>> {
  readonly virtioHeader?: boolean;
  /** Of each stack. Default 1. */
  readonly workers?: number;
}

export const CLIENT4 = '10.1.0.1';
export const SERVER4 = '10.1.0.2';
export const CLIENT6 = 'fd01::1';
export const SERVER6 = 'fd01::2';

/** Two stacks on the two ends of socketpairs, one a worker. */
export async function stackPair({ virtioHeader = false, workers = 1, ...options }: PairOptions = {}): Promise<
  [Stack, Stack]
> {
  const pairs = Array.from({ length: workers }, () => socketpair());
  const device = (end: 0 | 1): StackOptions['device'] => ({
    descriptors: pairs.map((pair) => pair[end]),
    virtioHeader,
  });
  return [
    await Stack.open({ ...options, device: device(0), addresses: [CLIENT4, CLIENT6] }),
    await Stack.open({ ...options, device: device(1), addresses: [SERVER4, SERVER6] }),
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
