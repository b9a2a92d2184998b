/** Who listens where. Of several that a segment may be for, the one that says most exactly where. */
import { isIPv4 } from 'node:net';

/** Undefined: any. The address `0.0.0.0` is any of IPv4, `::` any of both families. */
export interface Place {
  readonly address: string | undefined;
  readonly port: number | undefined;
}

const ANY4 = '0.0.0.0';
const ANY = '::';

export class ListenerTable<T> {
  /** By port, 0 for any, and address. */
  readonly #listeners = new Map<number, Map<string, T>>();

  /** Whether the place was free. */
  add(place: Place, listener: T): boolean {
    const [port, address] = keysOf(place);
    let there = this.#listeners.get(port);
    if (!there) this.#listeners.set(port, (there = new Map<string, T>()));
    if (there.has(address)) return false;
    there.set(address, listener);
    return true;
  }

  remove(place: Place): void {
    const [port, address] = keysOf(place);
    const there = this.#listeners.get(port);
    there?.delete(address);
    if (there?.size === 0) this.#listeners.delete(port);
  }

  /** An address goes before any address, and that before any port. */
  find(address: string, port: number): T | undefined {
    return at(this.#listeners.get(port), address) ?? at(this.#listeners.get(0), address);
  }

  get all(): T[] {
    return [...this.#listeners.values()].flatMap((there) => [...there.values()]);
  }
}

function keysOf({ address = ANY, port = 0 }: Place): [number, string] {
  return [port, address];
}

function at<T>(there: Map<string, T> | undefined, address: string): T | undefined {
  if (!there) return undefined;
  return there.get(address) ?? (isIPv4(address) ? there.get(ANY4) : undefined) ?? there.get(ANY);
}
