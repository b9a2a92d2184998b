/** Two machines of TCP, and a network between them that does to segments what networks do; on a clock of its own. */
import { Connection } from '../../../src/netstack/tcp/connection.js';
import type { Application, Carrier, Failure } from '../../../src/netstack/tcp/application.js';
import type { ConnectionOptions } from '../../../src/netstack/tcp/options.js';
import { ACK, FIN, IncomingSegment, OutgoingSegment, PSH, RST, SYN } from '../../../src/netstack/tcp/segment.js';
import { answerStray } from '../../../src/netstack/tcp/stray.js';

export const DEFAULTS: ConnectionOptions = {
  isn: 0,
  mtu: 1500,
  ipHeader: 20,
  congestion: 'cubic',
  sendBuffer: 65_536,
  sendBufferMost: 4_194_304,
  receiveBuffer: 65_536,
  receiveBufferMost: 4_194_304,
  timestamps: true,
  timestampOffset: 7,
  windowScaling: true,
  sack: true,
  ecn: 'accept',
  noDelay: true,
  synRetries: 6,
  retries: 15,
  keepAliveTime: 0,
  keepAliveInterval: 1000,
  keepAliveProbes: 5,
  userTimeout: 0,
  timeWait: 60_000,
  delayedAck: 40,
};

/** A segment on its way. */
export interface Sent {
  readonly from: End;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  ecn: number;
  readonly mss: number;
  readonly scale: number;
  readonly sackPermitted: boolean;
  readonly hasTimestamp: boolean;
  readonly timestamp: number;
  readonly timestampEcho: number;
  readonly sack: readonly number[];
  readonly payload: Uint8Array;
  readonly at: number;
}

/** What becomes of a segment: the delays in ms after which it arrives; none: it is lost. */
export type Path = (segment: Sent, now: number) => readonly number[];

const BUDGET = 64 * 1024 * 1024;

export class End implements Carrier<Connection>, Application {
  readonly simulation: Simulation;
  readonly name: string;
  connection: Connection | undefined;
  options: ConnectionOptions;
  listens = false;
  /** Reads at once; else `read` does. */
  reads = true;
  readonly chunks: Uint8Array[] = [];
  received_ = 0;
  unread = 0;
  acknowledged_ = 0;
  isEstablished = false;
  hasEnded = false;
  isClosed = false;
  failure: Failure | undefined;
  granted = 0;
  challenges = 0;
  released_ = 0;
  other!: End;

  constructor(simulation: Simulation, name: string, options: Partial<ConnectionOptions>) {
    this.simulation = simulation;
    this.name = name;
    this.options = { ...DEFAULTS, ...options };
  }

  open(application: Application | undefined = this): Connection {
    this.connection = new Connection(this, application, this.options);
    return this.connection;
  }
  connect(): Connection {
    const connection = this.open();
    connection.connect(this.simulation.now);
    return connection;
  }

  /** Everything that was received, in one piece. */
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  read(bytes = this.unread): void {
    this.unread -= bytes;
    this.connection?.consumed(bytes, this.simulation.now);
  }

  // Application
  established(): void {
    this.isEstablished = true;
  }
  received(chunk: Uint8Array): void {
    this.chunks.push(chunk);
    this.received_ += chunk.length;
    if (this.reads) this.connection?.consumed(chunk.length, this.simulation.now);
    else this.unread += chunk.length;
  }
  ended(): void {
    this.hasEnded = true;
  }
  acknowledged(bytes: number): void {
    this.acknowledged_ += bytes;
  }
  closed(failure: Failure | undefined): void {
    if (this.isClosed) throw new Error('closed twice');
    this.isClosed = true;
    this.failure = failure;
  }

  // Carrier
  send(_: Connection, segment: OutgoingSegment): void {
    this.simulation.carry(this, segment);
  }
  changed(): void {}
  released(connection: Connection): void {
    if (this.connection === connection) this.connection = undefined;
    this.released_ += 1;
  }
  grant(bytes: number): number {
    const given = Math.min(bytes, BUDGET - this.granted);
    this.granted += given;
    return given;
  }
  giveBack(bytes: number): void {
    this.granted -= bytes;
  }
  mayChallenge(): boolean {
    this.challenges += 1;
    return true;
  }
}

export class Simulation {
  now = 1000;
  readonly a: End;
  readonly b: End;
  /** Everything that left, whether it arrived or not. */
  readonly log: Sent[] = [];
  path: Path;
  #flying: { at: number; order: number; segment: Sent }[] = [];
  #order = 0;
  readonly #incoming = new IncomingSegment();

  constructor({ a = {}, b = {}, path = () => [10] }: SimulationOptions = {}) {
    this.path = path;
    this.a = new End(this, 'a', { isn: 1000, ...a });
    this.b = new End(this, 'b', { isn: 5000, ...b });
    this.a.other = this.b;
    this.b.other = this.a;
    this.b.listens = true;
  }

  /** A segment leaves: a super-segment as the segments that it is cut into. */
  carry(from: End, out: OutgoingSegment): void {
    let at = 0;
    do {
      const size = Math.min(out.segmentSize || out.size, out.size - at);
      const isLast = at + size === out.size;
      const segment: Sent = {
        from,
        seq: (out.seq + at) | 0,
        ack: out.ack,
        flags: isLast ? out.flags : out.flags & ~(FIN | PSH),
        window: out.window,
        ecn: out.ecn,
        mss: out.mss,
        scale: out.scale,
        sackPermitted: out.sackPermitted,
        hasTimestamp: out.hasTimestamp,
        timestamp: out.timestamp,
        timestampEcho: out.timestampEcho,
        sack: [...out.sack.subarray(0, 2 * out.sackCount)],
        payload: payloadOf(out, at, size),
        at: this.now,
      };
      this.log.push(segment);
      for (const delay of this.path(segment, this.now)) this.inject(segment, delay);
      at += size;
    } while (at < out.size);
  }

  /** Lets a segment arrive at the other end after `delay` ms. */
  inject(segment: Sent, delay = 0): void {
    const entry = { at: this.now + delay, order: this.#order++, segment };
    let i = this.#flying.length;
    while (i > 0 && this.#flying[i - 1]!.at > entry.at) i -= 1;
    this.#flying.splice(i, 0, entry);
  }

  #arrive({ segment }: { segment: Sent }): void {
    const to = segment.from.other;
    const s = this.#incoming;
    s.seq = segment.seq;
    s.ack = segment.ack;
    s.flags = segment.flags;
    s.window = segment.window;
    s.ecn = segment.ecn;
    s.mss = segment.mss;
    s.scale = segment.scale;
    s.sackPermitted = segment.sackPermitted;
    s.hasTimestamp = segment.hasTimestamp;
    s.timestamp = segment.timestamp;
    s.timestampEcho = segment.timestampEcho;
    s.sackCount = segment.sack.length / 2;
    s.sack.set(segment.sack);
    s.slab = segment.payload;
    s.offset = 0;
    s.size = segment.payload.length;
    s.segmentSize = s.size;
    if (to.connection?.arrive(s, this.now)) return;
    if (!to.connection && to.listens && (s.flags & (SYN | RST | ACK)) === SYN) {
      to.open().accept(s, this.now);
      return;
    }
    const out = new OutgoingSegment();
    if (answerStray(s, out)) this.carry(to, out);
  }

  flush(): void {
    for (const end of [this.a, this.b]) end.connection?.flush(this.now);
  }

  /** The next thing happens; false: nothing will before `until`. */
  step(until: number): boolean {
    this.flush();
    const arrival = this.#flying[0]?.at ?? Infinity;
    const tick = Math.min(this.a.connection?.deadline ?? Infinity, this.b.connection?.deadline ?? Infinity);
    const next = Math.min(arrival, tick);
    if (next > until) {
      this.now = until === Infinity ? this.now : until;
      return false;
    }
    this.now = Math.max(this.now, next);
    if (arrival <= tick) this.#arrive(this.#flying.shift()!);
    for (const end of [this.a, this.b]) {
      if (end.connection && end.connection.deadline <= this.now) end.connection.tick(this.now);
    }
    this.flush();
    return true;
  }

  /** Until something holds; throws when it never does. */
  until(condition: () => boolean, most = 3_600_000): void {
    const end = this.now + most;
    while (!condition()) if (!this.step(end)) throw new Error('it never came');
  }

  /** For some ms. */
  run(milliseconds: number): void {
    const end = this.now + milliseconds;
    while (this.step(end));
  }

  connect(): void {
    this.a.connect();
    this.until(() => this.a.isEstablished && this.b.isEstablished);
  }

  sentBy(end: End, from = 0): Sent[] {
    return this.log.slice(from).filter((segment) => segment.from === end);
  }
}

export interface SimulationOptions {
  readonly a?: Partial<ConnectionOptions>;
  readonly b?: Partial<ConnectionOptions>;
  readonly path?: Path;
}

function payloadOf(out: OutgoingSegment, from: number, size: number): Uint8Array {
  const payload = new Uint8Array(size);
  let at = 0;
  let skip = out.offset + from;
  for (let i = out.first; at < size; ++i) {
    const chunk = out.chunks[i]!;
    if (skip >= chunk.length) {
      skip -= chunk.length;
      continue;
    }
    const part = chunk.subarray(skip, skip + size - at);
    payload.set(part, at);
    at += part.length;
    skip = 0;
  }
  return payload;
}

/** Bytes of which each tells its place. */
export function pattern(size: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; ++i) bytes[i] = ((from + i) * 31 + ((from + i) >> 8)) & 255;
  return bytes;
}
