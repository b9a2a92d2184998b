import { EventEmitter } from 'node:events';
import { guiseError, type GuiseError } from '../../errors.js';
import { checkBytes } from '../../kit/arguments.js';
import type { Endpoint } from '../../wire/endpoint.js';
import { SessionFlow } from './session_flow.js';

/**
 * What a {@link UdpSession} emits.
 *
 * @example
 * ```ts
 * import type { UdpSession, UdpSessionEvents } from 'guise/netstack';
 *
 * declare const session: UdpSession;
 * const answer = (...[data]: UdpSessionEvents['message']): void => session.send(data);
 * session.on('message', answer);
 * ```
 */
export interface UdpSessionEvents {
  /** The next datagram of the peer. */
  message: [data: Buffer];
  /** What was sent does not arrive, as the peer or a router says: ECONNREFUSED, EHOSTUNREACH … The session goes on. */
  unreachable: [error: GuiseError];
  /** It was closed, was idle for too long, or had to make room. Once and last. */
  close: [];
}

/** Makes the UdpSession of a flow. */
export let createUdpSession: (flow: SessionFlow) => UdpSession;

/**
 * Datagrams between one peer and one address and port that it has dialled. Sessions come from {@link UdpSocket.sessions}.
 *
 * What comes waits, bounded to 1 MiB, for listeners of `'message'` or for an iterator; a reader that is slow loses the
 * oldest ({@link receiveDrops}). Events: see {@link UdpSessionEvents}.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' } });
 * for await (const session of stack.udp({ port: 53 }).sessions({ idleTimeout: 30_000 })) {
 *   console.log(`${session.source.address} asks ${session.destination.address}`);
 *   session.on('message', (data) => session.send(data));
 * }
 * ```
 */
export class UdpSession extends EventEmitter<UdpSessionEvents> implements AsyncIterable<Buffer> {
  static {
    createUdpSession = (flow) => new UdpSession(flow);
  }

  readonly #flow: SessionFlow;

  private constructor(flow: SessionFlow) {
    super();
    if (!((flow as unknown) instanceof SessionFlow))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'UdpSession', how: '`UdpSocket.sessions`' });
    this.#flow = flow;
    flow.emitter = this;
  }

  /** The peer, who sends. */
  get source(): Endpoint {
    return this.#flow.source;
  }

  /** What the peer has dialled: the stack's end. */
  get destination(): Endpoint {
    return this.#flow.destination;
  }

  get closed(): boolean {
    return this.#flow.ended;
  }

  /** Datagrams dropped because nobody took them in time. */
  get receiveDrops(): number {
    return this.#flow.inbox.dropped;
  }

  /**
   * Sends a datagram to the peer, from what it has dialled.
   *
   * @param data 0 to 65 507 bytes, over IPv6 to 65 527; in fragments where the path takes less
   * @throws {GuiseError} EMSGSIZE, ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  send(data: Uint8Array): void {
    this.#flow.send(checkBytes('data', data));
  }

  /** Ends it. The peer's next datagram makes a new one. Idempotent. */
  close(): void {
    this.#flow.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** The peer's datagrams as they come. The session's end ends it, after what waits. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Buffer> {
    return this.#flow.inbox.iterate();
  }
}
