/** What stands between a connection of the machine and the stream that its user reads and writes. */
import type { Duplex } from 'node:stream';
import { stackError } from '../errors.js';
import { emit } from '../kit/emit.js';
import { NETSTACK_TCP } from '../policy.js';
import type { Loop } from './loop/loop.js';
import type { Application, Failure } from './tcp/application.js';
import type { Connection } from './tcp/connection.js';

type Callback = (error?: Error | null) => void;

/** Of a connection that comes: what it is there for until somebody has its stream. */
export interface Arrival {
  /** The handshake is done: makes the stream, or ends the connection. */
  opened(end: TcpEnd): void;
}

/**
 * One end of a connection. Sockets have one instead of being one, so that what the machine calls is none of their
 * users' business.
 */
export class TcpEnd implements Application {
  readonly loop: Loop;
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly localPort: number;
  readonly remotePort: number;
  /** Undefined before it has one, and behind its end. */
  connection: Connection | undefined;
  stream: Duplex | undefined;
  isConnecting = true;
  /** Bytes of the stream, and how many of them the reader has had. */
  bytesRead = 0;
  bytesWritten = 0;
  /** When something was read or written; for `setTimeout`. */
  touched = 0;
  #bytesTaken = 0;
  #arrival: Arrival | undefined;
  /** The writer waits for room. */
  #written: Callback | undefined;
  #isHeld = false;

  constructor(loop: Loop, { localAddress, localPort, remoteAddress, remotePort }: Ends, arrival?: Arrival) {
    this.loop = loop;
    this.localAddress = localAddress;
    this.localPort = localPort;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.#arrival = arrival;
  }

  /** It came, and nobody has its stream yet. */
  get isArriving(): boolean {
    return this.#arrival !== undefined;
  }

  /** Somebody has its stream. */
  open(stream: Duplex): void {
    this.stream = stream;
    this.#arrival = undefined;
    this.hold(true);
  }

  /** Whether it keeps the process alive. */
  hold(on: boolean): void {
    if (this.#isHeld === on || (on && !this.stream)) return;
    this.#isHeld = on;
    if (on) this.loop.hold();
    else this.loop.release();
  }

  write(chunks: readonly { readonly chunk: Uint8Array }[], written: Callback): void {
    const { connection } = this;
    if (!connection) return written(stackError('EPIPE', 'write'));
    const now = (this.touched = this.loop.now());
    let hasRoom = true;
    for (const { chunk } of chunks) {
      this.bytesWritten += chunk.length;
      hasRoom = connection.write(chunk, now);
    }
    if (hasRoom) written();
    else this.#written = written;
  }

  writeOne(chunk: Uint8Array, written: Callback): void {
    const { connection } = this;
    if (!connection) return written(stackError('EPIPE', 'write'));
    this.bytesWritten += chunk.length;
    if (connection.write(chunk, (this.touched = this.loop.now()))) written();
    else this.#written = written;
  }

  /** Our stream ends. */
  end(): void {
    this.connection?.end(this.loop.now());
  }

  noDelay(on: boolean): void {
    this.connection?.setNoDelay(on);
  }

  /** @param time milliseconds of silence before the first probe, 0: as before */
  keepAlive(on: boolean, time: number): void {
    const { connection } = this;
    if (!connection) return;
    const { keepAliveTime, keepAliveInterval, keepAliveProbes } = NETSTACK_TCP;
    const silence = time || connection.keepAliveTime || keepAliveTime;
    connection.setKeepAlive(on ? silence : 0, keepAliveInterval, keepAliveProbes, this.loop.now());
  }

  /** @param time milliseconds, 0: none */
  userTimeout(time: number): void {
    this.connection?.setUserTimeout(time);
  }

  /** Tells the machine what the reader has had by now. */
  taken(): void {
    const { connection, stream } = this;
    if (!connection || !stream) return;
    const taken = this.bytesRead - stream.readableLength;
    if (taken <= this.#bytesTaken) return;
    const more = taken - this.#bytesTaken;
    this.#bytesTaken = taken;
    connection.consumed(more, this.loop.now());
  }

  /** The user has no use for it any more: it ends in order, or at once where something is unread or `abort` says so. */
  leave(abort: boolean): void {
    const { connection } = this;
    this.hold(false);
    // Who leaves from within a 'data' listener has had what it was given.
    this.taken();
    this.stream = this.connection = this.#written = undefined;
    if (!connection) return;
    const now = this.loop.now();
    if (abort || this.isConnecting) connection.abort(now);
    else {
      connection.leave(now);
      this.loop.left(connection);
    }
  }

  /** Ends it at once, and the stream with it. */
  reset(error: Error | undefined): void {
    const { stream } = this;
    this.leave(true);
    stream?.destroy(error);
  }

  established(): void {
    this.isConnecting = false;
    const arrival = this.#arrival;
    if (arrival) {
      arrival.opened(this);
      return;
    }
    const { stream } = this;
    if (!stream) return;
    this.touched = this.loop.now();
    emit(stream, 'connect');
    emit(stream, 'ready');
  }

  received(chunk: Uint8Array): void {
    const { stream } = this;
    if (!stream) return;
    this.bytesRead += chunk.length;
    this.touched = this.loop.now();
    try {
      stream.push(chunk);
    } catch (error) {
      rethrowLater(error);
    }
    this.taken();
  }

  ended(): void {
    const { stream } = this;
    if (!stream) return;
    try {
      stream.push(null);
      // As node:net does: 'end' comes, although nobody reads, where there is nothing to be read.
      stream.read(0);
    } catch (error) {
      rethrowLater(error);
    }
  }

  acknowledged(): void {
    const written = this.#written;
    const { connection } = this;
    if (!written || !connection || connection.queue.cost >= connection.sendLimit) return;
    this.#written = undefined;
    this.touched = this.loop.now();
    try {
      written();
    } catch (error) {
      rethrowLater(error);
    }
  }

  closed(failure: Failure | undefined): void {
    const { stream, remoteAddress: address, remotePort: port } = this;
    this.connection = undefined;
    if (!failure || !stream) return;
    stream.destroy(this.isConnecting ? stackError(failure, 'connect', { address, port }) : stackError(failure, 'read'));
  }
}

/** Both ends of a connection. */
export interface Ends {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** What a listener of the user's has thrown stops nobody else's connection. */
function rethrowLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
