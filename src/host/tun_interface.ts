/** The host's end of the TUN interface: its addresses, its routes, its MTU, up. All of it goes with the interface. */
import { guiseError } from '../errors.js';
import { isSetUp } from '../native/process.js';
import { HOST } from '../policy.js';
import { run } from './command.js';
import type { TunAddresses } from './look/interfaces.js';
import { readTunState } from './look/tun.js';
import type { HostPart } from './upkeep.js';

export class TunInterface implements HostPart {
  readonly #name: string;
  readonly #addresses: TunAddresses;
  readonly #mtu: number;
  #wasSetUp = false;

  /** @param mtu in bytes */
  constructor(name: string, addresses: TunAddresses, mtu: number) {
    this.#name = name;
    this.#addresses = addresses;
    this.#mtu = mtu;
  }

  /**
   * Changes nothing where all is as it should be: a persistent interface that was prepared for a user needs no right of
   * this process.
   *
   * @throws {GuiseError} ERR_GUISE_ROUTE when the route to the stack leads elsewhere nevertheless, but for the first time
   */
  async ensure(): Promise<string[]> {
    const { local4, peer4, local6, peer6 } = this.#addresses;
    const six = local6 ? `, ${local6} -> ${peer6}` : '';
    const done = `interface ${this.#name}: ${local4} -> ${peer4}${six}, MTU ${this.#mtu}`;
    const first = !this.#wasSetUp;
    const intact = this.#astray() === undefined;
    if (!intact) await this.#setUp();
    this.#wasSetUp = true;
    if (first) return [done];
    if (intact) return [];
    const peer = this.#astray();
    if (peer !== undefined) throw guiseError('ERR_GUISE_ROUTE', { peer, tun: this.#name });
    return [`${done} again: others had changed it`];
  }

  /** Everything goes with the interface. */
  async [Symbol.asyncDispose](): Promise<void> {}

  /** An address of the stack's that the host's packets do not find. */
  #astray(): string | undefined {
    const { peer4, peer6 } = this.#addresses;
    return [peer4, ...(peer6 === undefined ? [] : [peer6])].find((peer) => !isSetUp(this.#name, this.#mtu, peer));
  }

  async #setUp(): Promise<void> {
    const { local4, peer4, local6, peer6 } = this.#addresses;
    const dev = `dev ${this.#name}`;
    // The kernel adds a route with an address, and none where the address is there already: then it takes ours, which is
    // the same.
    const lines = [
      `link set ${dev} mtu ${this.#mtu} txqueuelen ${HOST.tunQueueLength} up`,
      `address replace ${local4} peer ${peer4}/32 ${dev}`,
      `route replace ${peer4}/32 ${dev} proto kernel scope link src ${local4}`,
    ];
    if (local6 && peer6) {
      lines.push(
        `address replace ${local6} peer ${peer6}/128 ${dev}`,
        `route replace ${peer6}/128 ${dev} proto kernel metric 256`,
      );
    }
    await run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
  }
}

/** @throws {GuiseError} ERR_GUISE_INTERFACE_TAKEN */
export async function refuseTakenTun(name: string): Promise<void> {
  if ((await readTunState(name)) === 'taken') throw guiseError('ERR_GUISE_INTERFACE_TAKEN', { name });
}
