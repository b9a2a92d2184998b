import { EventEmitter, on } from 'node:events';
import { guiseError, systemError } from '../errors.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { Engine } from '../native/engine.js';
import type { FlowCounters, Segment, UdpApplication } from '../native/types.js';
import { ACK, FIN, RST } from '../wire/flags.js';
import { localEnd, localPort, remoteEnd, tupleOf } from '../wire/tuple.js';
import { NO_OPTIONS } from './active_open.js';
import { Connection, type ConnectionStep } from './connection.js';
import type { LivenessOptions } from './liveness.js';
import type { Profile } from '../wire/profile.js';

/** Datagrams that wait for a reader; the oldest goes first. */
const RECEIVE_QUEUE = 1024;

export interface SocketEvents {
  message: [datagram: Uint8Array];
  error: [error: Error];
  close: [];
}

/** What the sockets of a stack share. */
export interface SocketHost {
  readonly engine: Engine;
  /** RSTs do not end established connections: for networks that inject them. */
  readonly ignoreReset: boolean;
  /** Called once when the flow may be forgotten. */
  forget(socket: Socket): void;
}

export interface SocketInit {
  readonly flow: number;
  readonly worker: number;
  /** The tuple, as `tupleKey` makes it. */
  readonly key: string;
  readonly profile: Profile;
  readonly maxPayload: number;
  /** Datagrams that came before the flow was in the table. */
  readonly early: readonly Uint8Array[];
  /** The peer has opened it. */
  readonly accepted: boolean;
}

/**
 * One fake TCP connection. It is datagram-like: boundaries are kept, a lost datagram stays lost, and a reader that is
 * slow loses the oldest ones (`receiveDrops`).
 *
 * Events: `'message'` (datagram: Uint8Array), `'error'` (ECONNRESET when the peer resets, ETIMEDOUT when it is silent),
 * `'close'` once and last.
 */
export class Socket extends EventEmitter<SocketEvents> implements AsyncIterable<Uint8Array> {
  /** How the peer looks on the wire. */
  readonly profile: Profile;
  /** Bytes of the largest datagram. */
  readonly maxPayload: number;

  /** @internal The flow's id and its tuple. */
  readonly flow: number;
  /** @internal */
  readonly key: string;
  /** @internal */
  readonly accepted: boolean;

  readonly #host: SocketHost;
  readonly #worker: number;
  readonly #connection: Connection;
  // Most sockets are spliced and never need the two: they come when they are wanted.
  #received: Uint8Array[] | undefined;
  #receiveDrops = 0;
  #unsent: Uint8Array[] | undefined;
  #timer: NodeJS.Timeout | undefined;
  #hasApplication = false;
  #reading = false;
  #closeEmitted = false;
  #lastCounters: FlowCounters | undefined;
  #activity = 0;
  #activeAt = 0;

  /** @internal Sockets come from `Stack.connect` and `Stack.listen`. */
  constructor(host: SocketHost, { flow, worker, key, profile, maxPayload, early, accepted }: SocketInit) {
    super();
    this.#host = host;
    this.#worker = worker;
    this.flow = flow;
    this.key = key;
    this.accepted = accepted;
    this.profile = profile;
    this.maxPayload = maxPayload;
    this.#connection = new Connection({ profile, ignoreReset: host.ignoreReset });
    if (early.length > 0) this.#received = [...early];
  }

  get localAddress(): string {
    return localEnd(tupleOf(this.key)).address;
  }

  get localPort(): number {
    return localPort(tupleOf(this.key));
  }

  get remoteAddress(): string {
    return remoteEnd(tupleOf(this.key)).address;
  }

  get remotePort(): number {
    return remoteEnd(tupleOf(this.key)).port;
  }

  get closed(): boolean {
    return this.#closeEmitted;
  }

  /** What the data plane counted; the last values once the socket is closed. */
  get counters(): FlowCounters {
    return this.#lastCounters ?? this.#host.engine.flowCounters(this.flow);
  }

  /** Datagrams dropped because nobody read them. */
  get receiveDrops(): number {
    return this.#receiveDrops;
  }

  /**
   * Sends one datagram as one segment, in the order of the calls; it is not copied until the current task ends. What
   * is sent faster than the device takes it (4 MiB ahead) is dropped and counted: `counters.sentDrops`.
   *
   * @param datagram 1 to `maxPayload` bytes
   * @throws {GuiseError} ERR_GUISE_DATAGRAM_SIZE, ERR_GUISE_CLOSED
   */
  send(datagram: Uint8Array): void {
    if (this.#connection.state !== 'established') throw guiseError('ERR_GUISE_CLOSED', { what: 'socket' });
    if (datagram.length < 1 || datagram.length > this.maxPayload) {
      throw guiseError('ERR_GUISE_DATAGRAM_SIZE', { size: datagram.length, most: this.maxPayload });
    }
    if (!this.#unsent) {
      this.#unsent = [];
      queueMicrotask(() => this.#sendUnsent());
    }
    this.#unsent.push(datagram);
  }

  /**
   * From now on datagrams come from and go to an application of a `UdpListener`, without entering JavaScript. When the
   * connection ends with an error the application stays, and what it sends waits: splice it to another, or drop it.
   *
   * @throws {GuiseError} EISCONN when it is spliced already
   */
  spliceApplication(application: UdpApplication): void {
    this.#sendUnsent();
    const result = this.#host.engine.spliceApplication(this.flow, application.id);
    if (result < 0 && !this.closed) throw systemError(result, 'splice', application.remote);
    this.#hasApplication = true;
  }

  /** What the application sends waits from now on, for another connection; what comes here still goes to it. */
  unsplice(): void {
    this.#hasApplication = false;
    this.#host.engine.unsplice(this.flow);
  }

  /**
   * From now on datagrams come from and go to a UDP endpoint, through a UDP socket of this flow's own.
   *
   * @throws {GuiseError} with the system's code when no socket can be had; EISCONN when it is spliced already
   */
  spliceUdp(remote: Endpoint): void {
    this.#sendUnsent();
    const result = this.#host.engine.spliceUdp(this.flow, remote, this.#received ?? []);
    this.#received = undefined;
    if (result < 0) throw systemError(result, this.#host.engine.lastSyscall, remote);
  }

  /** Tells the peer, and resolves when it has answered or after 1.2 s at most. Idempotent. */
  async close(): Promise<void> {
    this.#sendUnsent();
    this.#apply(this.#connection.close());
    if (!this.#closeEmitted) await new Promise<void>((resolve) => this.once('close', () => resolve()));
  }

  /** Sends a RST and forgets the connection at once. Idempotent. */
  resetAndDestroy(): void {
    this.#apply(this.#connection.abort());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The datagrams as they come; ends when the connection closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    if (this.#closeEmitted) return yield* this.#received?.splice(0) ?? [];
    const ended = new AbortController();
    this.once('close', () => ended.abort());
    try {
      for await (const [datagram] of on(this, 'message', { signal: ended.signal })) yield datagram as Uint8Array;
    } catch (error) {
      if (!ended.signal.aborted) throw error;
    }
  }

  /** @internal A datagram for JavaScript. */
  receiveDatagram(datagram: Uint8Array): void {
    if (!this.#received?.length && this.listenerCount('message') > 0) {
      this.emit('message', datagram);
      return;
    }
    this.#received ??= [];
    this.#received.push(datagram);
    if (this.#received.length > RECEIVE_QUEUE) {
      this.#received.shift();
      this.#receiveDrops++;
    }
  }

  /** @internal A RST or a FIN, which the data plane has found valid. */
  receiveSegment({ flags, seq, payload }: Segment): void {
    if (flags & RST) this.#apply(this.#connection.reset());
    else this.#apply(this.#connection.finished(), (seq + payload.length + 1) >>> 0);
  }

  /** @internal `look` looks for signs of life from now on. */
  watch(options: LivenessOptions, now: number): void {
    this.#connection.watch(options, now, this.#host.engine.flowSigns(this.flow));
  }

  /** @internal Looks whether the peer lives, if it is to be watched. When to do so again, or Infinity. */
  look(now: number): number {
    if (this.#connection.watched) this.#apply(this.#connection.look(now, this.#host.engine.flowSigns(this.flow)));
    return this.#connection.nextLook;
  }

  /**
   * @internal Milliseconds without a datagram in either direction. Of a client that probes us only what it sends counts:
   * a backend that goes on sending must not keep a dead one.
   */
  idleFor(now: number): number {
    const { engine } = this.#host;
    const probed = this.profile === 'guise' && !this.#connection.watched;
    const read = (): number => (probed ? engine.flowSigns(this.flow).received : engine.flowActivity(this.flow));
    const activity = this.#connection.state === 'established' ? read() : 0;
    if (activity !== this.#activity || this.#activeAt === 0) {
      this.#activity = activity;
      this.#activeAt = now;
    }
    return now - this.#activeAt;
  }

  /** As EventEmitter's; what came before the first reader is delivered to it after the current task. */
  override on<E extends keyof SocketEvents>(event: E, listener: (...args: SocketEvents[E]) => void): this {
    super.on(event, listener as never);
    if (event === 'message') {
      this.#read();
      queueMicrotask(() => this.#deliverReceived());
    }
    return this;
  }

  /** Has the data plane give us what it holds, and what comes. */
  #read(): void {
    if (this.#reading || this.closed) return;
    this.#reading = true;
    this.#host.engine.readFlow(this.flow);
  }

  #deliverReceived(): void {
    while (this.#received?.length && this.listenerCount('message') > 0) {
      this.emit('message', this.#received.shift()!);
    }
  }

  #sendUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = undefined;
    if (unsent && this.#connection.state === 'established') this.#host.engine.sendDatagrams(this.flow, unsent);
  }

  /** Does what the connection wants. `receiveNext` is behind the peer's FIN, which takes a number. */
  #apply({ send, wait, ended, forget }: ConnectionStep, receiveNext?: number): void {
    const failed = ended !== undefined && ended !== 'closed';
    if (failed && this.#hasApplication) this.unsplice();
    if (send) this.#sendControl(send, receiveNext);
    if (wait !== undefined) this.#wait(wait);
    if (failed && this.listenerCount('error') > 0) {
      this.emit('error', systemError(ended, 'read', { address: this.remoteAddress, port: this.remotePort }));
    }
    if (forget) this.#forget();
    if (ended) this.#emitClose();
  }

  #sendControl(what: NonNullable<ConnectionStep['send']>, receiveNext?: number): void {
    const { engine } = this.#host;
    switch (what) {
      case 'ack':
        return engine.sendControl(this.flow, ACK, receiveNext);
      case 'fin':
        return engine.sendControl(this.flow, FIN | ACK, receiveNext);
      case 'reset':
        return engine.sendControl(this.flow, RST);
      case 'finAgain':
        return this.#sendAgain(FIN | ACK, engine.flowNumbers(this.flow).sendNext - 1);
      case 'probe':
        // A number that the peer has acknowledged already has to be answered (RFC 9293 §3.10.7.4); phantun does so for
        // a number one before the last that it has acknowledged.
        return this.#sendAgain(ACK, engine.flowNumbers(this.flow).peerAck - 1);
    }
  }

  #sendAgain(flags: number, seq: number): void {
    const { engine } = this.#host;
    const ack = engine.flowNumbers(this.flow).receiveNext;
    engine.sendSegment(this.#worker, tupleOf(this.key), { flags, seq: seq >>> 0, ack, options: NO_OPTIONS });
  }

  #wait(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#apply(this.#connection.timeout()), milliseconds);
    // What only answers a repeated FIN keeps no process alive.
    if (this.#connection.state === 'lastAck') this.#timer.unref();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#lastCounters = this.#host.engine.flowCounters(this.flow);
    this.#host.engine.closeFlow(this.flow);
    this.#host.forget(this);
  }

  #emitClose(): void {
    if (this.#closeEmitted) return;
    this.#closeEmitted = true;
    this.emit('close');
  }
}
