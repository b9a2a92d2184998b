import { EventEmitter, on } from 'node:events';
import type { Socket } from './socket.js';

export interface ListenerEvents {
  connection: [socket: Socket];
  close: [];
}

/**
 * Accepts connections on a port of the stack's addresses. Events: `'connection'` (socket), `'close'` once and last.
 * No state is kept for a SYN: a connection exists when the client's ACK has brought the cookie back.
 */
export class Listener extends EventEmitter<ListenerEvents> implements AsyncIterable<Socket> {
  readonly port: number;
  readonly #onClose: () => void;
  #closed = false;

  /** @internal Listeners come from `Stack.listen`. */
  constructor({ port, onClose }: { port: number; onClose: () => void }) {
    super();
    this.port = port;
    this.#onClose = onClose;
  }

  /** Takes no more connections; those that exist live on. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    this.emit('close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** The connections as they come; ends when the listener closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Socket, void, void> {
    if (this.#closed) return;
    const ended = new AbortController();
    this.once('close', () => ended.abort());
    try {
      for await (const [socket] of on(this, 'connection', { signal: ended.signal })) yield socket as Socket;
    } catch (error) {
      if (!ended.signal.aborted) throw error;
    }
  }
}
