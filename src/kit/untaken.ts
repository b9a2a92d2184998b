/** Connections that a listener has accepted and nobody has taken yet. */
import type { EventEmitter } from 'node:events';
import { Inbox } from './inbox.js';

interface Connection extends EventEmitter {
  resetAndDestroy(): unknown;
}

export class Untaken<T extends Connection> {
  readonly inbox: Inbox<T>;
  readonly #isOver: (connection: T) => boolean;

  /** @param emitter whose listeners of `'connection'` get what comes */
  constructor(emitter: Pick<EventEmitter, 'listenerCount'>, isOver: (connection: T) => boolean) {
    this.#isOver = isOver;
    this.inbox = new Inbox<T>({
      emitter,
      event: 'connection',
      limit: Infinity,
      cost: () => 1,
      isGood: (connection) => {
        connection.off('error', ignore);
        return !isOver(connection);
      },
    });
  }

  /** Whether so many wait as may. Those that are over make room. */
  isFull(limit: number): boolean {
    if (this.inbox.length >= limit) this.inbox.clear((connection) => !this.#isOver(connection));
    return this.inbox.length >= limit;
  }

  /** Somebody may take it. What fails while it waits is nobody's business. */
  put(connection: T): void {
    connection.on('error', ignore);
    this.inbox.put(connection);
  }

  /** Resets those that wait; who iterates comes to the end, or to the error. */
  end(error?: Error): void {
    const { waiting } = this.inbox;
    this.inbox.clear();
    this.inbox.end(error);
    for (const connection of waiting) connection.resetAndDestroy();
  }
}

function ignore(): void {}
