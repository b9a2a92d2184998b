import { EventEmitter } from 'node:events';
import { guiseError } from '../errors.js';
import { Backlog, type ListenerEvents } from './backlog.js';
import type { Socket } from './socket.js';

/** Makes the Listener of a backlog. */
export let createListener: (backlog: Backlog) => Listener;

/**
 * Accepts connections on a port of the stack's addresses. It comes from {@link Stack.listen}. No state is kept for a
 * SYN: a connection exists when the client's ACK has brought the cookie back.
 *
 * Events: `'connection'` and `'close'`, see {@link ListenerEvents}. A connection is taken once: by the listeners of
 * `'connection'`, while there are none by the iterator that has asked first. Up to 511 wait to be taken; more are
 * refused with a RST, and what still waits when the listener closes is reset.
 *
 * @example
 * ```ts
 * import { Stack } from 'guise';
 *
 * await using stack = await Stack.open({ device: { name: 'guise0' }, addresses: ['192.168.200.2'] });
 * for await (const socket of stack.listen({ port: 4567 })) {
 *   socket.on('error', (error) => console.error(error.message));
 *   socket.on('message', (datagram) => socket.send(datagram));
 * }
 * ```
 */
export class Listener extends EventEmitter<ListenerEvents> implements AsyncIterable<Socket> {
  static {
    createListener = (backlog) => new Listener(backlog);
  }

  readonly #backlog: Backlog;

  private constructor(backlog: Backlog) {
    super();
    if (!((backlog as unknown) instanceof Backlog))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'Listener', how: '`Stack.listen`' });
    this.#backlog = backlog;
    backlog.emitter = this;
  }

  /** The address that it accepts connections on: :: or 0.0.0.0 for all. */
  get address(): string {
    return this.#backlog.local.address;
  }

  /** The TCP port. */
  get port(): number {
    return this.#backlog.port;
  }

  /**
   * Takes no more connections, and resets those that nobody has taken; those that were taken live on. Idempotent.
   */
  close(): void {
    this.#backlog.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /**
   * The connections as they come; ends when the listener closes. Leaving the loop leaves the listener open. Several
   * iterators share what comes.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Socket> {
    return this.#backlog.inbox.iterate();
  }

  /** As EventEmitter's; what waits is given to the first listener of `'connection'` after the current task. */
  override on<E extends keyof ListenerEvents>(event: E, listener: (...args: ListenerEvents[E]) => void): this {
    super.on(event, listener as never);
    return this.#flushFor(event);
  }

  /** As `on`. */
  override addListener<E extends keyof ListenerEvents>(event: E, listener: (...args: ListenerEvents[E]) => void): this {
    return this.on(event, listener);
  }

  /** As `on`, before the listeners that are there. */
  override prependListener<E extends keyof ListenerEvents>(
    event: E,
    listener: (...args: ListenerEvents[E]) => void,
  ): this {
    super.prependListener(event, listener as never);
    return this.#flushFor(event);
  }

  #flushFor(event: string): this {
    if (event === 'connection') queueMicrotask(() => this.#backlog.inbox.flush());
    return this;
  }
}
