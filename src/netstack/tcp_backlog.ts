/** Accepted connections of one listener that nobody has taken yet, and whether more are taken on. */
import type { EventEmitter } from 'node:events';
import type { GuiseError } from '../errors.js';
import { emit } from '../kit/emit.js';
import type { Inbox } from '../kit/inbox.js';
import { Untaken } from '../kit/untaken.js';
import type { Loop } from './loop/loop.js';
import type { Place } from './open/listener_table.js';
import type { Acceptor } from './open/passive_open.js';
import type { TcpEnd } from './tcp_end.js';
import { createSocket, type TcpSocket } from './tcp_socket.js';

/**
 * What a {@link TcpListener} emits.
 *
 * @example
 * ```ts
 * import type { TcpListener, TcpListenerEvents } from 'guise/netstack';
 *
 * declare const listener: TcpListener;
 * const greet = (...[socket]: TcpListenerEvents['connection']): void => void socket.end('hello');
 * listener.on('connection', greet);
 * ```
 */
export interface TcpListenerEvents {
  /** A connection, which is the listener's to close. */
  connection: [socket: TcpSocket];
  /** The device is gone: `'close'` follows. */
  error: [error: GuiseError];
  /** Once and last. */
  close: [];
}

export interface BacklogOptions {
  readonly loop: Loop;
  readonly place: Place;
  /** Connections that may wait to be taken. */
  readonly limit: number;
  readonly allowHalfOpen: boolean;
  readonly noDelay: boolean;
  /** Nothing listens at the place any more. */
  readonly onClose: (backlog: Backlog) => void;
}

export class Backlog implements Acceptor {
  readonly place: Place;
  readonly #options: BacklogOptions;
  #emitter!: EventEmitter<TcpListenerEvents>;
  #untaken!: Untaken<TcpSocket>;
  #isHeld = false;
  #isClosed = false;

  constructor(options: BacklogOptions) {
    this.#options = options;
    this.place = options.place;
    this.hold(true);
  }

  /** Whose listeners hear of it: the TcpListener, before anything happens. */
  set emitter(emitter: EventEmitter<TcpListenerEvents>) {
    this.#emitter = emitter;
    this.#untaken = new Untaken<TcpSocket>(emitter, (socket) => socket.destroyed);
  }

  get inbox(): Inbox<TcpSocket> {
    return this.#untaken.inbox;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isFull(): boolean {
    return this.#untaken.isFull(this.#options.limit);
  }

  accepted(end: TcpEnd): void {
    const { allowHalfOpen, noDelay } = this.#options;
    if (noDelay) end.noDelay(true);
    this.#untaken.put(createSocket(end, allowHalfOpen));
  }

  /** Whether it keeps the process alive. */
  hold(on: boolean): void {
    if (this.#isHeld === on || this.#isClosed) return;
    this.#isHeld = on;
    if (on) this.#options.loop.hold();
    else this.#options.loop.release();
  }

  /** Resets what nobody has taken. Idempotent. */
  close(error?: GuiseError): void {
    if (this.#isClosed) return;
    this.hold(false);
    this.#isClosed = true;
    this.#options.onClose(this);
    if (error && this.#emitter.listenerCount('error') > 0) emit(this.#emitter, 'error', error);
    this.#untaken.end(error);
    emit(this.#emitter, 'close');
  }
}
