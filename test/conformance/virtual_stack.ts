/**
 * Connections on a clock that nobody but the script moves: packets in and out as bytes, sockets by tuple, and what leaves
 * kept until the script looks at it.
 */
import type { Carrier, Failure } from '../../src/netstack/tcp/application.js';
import { Connection } from '../../src/netstack/tcp/connection.js';
import { ACK, OutgoingSegment, RST, SYN, type IncomingSegment } from '../../src/netstack/tcp/segment.js';
import { answerStray } from '../../src/netstack/tcp/stray.js';
import { buildPacket, parsePacket, tupleKey, type IcmpError, type Piece, type Tuple } from './packet.js';
import { Segmentation, uncut } from './segmentation.js';
import { connectionOptions } from './sysctls.js';
import { TcpSocket, type Place } from './tcp_socket.js';

interface Endpoint {
  readonly connection: Connection;
  readonly tuple: Tuple;
  readonly socket: TcpSocket;
  readonly segmentation: Segmentation;
}

/** A packet that has left. */
export interface Departure {
  readonly bytes: Uint8Array;
  readonly microseconds: number;
}

const FIRST_EPHEMERAL_PORT = 32_768;
const FIRST_ISN = 0x1000_0000;
/** Far from 0, so that no time is taken for "never". */
const START = 1_000_000_000;

export class VirtualStack implements Carrier<Connection> {
  /** Microseconds. */
  now = START;
  /** What has left, the oldest first. */
  readonly departures: Departure[] = [];
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #byConnection = new Map<Connection, Endpoint>();
  readonly #listeners = new Set<TcpSocket>();
  readonly #changed = new Set<Connection>();
  #opened = 0;

  /** Milliseconds, as the machine counts. */
  get milliseconds(): number {
    return this.now / 1000;
  }

  /** When something is due, microseconds; Infinity when nothing is. */
  get due(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { connection } of this.#endpoints.values()) due = Math.min(due, connection.deadline);
    // A deadline between two microseconds is met by the later.
    return Math.ceil(due * 1000);
  }

  /** Moves the clock, not beyond what is due next, and does what is due. */
  moveTo(microseconds: number): void {
    for (const { connection, socket } of this.#endpoints.values()) {
      socket.limits.pass(connection, microseconds - this.now);
    }
    this.now = microseconds;
    for (const { connection } of [...this.#endpoints.values()]) {
      if (connection.deadline <= this.milliseconds) connection.tick(this.milliseconds);
    }
    this.settle();
  }

  /** The end of a batch: what connections have to send leaves. */
  settle(): void {
    while (this.#changed.size > 0) {
      const connections = [...this.#changed];
      this.#changed.clear();
      for (const connection of connections) {
        if (this.#byConnection.has(connection)) connection.flush(this.milliseconds);
      }
    }
  }

  listen(socket: TcpSocket): void {
    socket.ready ??= [];
    this.#listeners.add(socket);
  }

  connect(socket: TcpSocket, remote: Place): void {
    const isIpv6 = remote.address.length === 16;
    const address = isIpv6 ? [0xfd, 0x3d, 0xfa, 0x7b, 0xd1, 0x7d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] : [192, 168, 0, 1];
    socket.local ??= { address: Uint8Array.from(address), port: FIRST_EPHEMERAL_PORT + this.#opened };
    socket.remote = remote;
    this.#open(socket, false).connect(this.milliseconds);
    this.settle();
  }

  /** Ends what a socket has, as close() does. */
  close(socket: TcpSocket): void {
    this.#listeners.delete(socket);
    for (const child of socket.ready ?? []) child.connection?.abort(this.milliseconds);
    if (socket.connection && !socket.isOver) {
      if (socket.resetsOnClose) socket.connection.abort(this.milliseconds);
      else socket.connection.leave(this.milliseconds);
    }
    this.settle();
  }

  arrive(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (packet?.kind === 'tcp') this.#segment(packet.tuple, packet.segment);
    else if (packet) this.#error(packet.error);
    this.settle();
  }

  #segment(tuple: Tuple, segment: IncomingSegment): void {
    const connection = this.#endpoints.get(tupleKey(tuple))?.connection;
    if (connection?.arrive(segment, this.milliseconds)) return;
    const listener = this.#listenerOf(tuple);
    const isSyn = (segment.flags & (SYN | ACK | RST)) === SYN;
    if (!listener || !isSyn) {
      const answer = new OutgoingSegment();
      if (answerStray(segment, answer)) this.#depart(tuple, answer, uncut(answer));
      return;
    }
    const socket = new TcpSocket(listener.isIpv6, () => this.milliseconds, listener);
    socket.local = { address: tuple.local, port: tuple.localPort };
    socket.remote = { address: tuple.remote, port: tuple.remotePort };
    this.#open(socket, true).accept(segment, this.milliseconds);
  }

  #error({ tuple, seq, mtu, type, code }: IcmpError): void {
    const connection = this.#endpoints.get(tupleKey(tuple))?.connection;
    if (!connection) return;
    if (mtu > 0) connection.tooBig(mtu, seq, this.milliseconds);
    else connection.unreachable(failureOf(tuple, type, code), seq);
  }

  #listenerOf({ local, localPort }: Tuple): TcpSocket | undefined {
    return [...this.#listeners].find((listener) => {
      const { address, port } = listener.local!;
      return port === localPort && (address.every((byte) => byte === 0) || Buffer.compare(address, local) === 0);
    });
  }

  #open(socket: TcpSocket, isPassive: boolean): Connection {
    const { local, remote } = socket;
    const tuple = {
      local: local!.address,
      localPort: local!.port,
      remote: remote!.address,
      remotePort: remote!.port,
    };
    const isn = (FIRST_ISN * ++this.#opened) | 0;
    const options = connectionOptions(socket, isn, tuple.local.length === 16, isPassive);
    const connection = new Connection(this, socket, options);
    const endpoint = { connection, tuple, socket, segmentation: new Segmentation() };
    socket.connection = connection;
    this.#endpoints.set(tupleKey(tuple), endpoint);
    this.#byConnection.set(connection, endpoint);
    return connection;
  }

  // What carries segments.

  send(connection: Connection, segment: OutgoingSegment): void {
    const { tuple, segmentation } = this.#byConnection.get(connection)!;
    this.#depart(tuple, segment, segmentation.cut(segment, connection.info()));
  }

  changed(connection: Connection): void {
    this.#changed.add(connection);
  }

  released(connection: Connection): void {
    const endpoint = this.#byConnection.get(connection);
    if (!endpoint) return;
    this.#byConnection.delete(connection);
    const key = tupleKey(endpoint.tuple);
    if (this.#endpoints.get(key) === endpoint) this.#endpoints.delete(key);
  }

  grant(bytes: number): number {
    return bytes;
  }

  giveBack(): void {}

  mayChallenge(): boolean {
    return true;
  }

  #depart(tuple: Tuple, segment: OutgoingSegment, pieces: readonly Piece[]): void {
    for (const piece of pieces) {
      this.departures.push({ bytes: buildPacket(tuple, segment, piece), microseconds: this.now });
    }
  }
}

function failureOf({ local }: Tuple, type: number, code: number): Failure {
  if (local.length === 16) return type === 1 && code === 4 ? 'ECONNREFUSED' : 'EHOSTUNREACH';
  if (code === 0) return 'ENETUNREACH';
  return code === 3 ? 'ECONNREFUSED' : 'EHOSTUNREACH';
}
