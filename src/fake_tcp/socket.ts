import { EventEmitter } from 'node:events';
import { guiseError } from '../errors.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { Profile } from '../wire/profile.js';
import { checkBytes, checkEndpoint } from '../kit/arguments.js';
import type { FlowCounters } from './counters.js';
import { Flow } from './flow.js';
import type { SocketEvents, SocketPath } from './socket_events.js';
import { checkApplication, type UdpApplication } from './udp_listener.js';

/** Makes the Socket of a flow. */
export let createSocket: (flow: Flow) => Socket;

/**
 * One fake TCP connection. It is datagram-like: boundaries are kept, a lost datagram stays lost, and a reader that is
 * slow loses the oldest ones ({@link receiveDrops}). Sockets come from {@link Stack.connect} and from a `Listener`.
 *
 * What comes is held for one of three: listeners of `'message'`, iterators, or a splice. What came before goes first, so
 * nothing is lost between two tasks; 1 MiB is held before that, 4 MiB for a reader in JavaScript. Each datagram is taken
 * once: by the listeners of `'message'`, while there are none by the iterator that has asked first.
 *
 * Events: `'message'`, `'path'`, `'error'`, `'refused'`, `'answered'` and `'close'`, see {@link SocketEvents}. As of any EventEmitter, an `'error'` that
 * nobody listens to is thrown, unless somebody iterates, who gets it.
 *
 * @example
 * ```ts
 * import { Stack } from 'guise';
 *
 * await using stack = await Stack.open({ device: { name: 'guise0' }, addresses: ['192.168.200.2'] });
 * const socket = await stack.connect({ address: '203.0.113.7', port: 443 });
 * socket.send(Buffer.from('one datagram, one segment'));
 * for await (const datagram of socket) console.log(datagram.length);
 * ```
 */
export class Socket extends EventEmitter<SocketEvents> implements AsyncIterable<Uint8Array> {
  static {
    createSocket = (flow) => new Socket(flow);
  }

  readonly #flow: Flow;

  private constructor(flow: Flow) {
    super();
    if (!((flow as unknown) instanceof Flow))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'Socket', how: '`Stack.connect` or a Listener' });
    this.#flow = flow;
    flow.emitter = this;
  }

  /** How the peer looks on the wire. */
  get profile(): Profile {
    return this.#flow.profile;
  }

  /**
   * Whether both SYNs came with their window scale. Where something on the way takes it out, no more than 48 KiB are in
   * flight at a time, and what is sent faster waits.
   */
  get windowScaled(): boolean {
    return this.#flow.scaled;
  }

  /** Bytes of the largest datagram, in one packet or in fragments: see {@link path}. */
  get maxPayload(): number {
    return this.#flow.maxPayload;
  }

  /** What the path carries, as far as it is known now. It changes: `'path'` says so. */
  get path(): SocketPath {
    return this.#flow.path;
  }

  /** The stack's address of this connection. */
  get localAddress(): string {
    return this.#flow.local.address;
  }

  /** The stack's port of this connection. */
  get localPort(): number {
    return this.#flow.local.port;
  }

  /** The peer's address. */
  get remoteAddress(): string {
    return this.#flow.remote.address;
  }

  /** The peer's port. */
  get remotePort(): number {
    return this.#flow.remote.port;
  }

  /** The connection has ended. `'close'` comes when the last datagram of the peer has. */
  get closed(): boolean {
    return this.#flow.ended;
  }

  /** What the data plane counted; the last values once the connection is forgotten. */
  get counters(): FlowCounters {
    return this.#flow.counters;
  }

  /** Datagrams dropped because nobody took them in time. */
  get receiveDrops(): number {
    return this.#flow.receiveDrops;
  }

  /**
   * Sends one datagram as one segment, in the order of the calls; it is not copied until the current task ends. What
   * is sent faster than the device takes it (4 MiB ahead) is dropped and counted: `counters.sentDrops`.
   *
   * @param datagram 1 to `maxPayload` bytes; to a guise 0 as well, which is dropped and counted before the peer was heard
   * @throws {GuiseError} ERR_GUISE_DATAGRAM_SIZE, ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  send(datagram: Uint8Array): void {
    this.#flow.send(checkBytes('datagram', datagram));
  }

  /**
   * From now on datagrams come from and go to an application of a `UdpListener`, without entering JavaScript; those that
   * wait on either side go first. When the connection ends with an error the application stays, and what it sends waits:
   * splice it to another connection, or drop it. When it ends in order the application is gone.
   *
   * @param application as `'application'` gave it, of the worker that has the connection (`ConnectOptions.worker`)
   * @throws {GuiseError} ENOENT when the application is gone, EISCONN when the connection is spliced already,
   *   ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  spliceApplication(application: UdpApplication): void {
    this.#flow.spliceApplication(checkApplication('application', application));
  }

  /**
   * Takes the application away: what it sends waits from now on for another connection; what comes here still goes to
   * it. Does nothing where there is none.
   */
  unsplice(): void {
    this.#flow.unsplice();
  }

  /**
   * From now on datagrams come from and go to a UDP endpoint, through a UDP socket of this connection's own; what waits
   * goes first. What JavaScript was already reading stays with it.
   *
   * @throws {GuiseError} with the system's code when no UDP socket can be had; EISCONN when it is spliced already;
   *   ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  spliceUdp(remote: Endpoint): void {
    this.#flow.spliceUdp(checkEndpoint('remote', remote));
  }

  /** Tells the peer, and resolves when it has answered or after 1.2 s at most. Idempotent. */
  async close(): Promise<void> {
    this.#flow.close();
    await this.#flow.closed();
  }

  /** Sends a RST and forgets the connection at once; here it ends in order. Idempotent. */
  resetAndDestroy(): void {
    this.#flow.abort();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * The datagrams as they come. A close ends it after what waits was taken; where `'error'` would be emitted it throws
   * that instead, also after what waits. Leaving the loop leaves the socket open, and what comes waits for the next
   * reader. Several iterators share what comes.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return this.#flow.read().iterate();
  }

  /** As EventEmitter's; what waits is delivered to the first listener of `'message'` after the current task. */
  override on<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this {
    super.on(event, listener as never);
    return this.#readFor(event);
  }

  /** As `on`. */
  override addListener<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this {
    return this.on(event, listener);
  }

  /** As `on`, before the listeners that are there. */
  override prependListener<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this {
    super.prependListener(event, listener as never);
    return this.#readFor(event);
  }

  #readFor(event: string): this {
    if (event !== 'message') return this;
    const inbox = this.#flow.read();
    queueMicrotask(() => inbox.flush());
    return this;
  }
}
