/** A TCP socket as system calls see it: what waits to be read, and what has happened. */
import { constants } from 'node:os';
import type { Application, Failure } from '../../src/netstack/tcp/application.js';
import type { Connection } from '../../src/netstack/tcp/connection.js';
import { Limits } from './limits.js';
import type { Wishes } from './sysctls.js';

/** An address and a port; 4 bytes or 16. */
export interface Place {
  readonly address: Uint8Array;
  readonly port: number;
}

export class TcpSocket implements Application, Wishes {
  readonly isIpv6: boolean;
  isNonBlocking = false;
  local: Place | undefined;
  remote: Place | undefined;
  /** Connections that were accepted by the machine, and not yet by the script; of a socket that listens. */
  ready: TcpSocket[] | undefined;
  connection: Connection | undefined;
  /** Told once that it is connected: from then on connect() fails. */
  isConnectReported = false;

  isEstablished = false;
  /** The peer has ended its stream. */
  hasEnded = false;
  /** The connection is over. */
  isOver = false;
  /** errno of what ended it, until it is told. */
  error = 0;
  isReadShut = false;
  isWriteShut = false;

  /** Bytes that wait to be read. */
  waiting = 0;
  readonly #chunks: Uint8Array[] = [];
  /** Bytes written that the peer has not acknowledged. */
  unacknowledged = 0;
  /** When data came last, milliseconds. */
  lastReceived = 0;
  readonly limits = new Limits();

  // Options.
  mostSegment = 0;
  noDelay = false;
  synRetries = 0;
  userTimeout = 0;
  keepAlive = false;
  keepAliveTime = 7_200_000;
  keepAliveInterval = 75_000;
  keepAliveProbes = 9;
  congestion = '';
  /** SO_SNDBUF and SO_RCVBUF, doubled as Linux does; 0 when not set. */
  sendBuffer = 0;
  receiveBuffer = 0;
  /** TCP_NOTSENT_LOWAT; 0 for the sysctl's. */
  unsentLimit = 0;
  /** TCP_INQ. */
  tellsWaiting = false;
  /** SO_LINGER with 0 s: close() resets. */
  resetsOnClose = false;

  readonly #parent: TcpSocket | undefined;
  readonly #clock: () => number;

  /** `clock`: milliseconds. `parent`: the socket that listened, whose options it takes over. */
  constructor(isIpv6: boolean, clock: () => number, parent?: TcpSocket) {
    this.isIpv6 = isIpv6;
    this.#clock = clock;
    this.#parent = parent;
    if (!parent) return;
    this.mostSegment = parent.mostSegment;
    this.noDelay = parent.noDelay;
    this.userTimeout = parent.userTimeout;
    this.keepAlive = parent.keepAlive;
    this.congestion = parent.congestion;
    this.sendBuffer = parent.sendBuffer;
    this.receiveBuffer = parent.receiveBuffer;
    this.unsentLimit = parent.unsentLimit;
  }

  established(): void {
    this.isEstablished = true;
    this.lastReceived = this.#clock();
    this.#parent?.ready?.push(this);
  }

  received(chunk: Uint8Array): void {
    this.lastReceived = this.#clock();
    this.#chunks.push(chunk);
    this.waiting += chunk.length;
  }

  ended(): void {
    this.hasEnded = true;
  }

  acknowledged(bytes: number): void {
    this.unacknowledged -= bytes;
  }

  closed(failure: Failure | undefined): void {
    this.isOver = true;
    this.hasEnded = true;
    if (failure) this.error = constants.errno[failure];
  }

  /** Takes at most `most` bytes; with `peek` they stay. */
  take(most: number, peek: boolean): Buffer {
    const bytes = Buffer.concat(this.#chunks);
    const taken = bytes.subarray(0, most);
    if (!peek) {
      const rest = bytes.subarray(taken.length);
      this.#chunks.length = 0;
      if (rest.length > 0) this.#chunks.push(rest);
      this.waiting = rest.length;
    }
    return taken;
  }

  /** The errno that waits, once. */
  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error;
  }
}
