/**
 * Who listens where: local ends of which the address, the port or both may be any. The one that says most about a
 * packet's destination gets it: an address counts for more than a family of addresses, and that for more than any; of one
 * address, a port counts for more than any port.
 */

/**
 * Where something listens. Left out is any: of addresses `0.0.0.0` is any of IPv4, and `::` any of both families.
 *
 * @example
 * ```ts
 * import type { LocalEnd, UdpSocket } from 'guise/netstack';
 *
 * const portOf = ({ local }: UdpSocket): LocalEnd['port'] => local.port;
 * ```
 */
export interface LocalEnd {
  /** In the kernel's spelling. */
  readonly address: string | undefined;
  /** 1 to 65535. */
  readonly port: number | undefined;
}

const ANY_ADDRESS = '::';
const ANY_ADDRESS4 = '0.0.0.0';
/** No packet is for port 0. */
const ANY_PORT = 0;

export class EndTable<T> {
  readonly #byAddress = new Map<string, Map<number, T>>();

  /** Whether exactly this end is taken. */
  has({ address = ANY_ADDRESS, port = ANY_PORT }: LocalEnd): boolean {
    return this.#byAddress.get(address)?.has(port) ?? false;
  }

  /** Adds one where nobody is. */
  add({ address = ANY_ADDRESS, port = ANY_PORT }: LocalEnd, value: T): void {
    const ports = this.#byAddress.get(address) ?? new Map<number, T>();
    this.#byAddress.set(address, ports.set(port, value));
  }

  remove({ address = ANY_ADDRESS, port = ANY_PORT }: LocalEnd): void {
    const ports = this.#byAddress.get(address);
    ports?.delete(port);
    if (ports?.size === 0) this.#byAddress.delete(address);
  }

  /** Who gets what is for this address and port; nobody gets what is for port 0. */
  find(address: string, port: number): T | undefined {
    if (port === 0) return undefined;
    return (
      this.#at(address, port) ??
      (address.includes(':') ? undefined : this.#at(ANY_ADDRESS4, port)) ??
      this.#at(ANY_ADDRESS, port)
    );
  }

  *values(): Generator<T, void, void> {
    for (const ports of this.#byAddress.values()) yield* ports.values();
  }

  #at(address: string, port: number): T | undefined {
    const ports = this.#byAddress.get(address);
    return ports && (ports.get(port) ?? ports.get(ANY_PORT));
  }
}
