/** Accepted connections of one port that nobody has taken yet, and whether more are taken on. */
import type { EventEmitter } from 'node:events';
import { CONNECTION } from '../policy.js';
import type { Endpoint } from '../wire/endpoint.js';
import { emit } from '../kit/emit.js';
import type { Inbox } from '../kit/inbox.js';
import { Untaken } from '../kit/untaken.js';
import type { Socket } from './socket.js';

/**
 * What a {@link Listener} emits.
 *
 * @example
 * ```ts
 * import type { Listener, ListenerEvents } from 'guise';
 *
 * declare const listener: Listener;
 * const greet = (...[socket]: ListenerEvents['connection']): void => socket.send(Buffer.from('hello'));
 * listener.on('connection', greet);
 * ```
 */
export interface ListenerEvents {
  /** A connection, which is the listener's to close. */
  connection: [socket: Socket];
  /** Once and last. */
  close: [];
}

export class Backlog {
  readonly local: Endpoint;
  readonly #onClose: () => void;
  #emitter!: EventEmitter<ListenerEvents>;
  #untaken!: Untaken<Socket>;
  #closed = false;

  /** @param onClose the port is free, and what is being accepted on it is nobody's */
  constructor({ local, onClose }: { local: Endpoint; onClose: (backlog: Backlog) => void }) {
    this.local = local;
    this.#onClose = () => onClose(this);
  }

  get port(): number {
    return this.local.port;
  }

  /** Whose listeners hear of it: the Listener, before anything happens. */
  set emitter(emitter: EventEmitter<ListenerEvents>) {
    this.#emitter = emitter;
    this.#untaken = new Untaken<Socket>(emitter, (socket) => socket.closed);
  }

  get inbox(): Inbox<Socket> {
    return this.#untaken.inbox;
  }

  /** Whether as many wait as may. */
  get isFull(): boolean {
    return this.#untaken.isFull(CONNECTION.backlog);
  }

  /** Somebody may take it. */
  offer(socket: Socket): void {
    this.#untaken.put(socket);
  }

  /** Resets what nobody has taken. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    this.#untaken.end();
    emit(this.#emitter, 'close');
  }
}
