import { EventEmitter } from 'node:events';
import { guiseError, type GuiseError } from '../../errors.js';
import { checkBytes, checkInteger, checkMilliseconds, checkObject } from '../../kit/arguments.js';
import { NETSTACK_UDP } from '../../policy.js';
import type { Endpoint } from '../../wire/endpoint.js';
import type { Datagram } from './datagram.js';
import type { LocalEnd } from './end_table.js';
import { UdpEnd } from './udp_end.js';
import { createUdpSessions, type UdpSessions, type UdpSessionsOptions } from './udp_sessions.js';

/**
 * Where a {@link UdpSocket} listens.
 *
 * @example
 * ```ts
 * import type { UdpOptions } from 'guise/netstack';
 *
 * const dnsEverywhere: UdpOptions = { port: 53 };
 * ```
 */
export interface UdpOptions {
  /** Left out, or `::`: any address; `0.0.0.0`: any of IPv4. */
  readonly address?: string | undefined;
  /** Left out: any port; 0: one that is free, from 49 152 to 65 535. */
  readonly port?: number | undefined;
}

/**
 * Where a datagram goes, and where it leaves from.
 *
 * @example
 * ```ts
 * import type { Datagram, UdpSendOptions } from 'guise/netstack';
 *
 * const back = ({ source, destination }: Datagram): UdpSendOptions => ({ destination: source, source: destination });
 * ```
 */
export interface UdpSendOptions {
  readonly destination: Endpoint;
  /** What the socket does not say already. */
  readonly source?: { readonly address?: string | undefined; readonly port?: number | undefined } | undefined;
}

/**
 * What a {@link UdpSocket} emits.
 *
 * @example
 * ```ts
 * import type { UdpSocket, UdpSocketEvents } from 'guise/netstack';
 *
 * declare const udp: UdpSocket;
 * const echo = (...[{ data, source, destination }]: UdpSocketEvents['message']): void =>
 *   udp.send(data, { destination: source, source: destination });
 * udp.on('message', echo);
 * ```
 */
export interface UdpSocketEvents {
  /** The next datagram. */
  message: [datagram: Datagram];
  /**
   * What was sent from `source` does not arrive, as its receiver or a router says: ECONNREFUSED, EHOSTUNREACH …, with
   * `address` and `port` that it was sent to. The socket goes on.
   */
  unreachable: [error: GuiseError, source: Endpoint];
  /** The device is gone. */
  error: [error: Error];
  /** Once and last. */
  close: [];
}

/** Makes the UdpSocket of an end. */
export let createUdpSocket: (end: UdpEnd) => UdpSocket;

/**
 * Datagrams to one port or any, of one address or any. UDP sockets come from `Netstack.udp`.
 *
 * Of several sockets, the one that says most about a datagram's destination gets it: an address counts for more than any
 * address, then a port for more than any port. What comes waits, bounded to 1 MiB, for listeners of `'message'` or for an
 * iterator; a reader that is slow loses the oldest ({@link receiveDrops}).
 *
 * Events: see {@link UdpSocketEvents}. As of any EventEmitter, an `'error'` that nobody listens to is thrown, unless
 * somebody iterates over it or its sessions, who gets it.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' } });
 * const udp = stack.udp();
 * for await (const { data, source, destination } of udp) udp.send(data, { destination: source, source: destination });
 * ```
 */
export class UdpSocket extends EventEmitter<UdpSocketEvents> implements AsyncIterable<Datagram> {
  static {
    createUdpSocket = (end) => new UdpSocket(end);
  }

  readonly #end: UdpEnd;

  private constructor(end: UdpEnd) {
    super();
    if (!((end as unknown) instanceof UdpEnd))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'UdpSocket', how: '`Netstack.udp`' });
    this.#end = end;
    end.emitter = this;
  }

  /** Where it listens, with the port that the stack chose if it was asked to; undefined is any. */
  get local(): LocalEnd {
    return this.#end.local;
  }

  get closed(): boolean {
    return this.#end.closed;
  }

  /** Datagrams dropped because nobody took them in time. */
  get receiveDrops(): number {
    return this.#end.inbox.dropped;
  }

  /**
   * Sends a datagram, in fragments where the path takes less.
   *
   * @param data 0 to 65 507 bytes, over IPv6 to 65 527
   * @throws {GuiseError} EMSGSIZE; EADDRNOTAVAIL when `source` is not the stack's, or missing and the stack has none;
   *   ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  send(data: Uint8Array, options: UdpSendOptions): void {
    this.#end.send(checkBytes('data', data), options);
  }

  /**
   * From now on datagrams make sessions, one for each pair of source and destination, and come there and not here.
   *
   * @throws {GuiseError} EISCONN when it has sessions already, ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  sessions(options: UdpSessionsOptions = {}): UdpSessions {
    const { idleTimeout = NETSTACK_UDP.idleTimeout, limit = NETSTACK_UDP.sessions } = checkObject('options', options);
    const table = this.#end.openSessions({
      idleTimeout: checkMilliseconds('idleTimeout', idleTimeout, Infinity),
      limit: checkInteger('limit', limit, 1, 1_000_000),
    });
    return createUdpSessions(table);
  }

  /** Keeps the process alive, as it does at first. */
  ref(): this {
    this.#end.hold(true);
    return this;
  }

  /** Keeps the process alive no longer. */
  unref(): this {
    this.#end.hold(false);
    return this;
  }

  /** Frees address and port, and ends its sessions. Idempotent. */
  close(): void {
    this.#end.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * The datagrams as they come. A close ends it after what waits. Leaving the loop leaves the socket open, and what comes
   * waits for the next reader. Several iterators share what comes.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Datagram> {
    return this.#end.inbox.iterate();
  }
}
