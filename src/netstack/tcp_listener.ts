import { EventEmitter } from 'node:events';
import { isIPv4, type AddressInfo } from 'node:net';
import { guiseError } from '../errors.js';
import { Backlog, type TcpListenerEvents } from './tcp_backlog.js';
import type { TcpSocket } from './tcp_socket.js';

/** Makes the TcpListener of a backlog. */
export let createListener: (backlog: Backlog) => TcpListener;

/**
 * Accepts TCP connections on an address and a port, or on any. It comes from {@link Netstack.listen}. Where several
 * listeners match, the one with the address goes first, then the one with the port, then that of every port.
 *
 * Events: `'connection'`, `'error'` and `'close'`, see {@link TcpListenerEvents}. A connection is taken once: by the
 * listeners of `'connection'`, while there are none by the iterator that has asked first. As many as `backlog` says wait
 * to be taken; SYNs of more are not answered. What still waits when the listener closes is reset.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' } });
 * for await (const socket of stack.listen()) socket.pipe(socket);
 * ```
 */
export class TcpListener extends EventEmitter<TcpListenerEvents> implements AsyncIterable<TcpSocket> {
  static {
    createListener = (backlog) => new TcpListener(backlog);
  }

  readonly #backlog: Backlog;

  private constructor(backlog: Backlog) {
    super();
    if (!((backlog as unknown) instanceof Backlog))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'TcpListener', how: '`Netstack.listen`' });
    this.#backlog = backlog;
    backlog.emitter = this;
  }

  /** Where it listens: `::` is any address of both families, `0.0.0.0` any of IPv4, port 0 any port. Null when closed. */
  address(): AddressInfo | null {
    if (this.#backlog.isClosed) return null;
    const { address = '::', port = 0 } = this.#backlog.place;
    return { address, family: isIPv4(address) ? 'IPv4' : 'IPv6', port };
  }

  /** Whether it takes connections. */
  get listening(): boolean {
    return !this.#backlog.isClosed;
  }

  /** It keeps the process alive, as it does at first. */
  ref(): this {
    this.#backlog.hold(true);
    return this;
  }

  /** It does not keep the process alive. */
  unref(): this {
    this.#backlog.hold(false);
    return this;
  }

  /** Takes no more connections, and resets those that nobody has taken; those that were taken live on. Idempotent. */
  close(): void {
    this.#backlog.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * The connections as they come; ends when the listener closes, with the error if there is one. Leaving the loop leaves
   * the listener open. Several iterators share what comes.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<TcpSocket> {
    return this.#backlog.inbox.iterate();
  }

  /** As EventEmitter's; what waits is given to the first listener of `'connection'` after the current task. */
  override on<E extends keyof TcpListenerEvents>(event: E, listener: (...args: TcpListenerEvents[E]) => void): this {
    super.on(event, listener as never);
    return this.#flushFor(event);
  }

  /** As `on`. */
  override addListener<E extends keyof TcpListenerEvents>(
    event: E,
    listener: (...args: TcpListenerEvents[E]) => void,
  ): this {
    return this.on(event, listener);
  }

  /** As `on`, before the listeners that are there. */
  override prependListener<E extends keyof TcpListenerEvents>(
    event: E,
    listener: (...args: TcpListenerEvents[E]) => void,
  ): this {
    super.prependListener(event, listener as never);
    return this.#flushFor(event);
  }

  #flushFor(event: string): this {
    if (event === 'connection') queueMicrotask(() => this.#backlog.inbox.flush());
    return this;
  }
}
