/**
 * What came and nobody has taken yet, in order and bounded. There is one for all who take, so each item is taken once:
 * by the listeners of an event, and while there are none by the iterators, in the order in which they ask.
 */
import type { EventEmitter } from 'node:events';
import { emit } from './emit.js';

export interface InboxOptions<T> {
  readonly emitter: Pick<EventEmitter, 'listenerCount'>;
  /** Its listeners get what comes. */
  readonly event: string;
  /** What all that waits may cost; the oldest goes when it is more. */
  readonly limit: number;
  readonly cost: (item: T) => number;
  /** Called when an item is about to be taken: whether it is still good. */
  readonly isGood?: (item: T) => boolean;
}

export class Inbox<T extends object> {
  readonly #options: InboxOptions<T>;
  #waiting: T[] = [];
  /** Where the oldest stands: `shift` would move all others. */
  #first = 0;
  #cost = 0;
  #dropped = 0;
  readonly #iterators = new Set<InboxIterator<T>>();
  /** Iterators that wait, the longest first. */
  #asking: InboxIterator<T>[] = [];
  #ended = false;
  #error: Error | undefined;

  constructor(options: InboxOptions<T>) {
    this.#options = options;
  }

  /** Items that wait. */
  get length(): number {
    return this.#waiting.length - this.#first;
  }

  /** A copy of what waits, the oldest first. */
  get waiting(): T[] {
    return this.#waiting.slice(this.#first);
  }

  /** Items that were too many. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether somebody iterates, who will hear of an error. */
  get hasIterators(): boolean {
    return this.#iterators.size > 0;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Why it ended, if not in order. */
  get error(): Error | undefined {
    return this.#error;
  }

  put(item: T): void {
    if (this.#ended) return;
    if (this.length === 0 && this.#isHeard) return this.#emit(item);
    this.#waiting.push(item);
    this.#cost += this.#options.cost(item);
    if (!this.#isHeard) this.#serve();
    while (this.#cost > this.#options.limit) {
      this.#shift();
      this.#dropped++;
    }
  }

  /** Gives what waits to the listeners of the event, while there are any. */
  flush(): void {
    while (!this.#ended && this.length > 0 && this.#isHeard) this.#emit(this.#shift());
  }

  /** The oldest item that is good. */
  take(): T | undefined {
    while (this.length > 0) {
      const item = this.#shift();
      if (this.#isGood(item)) return item;
    }
    return undefined;
  }

  /** Forgets what waits, or all that `isKept` is false for; it does not count as dropped. */
  clear(isKept: (item: T) => boolean = () => false): void {
    this.#waiting = this.waiting.filter(isKept);
    this.#first = 0;
    this.#cost = this.#waiting.reduce((sum, each) => sum + this.#options.cost(each), 0);
  }

  /** Nothing more comes. Iterators end after what waits, with the error if there is one. */
  end(error?: Error): void {
    this.flush();
    this.#ended = true;
    this.#error = error;
    for (const each of this.#asking.splice(0)) each.answer();
  }

  /** What comes, for one who asks. It is open until it ends or is returned. */
  iterate(): AsyncIterableIterator<T> {
    const iterator = new InboxIterator<T>({
      inbox: this,
      ask: () => this.#asking.push(iterator),
      onEnd: () => {
        this.#iterators.delete(iterator);
        this.#asking = this.#asking.filter((each) => each !== iterator);
      },
    });
    this.#iterators.add(iterator);
    return iterator;
  }

  get #isHeard(): boolean {
    return this.#options.emitter.listenerCount(this.#options.event) > 0;
  }

  #isGood(item: T): boolean {
    return this.#options.isGood?.(item) ?? true;
  }

  #emit(item: T): void {
    if (this.#isGood(item)) emit(this.#options.emitter, this.#options.event, item);
  }

  #serve(): void {
    while (this.length > 0 && this.#asking.length > 0) this.#asking.shift()!.answer();
  }

  #shift(): T {
    const item = this.#waiting[this.#first]!;
    this.#waiting[this.#first++] = undefined!;
    this.#cost -= this.#options.cost(item);
    if (this.#first === this.#waiting.length || this.#first === 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}

interface Pending<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: Error) => void;
}

interface InboxIteratorOptions<T extends object> {
  readonly inbox: Inbox<T>;
  /** Has `answer` called when there is an item, or none any more. */
  readonly ask: () => void;
  readonly onEnd: () => void;
}

/** No generator: `return` of one that waits would wait too. */
class InboxIterator<T extends object> implements AsyncIterableIterator<T> {
  readonly #options: InboxIteratorOptions<T>;
  /** `next` calls without an answer; each has asked once. */
  readonly #pending: Pending<T>[] = [];
  #open = true;

  constructor(options: InboxIteratorOptions<T>) {
    this.#options = options;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      if (!this.#open || this.#options.inbox.ended || this.#options.inbox.length > 0) this.answer();
      else this.#options.ask();
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  /** Answers the oldest `next`. */
  answer(): void {
    const { inbox, ask } = this.#options;
    const pending = this.#pending.shift();
    if (!pending) return;
    const value = this.#open ? inbox.take() : undefined;
    if (value) return pending.resolve({ done: false, value });
    if (this.#open && !inbox.ended) {
      // What was there was good no longer.
      this.#pending.unshift(pending);
      ask();
      return;
    }
    const error = this.#open ? inbox.error : undefined;
    this.#end();
    if (error) pending.reject(error);
    else pending.resolve({ done: true, value: undefined });
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.onEnd();
    for (const { resolve } of this.#pending.splice(0)) resolve({ done: true, value: undefined });
  }
}
