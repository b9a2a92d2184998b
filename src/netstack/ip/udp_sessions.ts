import { EventEmitter } from 'node:events';
import { guiseError } from '../../errors.js';
import { SessionTable } from './session_table.js';
import type { UdpSession } from './udp_session.js';

/**
 * How long sessions last, and how many there are.
 *
 * @example
 * ```ts
 * import type { UdpSessionsOptions } from 'guise/netstack';
 *
 * const forDns: UdpSessionsOptions = { idleTimeout: 10_000, limit: 1000 };
 * ```
 */
export interface UdpSessionsOptions {
  /** Milliseconds without a datagram, either way, after which a session ends; Infinity: never. Default 120 000. */
  readonly idleTimeout?: number | undefined;
  /** Sessions at a time, 1 to 1 000 000: for one more, the one that was idle for longest ends. Default 16 384. */
  readonly limit?: number | undefined;
}

/**
 * What {@link UdpSessions} emit.
 *
 * @example
 * ```ts
 * import type { UdpSessions, UdpSessionsEvents } from 'guise/netstack';
 *
 * declare const sessions: UdpSessions;
 * const say = (...[{ source }]: UdpSessionsEvents['session']): void => console.log(source.address);
 * sessions.on('session', say);
 * ```
 */
export interface UdpSessionsEvents {
  /** A first datagram has come; it waits in the session. */
  session: [session: UdpSession];
  /** Once and last. */
  close: [];
}

/** Makes the UdpSessions of a table. */
export let createUdpSessions: (table: SessionTable) => UdpSessions;

/**
 * The sessions of a `UdpSocket`, as they begin: see {@link UdpSocket.sessions}.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' } });
 * const sessions = stack.udp().sessions();
 * for await (const session of sessions) console.log(`${sessions.size} sessions, the last of ${session.source.address}`);
 * ```
 */
export class UdpSessions extends EventEmitter<UdpSessionsEvents> implements AsyncIterable<UdpSession> {
  static {
    createUdpSessions = (table) => new UdpSessions(table);
  }

  readonly #table: SessionTable;

  private constructor(table: SessionTable) {
    super();
    if (!((table as unknown) instanceof SessionTable))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'UdpSessions', how: '`UdpSocket.sessions`' });
    this.#table = table;
    table.emitter = this;
  }

  /** Sessions that are open. */
  get size(): number {
    return this.#table.size;
  }

  /** Sessions that ended because there were too many. */
  get evicted(): number {
    return this.#table.evicted;
  }

  /** Ends all sessions; what comes from now on is the socket's again. Idempotent. */
  close(): void {
    this.#table.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** The sessions as they begin. Leaving the loop ends none, and new ones wait for the next reader. */
  [Symbol.asyncIterator](): AsyncIterableIterator<UdpSession> {
    return this.#table.inbox.iterate();
  }
}
