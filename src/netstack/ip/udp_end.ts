/** A UDP socket as the stack has it: where it listens, what waits for its reader, its sessions. */
import type { EventEmitter } from 'node:events';
import { emit } from '../../kit/emit.js';
import type { Inbox } from '../../kit/inbox.js';
import { guiseError, stackError, type GuiseError } from '../../errors.js';
import { checkObject, checkPort, refuse } from '../../kit/arguments.js';
import { NETSTACK_UDP } from '../../policy.js';
import type { Endpoint } from '../../wire/endpoint.js';
import { TUPLE_SIZE } from '../../wire/tuple.js';
import { costOf, toKeep, type Datagram } from './datagram.js';
import type { LocalEnd } from './end_table.js';
import { SessionTable, type SessionLimits } from './session_table.js';
import type { Arrival, UdpContext } from './udp_context.js';
import { deliver, inboxOf } from './waiting.js';

export interface UdpEndOptions {
  readonly context: UdpContext;
  readonly local: LocalEnd;
  /** Frees its place. */
  readonly onClose: () => void;
}

/** Where a datagram goes, and where it leaves from. */
export interface Way {
  readonly destination: Endpoint;
  readonly source?: { readonly address?: string | undefined; readonly port?: number | undefined } | undefined;
}

type Emitter = Pick<EventEmitter, 'listenerCount'>;

const tuple = new Uint8Array(TUPLE_SIZE);

export class UdpEnd {
  readonly #options: UdpEndOptions;
  #emitter!: Emitter;
  #inbox!: Inbox<Datagram>;
  #sessions: SessionTable | undefined;
  #closed = false;
  #holds = false;

  constructor(options: UdpEndOptions) {
    this.#options = options;
    this.hold(true);
  }

  /** Whose listeners hear of it: the UdpSocket, before anything happens. */
  set emitter(emitter: Emitter) {
    this.#emitter = emitter;
    const cost = ({ data }: Datagram): number => costOf(data);
    this.#inbox = inboxOf(emitter, { event: 'message', limit: NETSTACK_UDP.queueBytes, cost });
  }

  get inbox(): Inbox<Datagram> {
    return this.#inbox;
  }

  get local(): LocalEnd {
    return this.#options.local;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get deadline(): number {
    return this.#sessions?.deadline ?? Infinity;
  }

  tick(now: number): void {
    this.#sessions?.tick(now);
  }

  /** Whether it keeps the process alive; it does at first. */
  hold(on: boolean): void {
    if (this.#holds === on || (on && this.#closed)) return;
    this.#holds = on;
    if (on) this.#options.context.environment.hold();
    else this.#options.context.environment.release();
  }

  /** A datagram has come that is of no session. */
  receive(arrival: Arrival): void {
    if (this.#sessions) return this.#sessions.open(arrival);
    const { slab, offset, size, source, destination } = arrival;
    deliver(this.#inbox, { data: toKeep(slab, offset, size), source, destination });
  }

  /** @throws {GuiseError} as `UdpSocket.send` */
  send(data: Uint8Array, way: Way): void {
    if (this.#closed) throw guiseError('ERR_GUISE_CLOSED', { what: 'socket' });
    const { context } = this.#options;
    const destination = this.#checkDestination(checkObject('options', way).destination as Endpoint);
    context.book.setTuple(tuple, this.#sourceFor(destination, way.source), destination);
    const mtu = context.paths.of(destination.address, context.environment.now());
    context.sent(context.environment.port.writeUdp(tuple, data, mtu), destination);
  }

  openSessions(limits: SessionLimits): SessionTable {
    if (this.#closed) throw guiseError('ERR_GUISE_CLOSED', { what: 'socket' });
    if (this.#sessions) throw stackError('EISCONN', 'bind');
    const onClose = (): void => void (this.#sessions = undefined);
    return (this.#sessions = new SessionTable({ context: this.#options.context, ...limits, onClose }));
  }

  /** What has left from `source` does not arrive; the error says where it was to go. */
  unreachable(sent: Uint8Array, source: Endpoint, error: GuiseError): void {
    const session = this.#sessions?.find(sent);
    if (session) session.unreachable(error);
    else emit(this.#emitter, 'unreachable', error, source);
  }

  close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClose();
    this.hold(false);
    const isIterated = this.#inbox.hasIterators || this.#sessions?.inbox.hasIterators === true;
    this.#sessions?.close(error);
    this.#inbox.end(error);
    if (error && (!isIterated || this.#emitter.listenerCount('error') > 0)) emit(this.#emitter, 'error', error);
    emit(this.#emitter, 'close');
  }

  #checkDestination(given: Endpoint): Endpoint {
    const { address, port } = checkObject('destination', given);
    const { book } = this.#options.context;
    return { address: book.check('destination.address', address), port: checkPort('destination.port', port) };
  }

  #sourceFor(destination: Endpoint, given: NonNullable<Way['source']> = {}): Endpoint {
    const { local, context } = this.#options;
    checkObject('source', given);
    const address = this.#addressFor(destination, given.address);
    const port = checkPort('source.port', given.port ?? local.port);
    if (local.port !== undefined && port !== local.port) refuse('source.port', port, `${local.port}, the socket's`);
    if (address.includes(':') !== destination.address.includes(':'))
      refuse('source.address', address, `one of the family of ${destination.address}`);
    if (!context.owns(address)) throw stackError('EADDRNOTAVAIL', 'send', { address, port });
    return { address, port };
  }

  #addressFor(destination: Endpoint, given: string | undefined): string {
    const { local, context } = this.#options;
    const own = local.address === '0.0.0.0' ? undefined : local.address;
    if (given === undefined) {
      const found = own ?? context.environment.localAddress(destination.address);
      if (found === undefined) throw stackError('EADDRNOTAVAIL', 'send', destination);
      return found;
    }
    const address = context.book.check('source.address', given);
    if (own !== undefined && address !== own) refuse('source.address', given, `${own}, the socket's`);
    return address;
  }
}
