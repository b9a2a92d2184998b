/** What paths to other hosts carry in one packet, where a router has said that it is less than the link (RFC 1191, 8201). */
import { NETSTACK_UDP } from '../../policy.js';

interface Known {
  readonly mtu: number;
  /** Milliseconds. */
  readonly until: number;
}

export class PathMtus {
  /** By the other host's address; the first came first. */
  readonly #known = new Map<string, Known>();

  /** A router says that no more than `mtu` bytes pass to an address. */
  learn(address: string, mtu: number, now: number): void {
    const { leastMtu4, leastMtu6, pathMemory, paths } = NETSTACK_UDP;
    const least = address.includes(':') ? leastMtu6 : leastMtu4;
    this.#known.delete(address);
    if (this.#known.size === paths) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(address, { mtu: Math.max(mtu, least), until: now + pathMemory });
  }

  /** Bytes of the largest packet to an address; 0: as large as the link takes. */
  of(address: string, now: number): number {
    if (this.#known.size === 0) return 0;
    const known = this.#known.get(address);
    if (!known) return 0;
    if (known.until > now) return known.mtu;
    this.#known.delete(address);
    return 0;
  }
}
