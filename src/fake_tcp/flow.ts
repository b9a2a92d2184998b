/**
 * One connection as it runs: the data plane's flow, the state machine that decides (connection.ts), its timers, and the
 * Socket that a user has of it. The stack and the Socket both talk to this; the Socket shows what is public.
 */
import type { EventEmitter } from 'node:events';
import { guiseError, systemError } from '../errors.js';
import type { Engine } from '../native/engine.js';
import type { FlowCounters, IcmpError, Segment, UdpApplication } from '../native/types.js';
import { CONNECTION } from '../policy.js';
import type { Endpoint } from '../wire/endpoint.js';
import { RST } from '../wire/flags.js';
import type { Profile } from '../wire/profile.js';
import { localEnd, remoteEnd, tupleOf } from '../wire/tuple.js';
import { emit } from '../kit/emit.js';
import { Inbox } from '../kit/inbox.js';
import { refuse } from '../kit/arguments.js';
import { Connection, type ConnectionStep } from './connection.js';
import { sendControl } from './control_segments.js';
import type { FlowInit } from './flow_init.js';
import { FlowPath, type PathHost } from './flow_path.js';
import type { LivenessOptions } from './liveness.js';
import type { SocketEvents, SocketPath } from './socket_events.js';
import { NO_SLOT, type Timed } from './timing_wheel.js';
import type { Turns } from './turns.js';

/** What the flows of a stack share. */
export interface FlowHost extends PathHost {
  readonly engine: Engine;
  /** RSTs do not end established connections: for networks that inject them. */
  readonly ignoreRst: boolean;
  /** Applications that are not gone, and the flow that carries each. */
  readonly applications: Map<UdpApplication, Flow | undefined>;
  /** Finds out whether the peer answers a SYN from another port. */
  ask(flow: Flow): Promise<boolean>;
  /** Called once when the data plane's flow has been forgotten. */
  forget(flow: Flow): void;
}

export class Flow implements Timed {
  readonly id: number;
  readonly key: string;
  readonly profile: Profile;
  readonly scaled: boolean;
  readonly maxPayload: number;
  readonly accepted: boolean;
  readonly worker: number;
  slot: number = NO_SLOT;

  readonly #host: FlowHost;
  readonly #release: () => void;
  readonly #connection: Connection;
  #emitter!: EventEmitter<SocketEvents>;
  // Most flows are spliced and never need the two: they come when they are wanted.
  #inbox: Inbox<Uint8Array> | undefined;
  #unsent: Uint8Array[] | undefined;
  #early: readonly Uint8Array[];
  /** Datagrams that the data plane has given us. */
  #delivered = 0;
  #timer: NodeJS.Timeout | undefined;
  #application: UdpApplication | undefined;
  /** Where its datagrams go to by UDP. */
  #udpEnd: Endpoint | undefined;
  #reading = false;
  #spliced = false;
  #ended = false;
  #error: Error | undefined;
  #closeEmitted = false;
  #lastCounters: FlowCounters | undefined;
  #activity = 0;
  #activeAt = 0;
  /** While there is something to find out, or something is known that the stack's `mtu` does not say. */
  #path: FlowPath | undefined;

  constructor(host: FlowHost, init: FlowInit) {
    const { id, worker, key, profile, scaled, maxPayload, early, accepted, release } = init;
    this.#host = host;
    this.#release = release;
    this.worker = worker;
    this.id = id;
    this.key = key;
    this.accepted = accepted;
    this.profile = profile;
    this.scaled = scaled;
    this.maxPayload = maxPayload;
    this.#early = early;
    this.#connection = new Connection({ profile, ignoreRst: host.ignoreRst });
    const path = new FlowPath(this, host);
    path.begin(init);
    if (!path.isForgettable) this.#path = path;
  }

  /** Whose listeners hear of it: the Socket, before anything happens. */
  set emitter(emitter: EventEmitter<SocketEvents>) {
    this.#emitter = emitter;
  }

  get local(): Endpoint {
    return localEnd(tupleOf(this.key));
  }

  get remote(): Endpoint {
    return remoteEnd(tupleOf(this.key));
  }

  /** It has ended, in order or not. */
  get ended(): boolean {
    return this.#ended;
  }

  get path(): SocketPath {
    return (this.#path ?? new FlowPath(this, this.#host)).known;
  }

  get counters(): FlowCounters {
    return this.#lastCounters ?? this.#host.engine.flowCounters(this.id);
  }

  get receiveDrops(): number {
    return this.#inbox?.dropped ?? 0;
  }

  send(datagram: Uint8Array): void {
    this.#requireEstablished();
    // One of 0 bytes goes in a note, which phantun does not know.
    const least = this.profile === 'guise' ? 0 : 1;
    if (datagram.length < least || datagram.length > this.maxPayload) {
      throw guiseError('ERR_GUISE_DATAGRAM_SIZE', { size: datagram.length, most: this.maxPayload });
    }
    if (!this.#unsent) {
      this.#unsent = [];
      queueMicrotask(() => this.#sendUnsent());
    }
    this.#unsent.push(datagram);
  }

  spliceApplication(application: UdpApplication): void {
    const { engine, applications } = this.#host;
    this.#requireEstablished();
    if (this.#spliced) throw systemError('EISCONN', 'splice', application.remote);
    if (!applications.has(application)) throw systemError('ENOENT', 'splice', application.remote);
    if (application.worker !== this.worker)
      refuse(
        'application.worker',
        application.worker,
        `an application of worker ${this.worker}, which has the connection; \`connect\` takes \`worker\``,
      );
    this.#sendUnsent();
    const result = engine.spliceApplication(this.id, application.id, this.#waiting);
    if (result < 0) throw systemError(result, 'splice', application.remote);
    this.#takeWaiting();
    this.#spliced = true;
    const before = applications.get(application);
    if (before) before.#application = undefined;
    applications.set(application, this);
    this.#application = application;
    this.#udpEnd = application.remote;
  }

  unsplice(): void {
    if (!this.#application) return;
    const { applications } = this.#host;
    if (applications.has(this.#application)) applications.set(this.#application, undefined);
    this.#application = undefined;
    this.#host.engine.unsplice(this.id);
  }

  spliceUdp(remote: Endpoint): void {
    const { engine } = this.#host;
    this.#requireEstablished();
    if (this.#spliced) throw systemError('EISCONN', 'splice', remote);
    this.#sendUnsent();
    const result = engine.spliceUdp(this.id, remote, this.#waiting);
    if (result < 0) throw systemError(result, engine.lastSyscall, remote);
    this.#takeWaiting();
    this.#spliced = true;
    this.#udpEnd = remote;
  }

  close(): void {
    this.#sendUnsent();
    this.#apply(this.#connection.close());
    if (this.#ended) this.#emitEnd();
  }

  abort(): void {
    this.#apply(this.#connection.abort());
    if (this.#ended) this.#emitEnd();
  }

  /** Resolves when `'close'` has been emitted. */
  async closed(): Promise<void> {
    if (!this.#closeEmitted) await new Promise<void>((resolve) => this.#emitter.once('close', () => resolve()));
  }

  /** Has the data plane give us what it holds, and what comes. */
  read(): Inbox<Uint8Array> {
    if (!this.#reading && !this.#spliced && this.#lastCounters === undefined) {
      this.#reading = true;
      this.#host.engine.readFlow(this.id);
    }
    return this.#received();
  }

  /** A datagram from the data plane. */
  receiveDatagram(datagram: Uint8Array): void {
    this.#delivered++;
    if (this.#closeEmitted) return;
    this.#received().put(datagram);
    if (this.#ended && !this.#isHeld) this.#emitEnd();
  }

  /** A RST or a FIN, which the data plane has found valid. */
  receiveSegment({ flags, seq, payload }: Segment): void {
    // The other end has found out first, and closed.
    if (this.#path?.isProxied) return this.recut();
    if (flags & RST) this.#apply(this.#connection.reset());
    else this.#apply(this.#connection.finished(), (seq + payload.length + 1) >>> 0);
  }

  /** A datagram has left that the path may not carry. */
  sentLarge(size: number, now: number): void {
    if (!this.#ended) this.#findPath().sentLarge(size, now);
  }

  /** The peer has had a probe. */
  probeAnswered(token: number, payload: number, now: number): void {
    if (!this.#ended && this.#path?.probeAnswered(token, payload, now)) this.recut();
  }

  /** Somebody on the path has not passed on a segment that is under way. */
  icmpError({ kind, mtu, from }: IcmpError, now: number): void {
    if (kind === 'tooBig' && !this.#ended) this.#findPath().tooBig(mtu, from, now);
  }

  /** The path's limit is another one now. */
  pathChanged(): void {
    emit(this.#emitter, 'path', this.path);
  }

  /** Something on the path cuts or joins segments. */
  recut(): void {
    this.#apply(this.#connection.recut());
  }

  /** Asks the peer whether segments come as they left, where that is due. When to check next, or Infinity. */
  checkBoundaries(now: number, turns: Turns): number {
    if (!this.#path || this.#ended) return Infinity;
    const { next, recut } = this.#path.checkBoundaries(now, turns);
    if (recut) this.recut();
    if (this.#path.isForgettable) this.#path = undefined;
    return next;
  }

  /** The UDP side takes no datagrams, as a negative errno says, or is heard again: 0. */
  receiveRefused(errno: number): void {
    if (this.#closeEmitted) return;
    if (errno === 0) emit(this.#emitter, 'answered');
    else emit(this.#emitter, 'refused', systemError(errno, 'send', this.#udpEnd));
  }

  /** The host has lost this side's address. */
  loseAddress(): void {
    this.#apply(this.#connection.addressLost());
  }

  /** From now on `checkLiveness` finds out whether the peer lives. */
  startLiveness(options: LivenessOptions, now: number): void {
    this.#connection.startLiveness(options, now, this.#host.engine.flowSigns(this.id));
  }

  /** Probes the peer where that is due, and ends the connection when it is dead. When to check next, or Infinity. */
  checkLiveness(now: number): number {
    const { engine } = this.#host;
    if (this.#connection.hasLiveness) this.#apply(this.#connection.checkLiveness(now, engine.flowSigns(this.id)));
    if (this.#connection.isWatched) engine.watchSending(this.id);
    return this.#connection.nextCheck;
  }

  /** A datagram has left, the first for some time. When to check next, or Infinity. */
  awake(now: number): number {
    this.#connection.awake(now);
    return this.#connection.nextCheck;
  }

  /**
   * Milliseconds without a datagram in either direction. Of a client that probes us only what it sends counts: a backend
   * that goes on sending must not keep a dead one.
   */
  idleTime(now: number): number {
    const { engine } = this.#host;
    const probed = this.profile === 'guise' && !this.#connection.hasLiveness;
    const read = (): number => (probed ? engine.flowSigns(this.id).received : engine.flowActivity(this.id));
    const activity = this.#connection.state === 'established' ? read() : 0;
    if (activity !== this.#activity || this.#activeAt === 0) {
      this.#activity = activity;
      this.#activeAt = now;
    }
    return now - this.#activeAt;
  }

  #requireEstablished(): void {
    if (this.#connection.state !== 'established') throw guiseError('ERR_GUISE_CLOSED', { what: 'socket' });
  }

  #received(): Inbox<Uint8Array> {
    if (this.#inbox) return this.#inbox;
    this.#inbox = new Inbox<Uint8Array>({
      emitter: this.#emitter,
      event: 'message',
      limit: CONNECTION.receiveQueueBytes,
      cost: ({ length }) => length + CONNECTION.datagramOverhead,
    });
    for (const each of this.#early) this.#inbox.put(each);
    this.#early = [];
    if (this.#closeEmitted) this.#inbox.end(this.#error);
    return this.#inbox;
  }

  /** What has come and was not taken. */
  get #waiting(): readonly Uint8Array[] {
    return this.#inbox?.waiting ?? this.#early;
  }

  /** What has come goes another way. */
  #takeWaiting(): void {
    this.#early = [];
    this.#inbox?.clear();
  }

  #sendUnsent(): void {
    const unsent = this.#unsent;
    this.#unsent = undefined;
    if (unsent && this.#connection.state === 'established') this.#host.engine.sendDatagrams(this.id, unsent);
  }

  /** Does what the connection wants. `receiveNext` is behind the peer's FIN, which takes a number. */
  #apply({ send, ask, wait, ended, forget }: ConnectionStep, receiveNext?: number): void {
    // After an error the application stays, for another connection; else it goes with this one.
    if (ended !== undefined && ended !== 'closed') this.unsplice();
    if (this.#application && (send === 'fin' || send === 'reset' || forget)) {
      this.#host.applications.delete(this.#application);
      this.#application = undefined;
    }
    if (send) sendControl(this.#host.engine, this, send, receiveNext);
    if (ask) void this.#ask();
    if (wait !== undefined) this.#wait(wait);
    if (ended) this.#end(ended);
    if (forget) this.#forget();
    if (this.#ended && (forget || !this.#isHeld)) this.#emitEnd();
  }

  async #ask(): Promise<void> {
    if (await this.#host.ask(this)) this.#connection.answeredElsewhere();
  }

  #end(why: NonNullable<ConnectionStep['ended']>): void {
    this.#ended = true;
    this.#path?.end();
    if (why !== 'closed') this.#error = systemError(why, 'read', this.remote);
    // What came before the peer's FIN is to be had after it.
    else if (this.#isHeld) this.read();
  }

  /** Whether the data plane has datagrams for JavaScript that have not come here. */
  get #isHeld(): boolean {
    if (this.#spliced || this.#lastCounters) return false;
    const { receivedDatagrams, receivedDrops } = this.counters;
    return receivedDatagrams - receivedDrops > this.#delivered;
  }

  /** Tells the listeners, and whoever iterates. */
  #emitEnd(): void {
    if (this.#closeEmitted) return;
    this.#closeEmitted = true;
    const iterated = this.#inbox?.hasIterators ?? false;
    this.#inbox?.end(this.#error);
    if (this.#error && (!iterated || this.#emitter.listenerCount('error') > 0)) {
      emit(this.#emitter, 'error', this.#error);
    }
    emit(this.#emitter, 'close');
  }

  #findPath(): FlowPath {
    this.#path ??= new FlowPath(this, this.#host);
    return this.#path;
  }

  #wait(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#apply(this.#connection.timeout()), milliseconds);
    // What only answers a repeated FIN keeps no process alive.
    if (this.#connection.state === 'lastAck') this.#timer.unref();
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#lastCounters = this.#host.engine.flowCounters(this.id);
    this.#host.engine.closeFlow(this.id);
    this.#host.forget(this);
    this.#release();
  }
}
