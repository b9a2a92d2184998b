/** What came for users who have not asked yet: a queue that gives to listeners of an event, and to iterators. */
import type { EventEmitter } from 'node:events';
import { Inbox, type InboxOptions } from '../../kit/inbox.js';

/** Makes the queue of an emitter; what waits goes to the first listener of its event after the current task. */
export function inboxOf<T extends object>(emitter: object, options: Omit<InboxOptions<T>, 'emitter'>): Inbox<T> {
  const inbox = new Inbox<T>({ emitter: emitter as EventEmitter, ...options });
  (emitter as EventEmitter).on('newListener', (event: string) => {
    if (event === options.event) queueMicrotask(() => inbox.flush());
  });
  return inbox;
}

/** Puts an item behind what waits. */
export function deliver<T extends object>(inbox: Inbox<T>, item: T): void {
  inbox.flush(); // a listener may have come in this task
  inbox.put(item);
}
