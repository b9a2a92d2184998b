/** What the remote name of a tunnel leads to: addresses that may change, and ways to reach one of them. */
import { isIP } from 'node:net';
import { SYSTEM_CLOCK, type Clock } from '../clock.js';
import { resolve } from './resolve.js';
import type { ConnectOptions } from '../fake_tcp/options.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { Log } from '../observe/log.js';
import { guiseError, GuiseError } from '../errors.js';
import { NAMES } from '../policy.js';
import { formatEndpoint, type Endpoint, type HostPort } from '../wire/endpoint.js';

type Endpoints = readonly [Endpoint, ...Endpoint[]];

/** Finds the addresses of a name, best first; rejects with a GuiseError when there is none. */
export type LookUp = (name: HostPort, family?: 4 | 6) => Promise<Endpoints>;

/** Opens a connection: a Stack. */
export interface ConnectionSource {
  connect(options: ConnectOptions): Promise<Socket>;
}

export interface RemoteOptions {
  readonly name: HostPort;
  /** Addresses of this family only. */
  readonly family?: 4 | 6 | undefined;
  /** Default: the system's resolver. */
  readonly lookUp?: LookUp | undefined;
  readonly clock?: Clock | undefined;
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined;
  /** Is told that the name is waited for, and where it leads then. */
  readonly log?: Pick<Log, 'info' | 'warn'> | undefined;
}

export class Remote {
  readonly #name: HostPort;
  readonly #family: 4 | 6 | undefined;
  readonly #lookUp: LookUp;
  readonly #clock: Clock;
  #known: Endpoints;
  /** What the look-up before the last came with. */
  #before: Endpoints;
  #askedAt: number;
  #asking: Promise<void> | undefined;

  private constructor({ name, family, lookUp = resolve, clock = SYSTEM_CLOCK }: RemoteOptions, known: Endpoints) {
    this.#name = name;
    this.#family = family;
    this.#lookUp = lookUp;
    this.#clock = clock;
    this.#known = known;
    this.#before = known;
    this.#askedAt = clock.now();
  }

  /**
   * Waits for the network and the resolver.
   *
   * @throws {GuiseError} when the name has no address; the reason of the signal when it aborts
   */
  static async resolve(options: RemoteOptions): Promise<Remote> {
    return new Remote(options, await firstAnswer(options));
  }

  /** The addresses as last resolved. */
  get known(): Endpoints {
    return this.#known;
  }

  /** The addresses, resolved again if that was a while ago; the old ones when the resolver fails or takes long. */
  async fresh(): Promise<Endpoints> {
    if (this.#clock.now() - this.#askedAt > NAMES.fresh) void this.#ask();
    if (this.#asking) await Promise.race([this.#asking, this.#clock.wait(NAMES.patience)]);
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
    while (await this.#clock.wait(interval, signal)) {
      await this.#ask();
      onLookUp();
    }
  }

  /** Whether the last two look-ups came without an address. */
  hasLost(address: string): boolean {
    return ![...this.#before, ...this.#known].some((each) => each.address === address);
  }

  /**
   * Opens a connection to the first address that answers: each next one is tried as soon as those before have failed,
   * or beside them after a while.
   *
   * @throws {GuiseError} of the best address when none answers
   */
  async connect(source: ConnectionSource, options: Omit<ConnectOptions, 'address' | 'port'>): Promise<Socket> {
    const endpoints = await this.fresh();
    if (endpoints.length === 1) return source.connect({ ...endpoints[0], ...options });
    const others = new AbortController();
    const signal = AbortSignal.any([others.signal, ...(options.signal ? [options.signal] : [])]);
    const attempts: Promise<Socket>[] = [];
    for (const [index, endpoint] of endpoints.entries()) {
      const turn = Promise.race([failure(attempts[index - 1]), this.#clock.wait(NAMES.headStart * index, signal)]);
      const attempt = async (): Promise<Socket> => {
        await turn;
        signal.throwIfAborted();
        return source.connect({ ...endpoint, ...options, signal });
      };
      attempts.push(attempt());
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

  #ask(): Promise<void> {
    this.#asking ??= (async () => {
      this.#askedAt = this.#clock.now();
      const found = await this.#lookUp(this.#name, this.#family).catch(() => undefined);
      if (found) [this.#before, this.#known] = [this.#known, found];
      this.#asking = undefined;
    })();
    return this.#asking;
  }
}

/** Asks until somebody knows. */
async function firstAnswer(options: RemoteOptions): Promise<Endpoints> {
  const { name, family, lookUp = resolve, clock = SYSTEM_CLOCK, signal = new AbortController().signal, log } = options;
  let said = '';
  const say = ({ message }: Error): void => {
    if (said !== message) log?.warn(`${message} Waiting for it.`);
    said = message;
  };
  const aborted = abortOf(signal);
  for (let wait: number = NAMES.firstRetry; ; wait = Math.min(2 * wait, NAMES.longestRetry)) {
    const asked = new AbortController();
    try {
      const answer = Promise.race([lookUp(name, family), aborted]);
      void clock.wait(NAMES.lookUpPatience, asked.signal).then((long) => long && say(noAnswer(name)));
      const found = await answer;
      if (said !== '') log?.info(`"${name.host}" leads to ${found.map(formatEndpoint).join(', ')}`);
      return found;
    } catch (error) {
      if (signal.aborted || !(error instanceof GuiseError) || error.code !== 'ERR_GUISE_NAME_UNKNOWN_YET') throw error;
      say(error);
    } finally {
      asked.abort();
    }
    await clock.wait(wait, signal);
    signal.throwIfAborted();
  }
}

function noAnswer({ host }: HostPort): GuiseError {
  return guiseError('ERR_GUISE_NAME_UNKNOWN_YET', { host, why: 'no answer' });
}

/** Rejects when the signal aborts. */
function abortOf(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  aborted.catch(() => {}); // whoever races with it hears of it
  return aborted;
}

/** Resolves when an attempt has failed, or at once where there is none. */
async function failure(attempt: Promise<unknown> | undefined): Promise<void> {
  if (!attempt) return;
  await new Promise<void>((resolve) => {
    attempt.catch(() => resolve());
  });
}
