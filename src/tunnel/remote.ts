/** The server as a client knows it: a name whose addresses may change, and ways to reach one of them. */
import { setTimeout as delay } from 'node:timers/promises';
import { resolve, type HostPort } from '../addresses.js';
import type { Endpoint } from '../endpoint.js';
import type { Socket } from '../stack/socket.js';
import type { ConnectOptions, Stack } from '../stack/stack.js';

/** Milliseconds for which addresses are good: many connections are opened again at once. */
const FRESH = 2000;
/** Milliseconds that an address has before the next is tried beside it: RFC 8305 §5, "Connection Attempt Delay". */
const HEAD_START = 250;

export class Remote {
  readonly #name: HostPort;
  readonly #family: 4 | 6 | undefined;
  #known: readonly Endpoint[];
  #asked = performance.now();

  private constructor(name: HostPort, family: 4 | 6 | undefined, known: readonly Endpoint[]) {
    this.#name = name;
    this.#family = family;
    this.#known = known;
  }

  /** @throws {GuiseError} when the name has no address */
  static async resolve(name: HostPort, family?: 4 | 6): Promise<Remote> {
    return new Remote(name, family, await resolve(name, family));
  }

  /** The addresses as last resolved. */
  get known(): readonly Endpoint[] {
    return this.#known;
  }

  /** Opens a connection to the first address that answers. The name is resolved again; if that fails, the old ones do. */
  async connect(stack: Stack, options: Omit<ConnectOptions, 'address' | 'port'>): Promise<Socket> {
    if (performance.now() - this.#asked > FRESH) {
      this.#asked = performance.now();
      this.#known = await resolve(this.#name, this.#family).catch(() => this.#known);
    }
    return connectAny(stack, this.#known, options);
  }
}

async function connectAny(
  stack: Stack,
  endpoints: readonly Endpoint[],
  options: Omit<ConnectOptions, 'address' | 'port'>,
): Promise<Socket> {
  if (endpoints.length === 1) return stack.connect({ ...endpoints[0]!, ...options });
  const others = new AbortController();
  const signal = AbortSignal.any([others.signal, ...(options.signal ? [options.signal] : [])]);
  const attempts: Promise<Socket>[] = [];
  for (const [index, endpoint] of endpoints.entries()) {
    const before = attempts[index - 1];
    const turn = before
      ? Promise.race([delay(HEAD_START * index, undefined, { signal }), before.then(() => {}, () => {})])
      : Promise.resolve();
    attempts.push(turn.then(() => stack.connect({ ...endpoint, ...options, signal })));
  }
  try {
    const socket = await Promise.any(attempts);
    others.abort();
    for (const attempt of attempts) {
      attempt.then((each) => each === socket || each.resetAndDestroy(), () => {});
    }
    return socket;
  } catch (error) {
    throw (error as AggregateError).errors[0];
  }
}
