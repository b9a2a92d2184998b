/** The client's side: from a remote address to a Socket, whichever profile the server has. */
import { randomInt } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import { systemError } from '../errors.js';
import { NO_WAY, type Engine } from '../native/engine.js';
import type { Segment } from '../native/types.js';
import { ACK } from '../wire/flags.js';
import { encodeTuple, tupleKey, type TupleBytes } from '../wire/tuple.js';
import { ActiveOpen, type OpenOutcome, type OpenStep } from './active_open.js';
import type { ConnectSettings } from './options.js';
import { PHANTUN_ISN, type Profile } from '../wire/profile.js';
import type { FlowInit } from './flow.js';
import { headersOf } from './path_mtu.js';
import type { Socket } from './socket.js';
import type { LocalEnds } from './local_ends.js';

export interface ConnectorOptions {
  readonly engine: Engine;
  readonly ends: LocalEnds;
  readonly maxPayload: (family: 4 | 6, profile: Profile) => number;
  /** Bytes of the largest IP packet. */
  readonly mtu: number;
  /** Whether a socket has the tuple of this key. */
  readonly isTaken: (key: string) => boolean;
  /** Makes the Socket, whose peer has to show signs of life. */
  readonly adopt: (init: FlowInit) => Socket;
}

/** How an attempt ends that has neither a socket nor an error. */
type Refusal = 'refused' | 'mistaken';

/** A connection between its SYN and its Socket. */
interface Opening {
  receive(segment: Segment): void;
  abort(): void;
}

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #opening = new Map<string, Opening>();
  /** What servers turned out to have, by `formatEndpoint`. */
  readonly #profiles = new Map<string, Profile>();
  #closed = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** As `Stack.connect`. */
  async connect(options: ConnectSettings): Promise<Socket> {
    const remote = { address: options.address, port: options.port };
    const name = formatEndpoint(remote);
    const found =
      options.profile === 'auto'
        ? await this.#find(remote, this.#profiles.get(name) ?? 'guise', options)
        : await this.#attempt(remote, options.profile, options);
    if (typeof found === 'string') throw systemError('ECONNREFUSED', 'connect', remote);
    this.#profiles.set(name, found.profile);
    return found;
  }

  /** Whether a segment of no flow belongs to a connection that is being opened, which then has it. */
  receive(segment: Segment): boolean {
    const opening = this.#opening.get(segment.key);
    opening?.receive(segment);
    return opening !== undefined;
  }

  /** Ends what is being opened with ECONNABORTED; opens nothing any more. */
  close(): void {
    this.#closed = true;
    for (const opening of [...this.#opening.values()]) opening.abort();
  }

  /**
   * Finds out which profile the server has. phantun refuses a SYN with a random ISN, and answers its own with ISN 0. Who
   * answers that one with another ISN is guise, and was not there yet when guise's SYN came; or phantun, behind
   * something that changes its numbers.
   */
  async #find(remote: Endpoint, first: Profile, options: ConnectSettings): Promise<Socket | Refusal> {
    let found = await this.#attempt(remote, first, options, PHANTUN_ISN);
    if (found === 'refused') {
      found = await this.#attempt(remote, first === 'guise' ? 'phantun' : 'guise', options, PHANTUN_ISN);
    }
    if (found === 'mistaken') {
      found = await this.#attempt(remote, 'guise', options);
      if (found === 'refused') found = await this.#attempt(remote, 'phantun', options);
    }
    return found;
  }

  /** @param phantunIsn the ISN that a server has to have when it is asked as phantun */
  async #attempt(
    remote: Endpoint,
    profile: Profile,
    options: ConnectSettings,
    phantunIsn?: number,
  ): Promise<Socket | Refusal> {
    const { timeout, worker, signal } = options;
    signal?.throwIfAborted();
    if (this.#isClosed()) throw systemError('ECONNABORTED', 'connect', remote);
    const end = this.#options.ends.open(remote, (local) => this.#isInUse(local, remote));
    const tuple = encodeTuple(end.local, remote);
    const phantun = profile === 'phantun';
    const open = new ActiveOpen({
      profile,
      iss: phantun ? PHANTUN_ISN : randomInt(2 ** 32),
      mss: this.#mss(remote),
      limit: timeout,
      expected: phantun ? phantunIsn : undefined,
    });
    const key = tupleKey(tuple);
    let established: Socket | undefined;
    try {
      const { outcome, way } = await this.#drive(open, tuple, worker, signal);
      // The stack may have been closed between the answer and this line.
      if (!outcome || this.#isClosed()) throw systemError('ECONNABORTED', 'connect', remote);
      if (outcome.type === 'timedOut') throw systemError('ETIMEDOUT', 'connect', remote);
      if (outcome.type !== 'established') return outcome.type;
      established = this.#establish(remote, tuple, outcome, { worker, way, release: end.release });
      return established;
    } finally {
      if (!established) end.release();
      // Not before the socket has the tuple: other connections are opened in between.
      this.#opening.delete(key);
    }
  }

  #establish(
    remote: Endpoint,
    tuple: TupleBytes,
    { sendNext, receiveNext, profile, options }: Extract<OpenOutcome, { type: 'established' }>,
    { worker, way, release }: { worker: number; way: bigint; release: () => void },
  ): Socket {
    const maxPayload = this.#options.maxPayload(familyOf(remote.address), profile);
    const id = this.#options.engine.openFlow(tuple, {
      worker,
      sendNext,
      receiveNext,
      maxPayload,
      push: profile === 'guise',
      // phantun never acknowledges the first data, so there is nothing to wait for.
      limitInitialWindow: profile === 'guise',
      way,
    });
    if (id < 0) throw systemError(id, 'connect', remote);
    this.#options.engine.sendControl(id, ACK);
    return this.#options.adopt({
      id,
      worker,
      key: tupleKey(tuple),
      profile,
      scaled: options.scaled,
      peerMss: options.mss,
      maxPayload,
      early: [],
      accepted: false,
      release,
    });
  }

  /** How it went, or undefined when the stack was closed meanwhile; and the way of the last answer. */
  #drive(
    open: ActiveOpen,
    tuple: TupleBytes,
    worker: number,
    signal: AbortSignal | undefined,
  ): Promise<{ outcome: OpenOutcome | undefined; way: bigint }> {
    const key = tupleKey(tuple);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let way = NO_WAY;
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal!.reason as Error);
      };
      const end = (outcome?: OpenOutcome): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        resolve({ outcome, way });
      };
      const take = ({ send, wait, outcome }: OpenStep): void => {
        if (send) this.#options.engine.sendSegment(worker, tuple, send);
        if (wait !== undefined) timer = setTimeout(() => take(open.timeout()), wait);
        if (outcome) end(outcome);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const receive = (segment: Segment): void => {
        ({ way } = segment);
        take(open.segment(segment));
      };
      this.#opening.set(key, { receive, abort: end });
      take(open.start());
    });
  }

  /** Bytes of the largest segment that can come back, as far as this host knows. */
  #mss(remote: Endpoint): number {
    const { mtu, ends } = this.#options;
    return Math.min(mtu, ends.routeMtu(remote) ?? mtu) - headersOf(familyOf(remote.address));
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #isInUse(local: Endpoint, remote: Endpoint): boolean {
    const key = tupleKey(encodeTuple(local, remote));
    return this.#opening.has(key) || this.#options.isTaken(key);
  }
}

function familyOf(address: string): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}
