/** A session as the stack has it: both ends, the flow that finds its packets, what waits for its reader. */
import type { Inbox } from '../../kit/inbox.js';
import { emit } from '../../kit/emit.js';
import { guiseError, type GuiseError } from '../../errors.js';
import { NETSTACK_UDP } from '../../policy.js';
import type { Endpoint } from '../../wire/endpoint.js';
import { costOf, toKeep } from './datagram.js';
import type { Idle } from './idle_list.js';
import { deliver, inboxOf } from './waiting.js';

/** What a session needs of those that it is among. */
export interface SessionOwner {
  /** Sends a datagram to the session's source. */
  write(session: SessionFlow, data: Uint8Array): void;
  /** A datagram of the session's has come. */
  touch(session: SessionFlow): void;
  /** The session has ended. */
  remove(session: SessionFlow): void;
}

export interface SessionInit {
  readonly owner: SessionOwner;
  /** The port's. */
  readonly flow: number;
  /** The tuple as the key of a map. */
  readonly key: string;
  /** The peer. */
  readonly source: Endpoint;
  /** What the peer dialled. */
  readonly destination: Endpoint;
}

export class SessionFlow implements Idle<SessionFlow> {
  touched = 0;
  earlier: SessionFlow | undefined;
  later: SessionFlow | undefined;
  readonly flow: number;
  readonly key: string;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly #owner: SessionOwner;
  #emitter!: object;
  #inbox!: Inbox<Buffer>;
  #ended = false;

  constructor({ owner, flow, key, source, destination }: SessionInit) {
    this.#owner = owner;
    this.flow = flow;
    this.key = key;
    this.source = source;
    this.destination = destination;
  }

  /** Whose listeners hear of it: the UdpSession, before anything happens. */
  set emitter(emitter: object) {
    this.#emitter = emitter;
    this.#inbox = inboxOf<Buffer>(emitter, { event: 'message', limit: NETSTACK_UDP.queueBytes, cost: costOf });
  }

  get inbox(): Inbox<Buffer> {
    return this.#inbox;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes a datagram: `size` bytes of a slab. */
  receive(slab: Uint8Array, offset: number, size: number): void {
    this.#owner.touch(this);
    deliver(this.#inbox, toKeep(slab, offset, size));
  }

  send(data: Uint8Array): void {
    if (this.#ended) throw guiseError('ERR_GUISE_CLOSED', { what: 'session' });
    this.#owner.write(this, data);
  }

  unreachable(error: GuiseError): void {
    emit(this.#emitter, 'unreachable', error);
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.remove(this);
    this.#inbox.end();
    emit(this.#emitter, 'close');
  }
}
