/** Segments of no connection: SYNs that open one, ACKs that bring a SYN cookie back, and all others, which are refused. */
import { FACT, IN, ROW, type PacketPort } from '../../native/packet_port.js';
import { NETSTACK_TCP } from '../../policy.js';
import type { AddressBook } from '../ip/addresses.js';
import type { Loop } from '../loop/loop.js';
import type { ConnectionFactory, SharedOptions } from './connection_factory.js';
import { initialSequence, ISN_WORD, TIMESTAMP_WORD } from './hash_words.js';
import { makeCookie, mayComeBack, readCookie } from './syn_cookie.js';
import { TcpEnd, type Arrival } from '../tcp_end.js';
import { ACK, OutgoingSegment, RST, SYN, type IncomingSegment } from '../tcp/segment.js';
import { answerStray, blank } from '../tcp/stray.js';
import { ListenerTable } from './listener_table.js';

const MOST_SCALE = 14;

/** Whom connections are made for. */
export interface Acceptor {
  /** As many wait for somebody to take them as may: no SYN is answered. What had been answered may still join them. */
  readonly isFull: boolean;
  /** The handshake is done. */
  accepted(end: TcpEnd): void;
}

export interface PassiveCounters {
  /** SYNs that a connection was kept for, SYNs answered by a cookie, cookies that came back. */
  synsKept: number;
  cookiesSent: number;
  cookiesReturned: number;
  /** SYNs that were not answered: as many connections waited or were open as may. */
  synsDropped: number;
  /** Segments of no connection that were answered with a RST. */
  resetsSent: number;
  accepted: number;
}

export class PassiveOpen implements Arrival {
  readonly listeners = new ListenerTable<Acceptor>();
  readonly counters: PassiveCounters = {
    synsKept: 0,
    cookiesSent: 0,
    cookiesReturned: 0,
    synsDropped: 0,
    resetsSent: 0,
    accepted: 0,
  };
  readonly #loop: Loop;
  readonly #port: PacketPort;
  readonly #book: AddressBook;
  readonly #factory: ConnectionFactory;
  readonly #shared: SharedOptions;
  readonly #mostConnections: number;
  readonly #out = new OutgoingSegment();
  /** Handshakes that are not done. */
  #halfOpen = 0;
  /** When the last cookie was made. */
  #cookieMade = -Infinity;
  /** The row that is being looked at, for the hash. */
  #row = 0;
  readonly #hash = (word: number): number => this.#port.hashRow(this.#row, word);

  constructor({ loop, book, factory, shared, mostConnections }: PassiveOptions) {
    this.#loop = loop;
    this.#port = loop.port;
    this.#book = book;
    this.#factory = factory;
    this.#shared = shared;
    this.#mostConnections = mostConnections;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  /** A segment of no connection, which the filters let pass. */
  receive(row: number, slab: Uint8Array, segment: IncomingSegment, now: number): void {
    this.#row = row;
    const { flags } = segment;
    if (flags & RST) return;
    if ((flags & (SYN | ACK)) === SYN) this.#receiveSyn(slab, segment, now);
    else if (flags & SYN || !mayComeBack(this.#cookieMade, now)) this.#refuse(segment);
    else this.#receiveAck(slab, segment, now);
  }

  opened(end: TcpEnd): void {
    this.#halfOpen--;
    const acceptor = this.listeners.find(end.localAddress, end.localPort);
    if (!acceptor) {
      end.leave(true);
      return;
    }
    this.counters.accepted++;
    acceptor.accepted(end);
  }

  /** A handshake has come to nothing. */
  failed(): void {
    this.#halfOpen--;
  }

  #receiveSyn(slab: Uint8Array, syn: IncomingSegment, now: number): void {
    const acceptor = this.#acceptorOf(slab);
    if (!acceptor) return this.#refuse(syn);
    if (acceptor.isFull || this.#loop.connectionCount >= this.#mostConnections) {
      this.counters.synsDropped++;
      return;
    }
    if (this.#halfOpen >= NETSTACK_TCP.halfOpen) return this.#sendCookie(syn, now);
    const end = this.#attach(slab, initialSequence(this.#hash(ISN_WORD), now));
    if (!end) return;
    this.counters.synsKept++;
    end.connection!.accept(syn, now);
  }

  #receiveAck(slab: Uint8Array, ack: IncomingSegment, now: number): void {
    const facts = readCookie(this.#hash, (ack.seq - 1) | 0, (ack.ack - 1) | 0, now);
    const acceptor = facts && this.#acceptorOf(slab);
    if (!acceptor) return this.#refuse(ack);
    // The peer asks again with what it sends next.
    if (acceptor.isFull || this.#loop.connectionCount >= this.#mostConnections) return;
    const end = this.#attach(slab, (ack.ack - 1) | 0);
    if (!end) return;
    this.counters.cookiesReturned++;
    const { connection } = end;
    connection!.resume({ ...facts, hasTimestamp: ack.hasTimestamp }, ack, now);
    connection!.arrive(ack, now);
  }

  #acceptorOf(slab: Uint8Array): Acceptor | undefined {
    const rows = this.#port.incoming;
    const at = this.#row * ROW;
    const isIpv6 = (rows[at + IN.facts]! & FACT.ipv6) !== 0;
    const address = this.#book.destination(slab, rows[at + IN.packet]!, isIpv6);
    return this.listeners.find(address, rows[at + IN.ports]! >>> 16);
  }

  /** Makes the connection of the row. */
  #attach(slab: Uint8Array, isn: number): TcpEnd | undefined {
    let flow = this.#port.attachRow(this.#row);
    if (flow < 0) {
      // What the peer opens again may have ended in this batch.
      this.#loop.detach();
      flow = this.#port.attachRow(this.#row);
    }
    if (flow < 0) return undefined;
    const rows = this.#port.incoming;
    const at = this.#row * ROW;
    const packet = rows[at + IN.packet]!;
    const ports = rows[at + IN.ports]!;
    const isIpv6 = (rows[at + IN.facts]! & FACT.ipv6) !== 0;
    const end = new TcpEnd(
      this.#loop,
      {
        localAddress: this.#book.destination(slab, packet, isIpv6),
        localPort: ports >>> 16,
        remoteAddress: this.#book.source(slab, packet, isIpv6),
        remotePort: ports & 0xffff,
      },
      this,
    );
    this.#halfOpen++;
    end.connection = this.#factory.make(end, flow, isIpv6, { isn, timestampOffset: this.#hash(TIMESTAMP_WORD) });
    return end;
  }

  #sendCookie(syn: IncomingSegment, now: number): void {
    const out = this.#out;
    const { timestamps, windowScaling, sack, receiveBuffer } = this.#shared;
    const isIpv6 = (this.#port.incoming[this.#row * ROW + IN.facts]! & FACT.ipv6) !== 0;
    blank(out);
    out.flags = SYN | ACK;
    const { mss, scale, sackPermitted } = syn;
    out.seq = makeCookie(this.#hash, syn.seq, { mss, scale, sackPermitted }, now);
    out.ack = (syn.seq + 1) | 0;
    out.window = Math.min(receiveBuffer, 65_535);
    out.mss = this.#port.mtu - (isIpv6 ? 60 : 40);
    if (windowScaling && syn.scale >= 0) out.scale = scaleOf(this.#shared.receiveBufferMost);
    out.sackPermitted = sack && syn.sackPermitted;
    if (timestamps && syn.hasTimestamp) {
      out.hasTimestamp = true;
      out.timestamp = (Math.floor(now) + this.#hash(TIMESTAMP_WORD)) | 0;
      out.timestampEcho = syn.timestamp;
    }
    this.#loop.outlet.answer(this.#row, out);
    this.#cookieMade = now;
    this.counters.cookiesSent++;
  }

  #refuse(segment: IncomingSegment): void {
    if (!answerStray(segment, this.#out)) return;
    this.#loop.outlet.answer(this.#row, this.#out);
    this.counters.resetsSent++;
  }
}

/** The scale that a window of so many bytes needs (RFC 7323 §2.3), as the connection that comes of it has it. */
function scaleOf(window: number): number {
  let scale = 0;
  while (scale < MOST_SCALE && 65_535 * 2 ** scale < window) scale++;
  return scale;
}

export interface PassiveOptions {
  readonly loop: Loop;
  readonly book: AddressBook;
  readonly factory: ConnectionFactory;
  readonly shared: SharedOptions;
  /** Connections at the same time. */
  readonly mostConnections: number;
}
