/**
 * What drives the machine: packets that come, calls of users, and time. A batch of packets is read in one call; each
 * connection that something has happened to is served once when the batch ends, or behind the task in which its user has
 * called. It is what carries segments, too: see `Carrier`.
 */
import { IN, KIND, ROW, TCP, type PacketPort } from '../../native/packet_port.js';
import { NETSTACK_LOOP, NETSTACK_TCP } from '../../policy.js';
import { RateLimit } from '../../kit/rate_limit.js';
import type { Carrier } from '../tcp/application.js';
import type { Connection } from '../tcp/connection.js';
import { STATE } from '../tcp/states.js';
import { IncomingSegment, type OutgoingSegment } from '../tcp/segment.js';
import type { BufferBudget } from './buffer_budget.js';
import { Outlet } from './outlet.js';
import { readSegment } from './rows.js';
import { Slab } from './slab.js';
import { TimingWheel } from './timing_wheel.js';

/** Whom packets go to that are of no TCP connection. */
export interface Receivers {
  /** A TCP segment of no connection; `row` of the batch, until it is left. */
  stray(row: number, slab: Uint8Array, segment: IncomingSegment, now: number): void;
  /** A packet of another protocol. A part of it that is larger than `NETSTACK_LOOP.copiedBytes` may be kept. */
  other(row: number, slab: Uint8Array, now: number): void;
  /** When `tick` wants to be called, for what is not TCP; Infinity: never. */
  readonly deadline: number;
  tick(now: number): void;
  /** The connection of a flow has left the machine. */
  released(connection: Connection): void;
  /** No connection is left that its user has left. */
  drained(): void;
  /** The device is gone: a negative errno. */
  gone(errno: number): void;
}

/** What is known of each flow, bits. */
const QUEUED = 1;
const LEFT = 2;
const WAITS = 4;

export class Loop implements Carrier<Connection> {
  readonly port: PacketPort;
  readonly outlet: Outlet;
  readonly budget: BufferBudget;
  /** By their flows. */
  readonly connections: (Connection | undefined)[] = [];
  #receivers!: Receivers;
  readonly #slab = new Slab();
  readonly #segment = new IncomingSegment();
  readonly #wheel = new TimingWheel(performance.now());
  readonly #challenges = new RateLimit(NETSTACK_TCP.challengesPerSecond);
  #flags = new Uint8Array(64);
  /** Connections to be served, the first `#changedCount`. */
  readonly #changed: (Connection | undefined)[] = [];
  #changedCount = 0;
  /** In TIME-WAIT, the oldest first; some have gone on. */
  #waiting: (Connection | undefined)[] = [];
  #waitingFirst = 0;
  #waitingCount = 0;
  #connectionCount = 0;
  /** Flows of connections that have gone. */
  readonly #detaching: number[] = [];
  /** When the batch began that is being served; 0 outside of one. */
  #batchTime = 0;
  #isScheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Infinity;
  #holds = 0;
  #keeper: NodeJS.Timeout | undefined;
  #leftCount = 0;
  #isClosed = false;

  constructor(port: PacketPort, budget: BufferBudget) {
    this.port = port;
    this.budget = budget;
    this.outlet = new Outlet(port);
  }

  /** Packets are read from now on. */
  start(receivers: Receivers): void {
    this.#receivers = receivers;
    this.port.watch(() => this.#read());
  }

  /** Milliseconds of the one clock; within a batch it stands still. */
  now(): number {
    return this.#batchTime || performance.now();
  }

  /** Connections, with those in TIME-WAIT. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Connections whose users have left them, and that still have something to tell their peers. */
  get leftCount(): number {
    return this.#leftCount;
  }

  /** The connection of a tuple of the port. */
  connectionOf(tuple: Uint8Array): Connection | undefined {
    const flow = this.port.find(TCP, tuple);
    return flow < 0 ? undefined : this.connections[flow];
  }

  /** A connection gets its flow, before anything else happens to it. */
  adopt(connection: Connection, flow: number): void {
    connection.flow = flow;
    while (this.connections.length <= flow) this.connections.push(undefined);
    this.connections[flow] = connection;
    this.#connectionCount++;
    if (flow >= this.#flags.length) {
      const larger = new Uint8Array(2 * flow);
      larger.set(this.#flags);
      this.#flags = larger;
    }
    this.#flags[flow] = 0;
  }

  /** The user of a connection has left it: until both streams have ended, it keeps the process alive. */
  left(connection: Connection): void {
    const { flow } = connection;
    if (flow < 0 || this.#flags[flow]! & LEFT) return;
    this.#flags[flow]! |= LEFT;
    this.#leftCount++;
    this.hold();
  }

  /** The process stays alive until `release` was called as often. */
  hold(): void {
    // A timer, since a port without a device has nothing that lasts.
    if (this.#holds++ === 0) this.#keeper = setInterval(() => {}, NETSTACK_LOOP.longestTimer);
  }

  release(): void {
    if (--this.#holds === 0) clearInterval(this.#keeper);
  }

  /** A deadline of what is not TCP may be earlier than it was. */
  deadlineChanged(): void {
    if (this.#batchTime === 0) this.#schedule();
  }

  send(connection: Connection, segment: OutgoingSegment): void {
    if (connection.flow >= 0) this.outlet.send(connection.flow, segment);
    this.#flushLater();
  }

  changed(connection: Connection): void {
    const { flow } = connection;
    if (flow < 0 || this.#flags[flow]! & QUEUED) return;
    this.#flags[flow]! |= QUEUED;
    this.#changed[this.#changedCount++] = connection;
    this.#flushLater();
  }

  released(connection: Connection): void {
    const { flow } = connection;
    if (flow < 0) return;
    this.connections[flow] = undefined;
    // What it has said last, a RST perhaps, has to leave first.
    this.#detaching.push(flow);
    this.#flushLater();
    this.#wheel.clear(flow);
    if (this.#flags[flow]! & LEFT) this.#endLeft(flow);
    if (this.#flags[flow]! & WAITS) this.#waitingCount--;
    this.#flags[flow] = 0;
    this.#connectionCount--;
    connection.flow = -1;
    this.#receivers.released(connection);
  }

  grant(bytes: number): number {
    return this.budget.take(bytes);
  }

  giveBack(bytes: number): void {
    this.budget.giveBack(bytes);
  }

  mayChallenge(now: number): boolean {
    return this.#challenges.take(now);
  }

  /** Frees the tuples of connections that have gone; else they are free behind the batch. */
  detach(): void {
    this.outlet.flush();
    for (const flow of this.#detaching) this.port.detach(flow);
    this.#detaching.length = 0;
  }

  /** Sends what there is to be sent, and nothing from now on. */
  stop(): void {
    this.#serve(performance.now());
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#keeper);
  }

  #read(): void {
    if (this.#isClosed) return;
    const now = performance.now();
    this.#batchTime = now;
    try {
      this.#slab.makeRoom();
      const count = this.port.read(this.#slab.bytes, this.#slab.at);
      if (count < 0) return this.#receivers.gone(count);
      this.#dispatch(count, now);
    } finally {
      this.#batchTime = 0;
      this.#serve(now);
    }
  }

  #dispatch(count: number, now: number): void {
    const rows = this.port.incoming;
    const segment = this.#segment;
    const slab = this.#slab;
    for (let row = 0; row < count; row++) {
      if (this.#isClosed) return;
      const at = row * ROW;
      if (rows[at + IN.kind] !== KIND.tcp) {
        const end = rows[at + IN.packet]! + rows[at + IN.packetSize]!;
        if (rows[at + IN.packetSize]! > NETSTACK_LOOP.copiedBytes) slab.keep(end);
        this.#receivers.other(row, slab.bytes, now);
        continue;
      }
      readSegment(rows, row, segment);
      slab.give(rows, row, segment);
      const flow = rows[at + IN.flow]!;
      const connection = flow < 0 ? undefined : this.connections[flow];
      // What comes for a connection that has gone in this batch is answered when it comes again.
      const isStray = connection ? !connection.arrive(segment, now) : flow < 0;
      if (isStray) this.#receivers.stray(row, slab.bytes, segment, now);
    }
  }

  #flushLater(): void {
    if (this.#batchTime !== 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#serve(performance.now());
    });
  }

  /** Has everybody who has something send it. */
  #serve(now: number): void {
    if (this.#isClosed) return;
    const changed = this.#changed;
    for (let each = 0; each < this.#changedCount; each++) {
      const connection = changed[each]!;
      changed[each] = undefined;
      if (connection.flow < 0) continue;
      connection.flush(now);
      const { flow } = connection;
      if (flow < 0) continue;
      this.#flags[flow]! &= ~QUEUED;
      this.#wheel.set(flow, connection.deadline);
      if (connection.state === STATE.timeWait && !(this.#flags[flow]! & WAITS)) this.#startWaiting(connection);
    }
    this.#changedCount = 0;
    this.detach();
    this.#schedule();
  }

  #endLeft(flow: number): void {
    this.#flags[flow]! &= ~LEFT;
    this.release();
    if (--this.#leftCount === 0) this.#receivers.drained();
  }

  /** The tuples of so many are kept from others; the oldest goes when it is more. */
  #startWaiting(connection: Connection): void {
    const { flow } = connection;
    this.#flags[flow]! |= WAITS;
    this.#waitingCount++;
    if (this.#flags[flow]! & LEFT) this.#endLeft(flow);
    this.#waiting.push(connection);
    while (this.#waitingCount > NETSTACK_TCP.mostTimeWait || this.#waiting[this.#waitingFirst]?.flow === -1) {
      const oldest = this.#waiting[this.#waitingFirst]!;
      this.#waiting[this.#waitingFirst++] = undefined;
      if (oldest.flow >= 0) oldest.abort(this.now());
    }
    if (this.#waitingFirst < NETSTACK_TCP.mostTimeWait) return;
    this.#waiting = this.#waiting.slice(this.#waitingFirst);
    this.#waitingFirst = 0;
  }

  #schedule(): void {
    const earliest = Math.min(this.#wheel.earliest, this.#receivers.deadline);
    if (earliest >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = earliest;
    const wait = Math.max(1, Math.ceil(earliest - performance.now()));
    this.#timer = setTimeout(() => this.#tick(), Math.min(wait, NETSTACK_LOOP.longestTimer)).unref();
  }

  #tick(): void {
    this.#timerAt = Infinity;
    const now = performance.now();
    this.#batchTime = now;
    try {
      this.#wheel.take(now, (flow) => {
        const connection = this.connections[flow];
        if (!connection) return;
        if (connection.deadline <= now) connection.tick(now);
        this.changed(connection);
      });
      if (this.#receivers.deadline <= now) this.#receivers.tick(now);
    } finally {
      this.#batchTime = 0;
      this.#serve(now);
    }
  }
}
