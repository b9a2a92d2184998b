/** The sessions of one socket: found by flow or tuple, at most so many, each as long as datagrams come or leave. */
import { emit } from '../../kit/emit.js';
import type { Inbox } from '../../kit/inbox.js';
import { tupleKey } from '../../wire/tuple.js';
import { tupleOfPacket } from './addresses.js';
import { IdleList } from './idle_list.js';
import { SessionFlow, type SessionOwner } from './session_flow.js';
import type { Arrival, UdpContext } from './udp_context.js';
import { createUdpSession, type UdpSession } from './udp_session.js';
import { deliver, inboxOf } from './waiting.js';

export interface SessionLimits {
  /** Milliseconds without a datagram, either way. */
  readonly idleTimeout: number;
  /** Sessions at a time. */
  readonly limit: number;
}

export interface SessionTableOptions extends SessionLimits {
  readonly context: UdpContext;
  readonly onClose: () => void;
}

export class SessionTable implements SessionOwner {
  readonly #options: SessionTableOptions;
  readonly #byKey = new Map<string, SessionFlow>();
  readonly #idle = new IdleList<SessionFlow>();
  #emitter!: object;
  #inbox!: Inbox<UdpSession>;
  #evicted = 0;
  #closed = false;

  constructor(options: SessionTableOptions) {
    this.#options = options;
  }

  /** Whose listeners hear of new ones: the UdpSessions, before anything happens. */
  set emitter(emitter: object) {
    this.#emitter = emitter;
    const isGood = (session: UdpSession): boolean => !session.closed;
    this.#inbox = inboxOf(emitter, { event: 'session', limit: Infinity, cost: () => 1, isGood });
  }

  get inbox(): Inbox<UdpSession> {
    return this.#inbox;
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** Sessions that had to make room. */
  get evicted(): number {
    return this.#evicted;
  }

  /** Milliseconds at which `tick` has something to do. */
  get deadline(): number {
    const oldest = this.#idle.oldest;
    return oldest ? oldest.touched + this.#options.idleTimeout : Infinity;
  }

  /** Ends those that were idle for too long. */
  tick(now: number): void {
    while (this.deadline <= now) this.#idle.oldest!.close();
  }

  /** A datagram of no session has come. */
  open(arrival: Arrival): void {
    const { context, limit } = this.#options;
    if (this.size >= limit) {
      this.#evicted++;
      this.#idle.oldest!.close();
    }
    const flow = this.#closed ? -1 : context.environment.port.attachRow(arrival.row);
    if (flow < 0) return;
    const session = new SessionFlow({
      owner: this,
      flow,
      key: keyOf(arrival),
      source: arrival.source,
      destination: arrival.destination,
    });
    context.sessions.set(flow, session);
    this.#byKey.set(session.key, session);
    this.#idle.add(session, context.environment.now());
    context.dueAt(this.deadline);
    this.#tell(createUdpSession(session));
    if (!session.ended) session.receive(arrival.slab, arrival.offset, arrival.size);
  }

  touch(session: SessionFlow): void {
    this.#idle.touch(session, this.#options.context.environment.now());
  }

  /** The session of a tuple. */
  find(tuple: Uint8Array): SessionFlow | undefined {
    return this.#byKey.get(tupleKey(tuple));
  }

  write(session: SessionFlow, data: Uint8Array): void {
    const { context } = this.#options;
    const { environment, paths } = context;
    const now = environment.now();
    this.#idle.touch(session, now);
    const mtu = paths.of(session.source.address, now);
    context.sent(environment.port.writeUdpFlow(session.flow, data, mtu), session.source);
  }

  remove(session: SessionFlow): void {
    const { environment, sessions } = this.#options.context;
    this.#idle.remove(session);
    this.#byKey.delete(session.key);
    sessions.delete(session.flow);
    environment.port.detach(session.flow);
  }

  /** @param error why the stack has ended, if not in order */
  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose();
    for (const session of [...this.#byKey.values()]) session.close();
    this.#inbox.end(error);
    emit(this.#emitter, 'close');
  }

  #tell(session: UdpSession): void {
    // Those that have ended before anybody took them.
    if (this.#inbox.length >= 2 * this.#options.limit) this.#inbox.clear(({ closed }) => !closed);
    deliver(this.#inbox, session);
  }
}

function keyOf({ slab, packet, isIpv6, source, destination }: Arrival): string {
  const ports = { sourcePort: source.port, destinationPort: destination.port, isOurs: false };
  return tupleKey(tupleOfPacket(slab, packet, isIpv6, ports));
}
