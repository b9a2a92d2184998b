/** getsockopt and setsockopt. */
import { constants } from 'node:os';
import type { Answer } from './channel.js';
import * as linux from './linux.js';
import { tcpInfo } from './tcp_info.js';
import type { TcpSocket } from './tcp_socket.js';

const unknown: Answer = { result: -1, error: constants.errno.ENOPROTOOPT };
const done: Answer = { result: 0 };

const key = (level: number, name: number): number => (level << 16) | name;

/** Default MSS of Linux where nothing is known yet (RFC 9293 §3.7.1). */
const DEFAULT_MSS = 536;

export function getOption(socket: TcpSocket, level: number, name: number, size: number, milliseconds: number): Answer {
  const number = (value: number): Answer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return { result: 0, bytes };
  };
  switch (key(level, name)) {
    case key(linux.SOL_SOCKET, linux.SO_ERROR):
      return number(socket.takeError());
    case key(linux.SOL_SOCKET, linux.SO_SNDBUF):
      return number(socket.sendBuffer);
    case key(linux.SOL_SOCKET, linux.SO_RCVBUF):
      return number(socket.receiveBuffer);
    case key(linux.SOL_SOCKET, linux.SO_KEEPALIVE):
      return number(socket.keepAlive ? 1 : 0);
    case key(linux.SOL_SOCKET, linux.SO_MEMINFO):
      return { result: 0, bytes: new Uint8Array(size) };
    case key(linux.SOL_TCP, linux.TCP_NODELAY):
      return number(socket.noDelay ? 1 : 0);
    case key(linux.SOL_TCP, linux.TCP_MAXSEG):
      return number(socket.connection?.info().segmentSize ?? (socket.mostSegment || DEFAULT_MSS));
    case key(linux.SOL_TCP, linux.TCP_USER_TIMEOUT):
      return number(socket.userTimeout);
    case key(linux.SOL_TCP, linux.TCP_NOTSENT_LOWAT):
      return number(socket.unsentLimit);
    case key(linux.SOL_TCP, linux.TCP_INQ):
      return number(socket.tellsWaiting ? 1 : 0);
    case key(linux.SOL_TCP, linux.TCP_CC_INFO):
      return { result: 0 };
    case key(linux.SOL_TCP, linux.TCP_INFO):
      if (!socket.connection) return unknown;
      return { result: 0, bytes: tcpInfo(socket, socket.connection, milliseconds).subarray(0, size) };
    default:
      return unknown;
  }
}

export function setOption(socket: TcpSocket, level: number, name: number, bytes: Buffer, milliseconds: number): Answer {
  const value = bytes.length >= 4 ? bytes.readInt32LE(0) : (bytes[0] ?? 0);
  const { connection } = socket;
  const setKeepAlive = (): void =>
    connection?.setKeepAlive(
      socket.keepAlive ? socket.keepAliveTime : 0,
      socket.keepAliveInterval,
      socket.keepAliveProbes,
      milliseconds,
    );
  switch (key(level, name)) {
    case key(linux.SOL_SOCKET, linux.SO_REUSEADDR):
      break;
    case key(linux.SOL_SOCKET, linux.SO_SNDBUF):
      socket.sendBuffer = value * 2;
      break;
    case key(linux.SOL_SOCKET, linux.SO_RCVBUF):
      socket.receiveBuffer = value * 2;
      break;
    case key(linux.SOL_SOCKET, linux.SO_KEEPALIVE):
      socket.keepAlive = value !== 0;
      setKeepAlive();
      break;
    case key(linux.SOL_SOCKET, linux.SO_LINGER):
      socket.resetsOnClose = value !== 0 && bytes.readInt32LE(4) === 0;
      break;
    case key(linux.SOL_TCP, linux.TCP_NODELAY):
      socket.noDelay = value !== 0;
      connection?.setNoDelay(socket.noDelay);
      break;
    case key(linux.SOL_TCP, linux.TCP_MAXSEG):
      socket.mostSegment = value;
      break;
    case key(linux.SOL_TCP, linux.TCP_KEEPIDLE):
      socket.keepAliveTime = value * 1000;
      setKeepAlive();
      break;
    case key(linux.SOL_TCP, linux.TCP_KEEPINTVL):
      socket.keepAliveInterval = value * 1000;
      setKeepAlive();
      break;
    case key(linux.SOL_TCP, linux.TCP_KEEPCNT):
      socket.keepAliveProbes = value;
      setKeepAlive();
      break;
    case key(linux.SOL_TCP, linux.TCP_SYNCNT):
      socket.synRetries = value;
      break;
    case key(linux.SOL_TCP, linux.TCP_CONGESTION):
      socket.congestion = bytes.toString('latin1').replace(/\0.*$/s, '');
      break;
    case key(linux.SOL_TCP, linux.TCP_USER_TIMEOUT):
      socket.userTimeout = value;
      connection?.setUserTimeout(value);
      break;
    case key(linux.SOL_TCP, linux.TCP_NOTSENT_LOWAT):
      socket.unsentLimit = value;
      break;
    case key(linux.SOL_TCP, linux.TCP_INQ):
      socket.tellsWaiting = value !== 0;
      break;
    default:
      // What is below TCP (IP_TOS, IP_MTU_DISCOVER) is the packet port's.
      if (level !== linux.SOL_IP) return unknown;
  }
  return done;
}
