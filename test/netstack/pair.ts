/** Two stacks without a device that exchange their packets: needs no root. */
import { Netstack, type NetstackOptions } from '../../src/netstack/index.js';

export const A4 = '10.0.0.1';
export const B4 = '10.0.0.2';
export const A6 = 'fd00::1';
export const B6 = 'fd00::2';

export class Pair implements AsyncDisposable {
  readonly a: Netstack;
  readonly b: Netstack;

  private constructor(a: Netstack, b: Netstack) {
    this.a = a;
    this.b = b;
  }

  /** @param passes whether a packet arrives; `from` says who sent it */
  static async open(
    { a = {}, b = {} }: { a?: NetstackOptions; b?: NetstackOptions } = {},
    passes: (packet: Uint8Array, from: 'a' | 'b') => boolean = () => true,
  ): Promise<Pair> {
    const pair = new Pair(
      await Netstack.open({ addresses: [A4, A6], ...a }),
      await Netstack.open({ addresses: [B4, B6], ...b }),
    );
    void carry(pair.a, pair.b, (packet) => passes(packet, 'a'));
    void carry(pair.b, pair.a, (packet) => passes(packet, 'b'));
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a.close(), this.b.close()]);
  }
}

async function carry(from: Netstack, to: Netstack, passes: (packet: Uint8Array) => boolean): Promise<void> {
  for await (const packet of from.packets) if (passes(packet)) to.feed(packet);
}
