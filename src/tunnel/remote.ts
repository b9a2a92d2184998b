/** What --remote names: addresses that may change, and ways to reach one of them. */
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { resolve, type HostPort } from '../config/addresses.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { ConnectOptions } from '../fake_tcp/options.js';
import type { Stack } from '../fake_tcp/stack.js';
import { NAMES } from '../policy.js';

type Endpoints = readonly [Endpoint, ...Endpoint[]];

export class Remote {
  readonly #name: HostPort;
  readonly #family: 4 | 6 | undefined;
  #known: Endpoints;
  /** What the look-up before the last came with. */
  #before: Endpoints;
  #askedAt = performance.now();
  #lookUp: Promise<void> | undefined;

  private constructor(name: HostPort, family: 4 | 6 | undefined, known: Endpoints) {
    this.#name = name;
    this.#family = family;
    this.#known = known;
    this.#before = known;
  }

  /** @throws {GuiseError} when the name has no address */
  static async resolve(name: HostPort, family?: 4 | 6): Promise<Remote> {
    return new Remote(name, family, await resolve(name, family));
  }

  /** The addresses as last resolved. */
  get known(): Endpoints {
    return this.#known;
  }

  /** The addresses, resolved again if that was a while ago; the old ones when the resolver fails or takes long. */
  async fresh(): Promise<Endpoints> {
    if (performance.now() - this.#askedAt > NAMES.fresh) void this.#resolve();
    if (this.#lookUp) await Promise.race([this.#lookUp, delay(NAMES.patience, undefined, { ref: false })]);
    return this.#known;
  }

  /** Resolves the name each `interval` milliseconds and calls `onLookUp` then. An address instead of a name stays. */
  async watch({
    interval,
    signal,
    onLookUp,
  }: {
    interval: number;
    signal: AbortSignal;
    onLookUp: () => void;
  }): Promise<void> {
    if (isIP(this.#name.host)) return;
    while (await delay(interval, true, { signal, ref: false }).catch(() => false)) {
      await this.#resolve();
      onLookUp();
    }
  }

  /** Whether the last two look-ups came without an address. */
  hasLost(address: string): boolean {
    return ![...this.#before, ...this.#known].some((each) => each.address === address);
  }

  /** Opens a connection to the first address that answers. */
  async connect(stack: Stack, options: Omit<ConnectOptions, 'address' | 'port'>): Promise<Socket> {
    return connectAny(stack, await this.fresh(), options);
  }

  #resolve(): Promise<void> {
    this.#lookUp ??= (async () => {
      this.#askedAt = performance.now();
      const found = await resolve(this.#name, this.#family).catch(() => undefined);
      if (found) [this.#before, this.#known] = [this.#known, found];
      this.#lookUp = undefined;
    })();
    return this.#lookUp;
  }
}

async function connectAny(
  stack: Stack,
  endpoints: Endpoints,
  options: Omit<ConnectOptions, 'address' | 'port'>,
): Promise<Socket> {
  if (endpoints.length === 1) return stack.connect({ ...endpoints[0], ...options });
  const others = new AbortController();
  const signal = AbortSignal.any([others.signal, ...(options.signal ? [options.signal] : [])]);
  const attempts: Promise<Socket>[] = [];
  for (const [index, endpoint] of endpoints.entries()) {
    const before = attempts[index - 1];
    const turn = before
      ? Promise.race([
          delay(NAMES.headStart * index, undefined, { signal }),
          before.then(
            () => {},
            () => {},
          ),
        ])
      : Promise.resolve();
    attempts.push(turn.then(() => stack.connect({ ...endpoint, ...options, signal })));
  }
  try {
    const socket = await Promise.any(attempts);
    others.abort();
    for (const attempt of attempts) {
      attempt.then(
        (each) => each === socket || each.resetAndDestroy(),
        () => {},
      );
    }
    return socket;
  } catch (error) {
    throw (error as AggregateError).errors[0];
  }
}
