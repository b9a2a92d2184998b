/** System calls of a script, on sockets of the virtual stack. */
import { constants } from 'node:os';
import { OPERATION, type Answer, type Request } from './channel.js';
import * as linux from './linux.js';
import { getOption, setOption } from './socket_options.js';
import { sysctl } from './sysctls.js';
import { TcpSocket, type Place } from './tcp_socket.js';
import type { VirtualStack } from './virtual_stack.js';

/** A call under way: asked again after each thing that happens, until it answers. */
export interface Call {
  /** undefined: it still blocks. */
  attempt(): Answer | undefined;
  /** When it answers at the latest, microseconds. */
  readonly deadline: number;
}

const { errno } = constants;
const fail = (error: number): Answer => ({ result: -1, error });
const done: Answer = { result: 0 };

export class Calls {
  readonly #stack: VirtualStack;
  readonly #sockets = new Map<number, TcpSocket>();

  constructor(stack: VirtualStack) {
    this.#stack = stack;
  }

  begin({ operation, values, bytes }: Request): Call {
    const [first, second, third, fourth] = values;
    if (operation === OPERATION.socket) return at(this.#socket(first, second, third));
    if (operation === OPERATION.poll) return this.#poll(first, bytes);
    const socket = this.#sockets.get(first);
    if (!socket) return at(fail(errno.EBADF));
    switch (operation) {
      case OPERATION.bind:
        socket.local = placeOf(bytes);
        return at(done);
      case OPERATION.listen:
        this.#stack.listen(socket);
        return at(done);
      case OPERATION.accept:
        return blocking(socket.isNonBlocking, () => this.#accept(socket, second));
      case OPERATION.connect:
        return this.#connect(socket, bytes);
      case OPERATION.read: {
        const isNonBlocking = socket.isNonBlocking || (third & linux.MSG_DONTWAIT) !== 0;
        return blocking(isNonBlocking, () => this.#read(socket, second, third));
      }
      case OPERATION.write:
        return this.#write(socket, bytes, second);
      case OPERATION.fcntl:
        return at(fcntl(socket, second, third));
      case OPERATION.ioctl:
        return at(ioctl(socket, second));
      case OPERATION.close:
        this.#sockets.delete(first);
        this.#stack.close(socket);
        return at(done);
      case OPERATION.shutdown:
        return at(this.#shutdown(socket, second));
      case OPERATION.getsockopt:
        return at(getOption(socket, second, third, fourth, this.#stack.milliseconds));
      case OPERATION.setsockopt:
        return at(this.#setOption(socket, second, third, bytes));
      default:
        return at(fail(errno.ENOSYS));
    }
  }

  #socket(descriptor: number, domain: number, type: number): Answer {
    const isTcp = type === 1 && (domain === linux.AF_INET || domain === linux.AF_INET6);
    if (!isTcp) return fail(errno.EAFNOSUPPORT);
    this.#sockets.set(descriptor, new TcpSocket(domain === linux.AF_INET6, () => this.#stack.milliseconds));
    return done;
  }

  #accept(socket: TcpSocket, descriptor: number): Answer | undefined {
    if (!socket.ready) return fail(errno.EINVAL);
    const connection = socket.ready.shift();
    if (!connection) return undefined;
    this.#sockets.set(descriptor, connection);
    return { result: 0, bytes: bytesOf(connection.remote!, socket.isIpv6) };
  }

  #connect(socket: TcpSocket, bytes: Buffer): Call {
    if (socket.isEstablished && socket.isConnectReported) return at(fail(errno.EISCONN));
    if (!socket.connection) {
      this.#stack.connect(socket, placeOf(bytes));
      if (socket.isNonBlocking) return at(fail(errno.EINPROGRESS));
    }
    const attempt = (): Answer | undefined => {
      if (socket.error !== 0) return fail(socket.takeError());
      if (!socket.isEstablished) return undefined;
      socket.isConnectReported = true;
      return done;
    };
    return socket.isNonBlocking ? at(attempt() ?? fail(errno.EALREADY)) : blocking(false, attempt);
  }

  #read(socket: TcpSocket, most: number, flags: number): Answer | undefined {
    if (!socket.connection) return fail(errno.ENOTCONN);
    const isWhole = (flags & linux.MSG_WAITALL) === 0 || socket.waiting >= most;
    if (socket.waiting > 0 && (isWhole || socket.hasEnded)) {
      const isPeek = (flags & linux.MSG_PEEK) !== 0;
      const bytes = socket.take(most, isPeek);
      if (!isPeek) {
        socket.connection.consumed(bytes.length, this.#stack.milliseconds);
        this.#stack.settle();
      }
      const waiting = socket.tellsWaiting ? { waiting: socket.waiting || (socket.hasEnded ? 1 : 0) } : {};
      return { result: bytes.length, bytes, ...waiting };
    }
    if (socket.error !== 0) return fail(socket.takeError());
    return socket.hasEnded || socket.isReadShut ? done : undefined;
  }

  /** Blocks until all is in the send buffer, as Linux does; does not, and takes what has room, when asked. */
  #write(socket: TcpSocket, bytes: Buffer, flags: number): Call {
    if ((flags & ~(linux.MSG_DONTWAIT | linux.MSG_NOSIGNAL)) !== 0) return at(fail(errno.EOPNOTSUPP));
    let written = 0;
    const attempt = (): Answer | undefined => {
      if (socket.error !== 0 && written === 0) return fail(socket.takeError());
      if (socket.isWriteShut || socket.isOver) return written > 0 ? { result: written } : fail(errno.EPIPE);
      if (!socket.connection) return fail(errno.EPIPE);
      if (!socket.isEstablished) return undefined;
      const part = bytes.subarray(written, written + sendRoom(socket));
      if (part.length > 0) {
        written += part.length;
        socket.unacknowledged += part.length;
        socket.connection.write(Uint8Array.from(part), this.#stack.milliseconds);
        this.#stack.settle();
      }
      return written === bytes.length ? { result: written } : undefined;
    };
    if (!socket.isNonBlocking && (flags & linux.MSG_DONTWAIT) === 0) return blocking(false, attempt);
    return at(attempt() ?? (written > 0 ? { result: written } : fail(errno.EAGAIN)));
  }

  #shutdown(socket: TcpSocket, how: number): Answer {
    if (!socket.isEstablished || socket.isOver) return fail(errno.ENOTCONN);
    if (how !== linux.SHUT_WR) socket.isReadShut = true;
    if (how !== linux.SHUT_RD && !socket.isWriteShut) {
      socket.isWriteShut = true;
      socket.connection!.end(this.#stack.milliseconds);
      this.#stack.settle();
    }
    return done;
  }

  #setOption(socket: TcpSocket, level: number, name: number, value: Buffer): Answer {
    const answer = setOption(socket, level, name, value, this.#stack.milliseconds);
    this.#stack.settle();
    return answer;
  }

  #poll(timeout: number, fds: Buffer): Call {
    const attempt = (): Answer | undefined => {
      const bytes = Buffer.from(fds);
      let result = 0;
      for (let at = 0; at < bytes.length; at += 8) {
        const socket = this.#sockets.get(bytes.readInt32LE(at));
        const asked = bytes.readInt16LE(at + 4) | linux.POLLERR | linux.POLLHUP;
        const found = socket ? events(socket) & asked : 0;
        bytes.writeInt16LE(found, at + 6);
        if (found !== 0) result++;
      }
      return result > 0 || this.#stack.now >= deadline ? { result, bytes } : undefined;
    };
    const deadline = timeout < 0 ? Number.POSITIVE_INFINITY : this.#stack.now + timeout * 1000;
    return { attempt, deadline };
  }
}

/** A call that answers at once. */
const at = (answer: Answer): Call => ({ attempt: () => answer, deadline: Number.POSITIVE_INFINITY });

function blocking(isNonBlocking: boolean, attempt: () => Answer | undefined): Call {
  if (isNonBlocking) return at(attempt() ?? fail(errno.EAGAIN));
  return { attempt, deadline: Number.POSITIVE_INFINITY };
}

function fcntl(socket: TcpSocket, command: number, value: number): Answer {
  if (command === linux.F_GETFL) return { result: linux.O_RDWR | (socket.isNonBlocking ? linux.O_NONBLOCK : 0) };
  if (command !== linux.F_SETFL) return fail(errno.EINVAL);
  socket.isNonBlocking = (value & linux.O_NONBLOCK) !== 0;
  return done;
}

function ioctl(socket: TcpSocket, request: number): Answer {
  const bytes = Buffer.alloc(4);
  if (request === linux.SIOCINQ) bytes.writeInt32LE(socket.waiting);
  else if (request === linux.SIOCOUTQ) bytes.writeInt32LE(socket.unacknowledged);
  else return fail(errno.EINVAL);
  return { result: 0, bytes };
}

/** Bytes that may be written now. */
function sendRoom(socket: TcpSocket): number {
  return Math.max(0, (socket.sendBuffer || sysctl('tcp_wmem', 1)) - socket.unacknowledged);
}

function events(socket: TcpSocket): number {
  let events = 0;
  if (socket.ready) return socket.ready.length > 0 ? linux.POLLIN : 0;
  if (socket.waiting > 0 || socket.hasEnded || socket.isReadShut) events |= linux.POLLIN;
  if (socket.hasEnded || socket.isReadShut) events |= linux.POLLRDHUP;
  if (socket.isOver || !socket.connection || (socket.hasEnded && socket.isWriteShut)) events |= linux.POLLHUP;
  if (socket.error !== 0) events |= linux.POLLERR;
  // Linux wakes a writer when a third of the buffer is free (sk_stream_is_writeable).
  const isRoomy = sendRoom(socket) * 2 >= socket.unacknowledged;
  if (socket.isOver || socket.isWriteShut || (socket.isEstablished && isRoomy)) events |= linux.POLLOUT;
  return events;
}

function placeOf(sockaddr: Buffer): Place {
  const isIpv6 = sockaddr.readUInt16LE(0) === linux.AF_INET6;
  const address = isIpv6 ? sockaddr.subarray(8, 24) : sockaddr.subarray(4, 8);
  const isMapped = isIpv6 && address.readBigUInt64BE(0) === 0n && address.readUInt32BE(8) === 0xffff;
  return { address: Uint8Array.from(isMapped ? address.subarray(12) : address), port: sockaddr.readUInt16BE(2) };
}

function bytesOf({ address, port }: Place, isIpv6: boolean): Uint8Array {
  const sockaddr = Buffer.alloc(isIpv6 ? 28 : 16);
  sockaddr.writeUInt16LE(isIpv6 ? linux.AF_INET6 : linux.AF_INET, 0);
  sockaddr.writeUInt16BE(port, 2);
  if (!isIpv6) sockaddr.set(address, 4);
  else if (address.length === 16) sockaddr.set(address, 8);
  else sockaddr.set([0xff, 0xff, ...address], 18);
  return sockaddr;
}
