/** A stack without a device: its packets as something to iterate over, and as Web streams. */
import { ReadableStream, WritableStream } from 'node:stream/web';
import type { PacketPort } from '../native/packet_port.js';

/** Whoever waits for packets that leave. Each packet goes to one. */
export class Packets implements AsyncIterable<Uint8Array> {
  readonly #port: PacketPort;
  #waiting: (() => void)[] = [];
  /** What had left when the stack was closed. */
  #last: Uint8Array[] | undefined;

  constructor(port: PacketPort) {
    this.#port = port;
    port.onWritten(() => this.#wake());
  }

  /** The next packet that leaves; undefined when the stack is closed. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#last) return this.#last.shift();
      const packet = this.#port.take();
      if (packet) return packet;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The port is about to be closed. */
  close(): void {
    this.#last = [];
    for (let packet = this.#port.take(); packet; packet = this.#port.take()) this.#last.push(packet);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (let packet = await this.next(); packet; packet = await this.next()) yield packet;
  }

  get readable(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const packet = await this.next();
          if (packet) controller.enqueue(packet);
          else controller.close();
        },
      },
      // What nobody has asked for stays in the port.
      { highWaterMark: 0 },
    );
  }

  writable(feed: (packet: Uint8Array) => void): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({ write: (packet) => feed(packet) });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) each();
  }
}
