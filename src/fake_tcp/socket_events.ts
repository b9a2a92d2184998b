/** What users see of a connection beside its Socket: what it emits, and what its path carries. */
import type { GuiseError } from '../errors.js';
import type { PathLimitReason } from './path_mtu.js';

/**
 * What a {@link Socket} emits.
 *
 * @example
 * ```ts
 * import type { Socket, SocketEvents } from 'guise';
 *
 * declare const socket: Socket;
 * const echo = (...[datagram]: SocketEvents['message']): void => socket.send(datagram);
 * socket.on('message', echo);
 * ```
 */
export interface SocketEvents {
  /** A datagram, which is the listener's to keep. */
  message: [datagram: Uint8Array];
  /** ECONNRESET when the peer resets, ETIMEDOUT when it is silent, EADDRNOTAVAIL when the host has lost the address. */
  error: [error: Error];
  /** The largest packet that the path carries is another one now, or whether larger datagrams arrive is. */
  path: [path: SocketPath];
  /**
   * The UDP side that it is spliced to takes no datagrams: ECONNREFUSED when nobody listens there, EHOSTUNREACH,
   * ENETUNREACH, EPERM and the like when there is no way. They are dropped and counted, the connection stays.
   */
  refused: [error: GuiseError];
  /** The UDP side that has refused datagrams has sent one. */
  answered: [];
  /** Once and last. */
  close: [];
}

/**
 * What the path of a connection carries, as far as it is known.
 *
 * @example
 * ```ts
 * import type { Socket, SocketPath } from 'guise';
 *
 * declare const socket: Socket;
 * const { mtu, datagram, fragments }: SocketPath = socket.path;
 * console.log(`packets of ${mtu} bytes: larger datagrams than ${datagram} bytes ${fragments ? 'are cut' : 'are lost'}`);
 * ```
 */
export interface SocketPath {
  /** Bytes of the largest IP packet that is sent. */
  readonly mtu: number;
  /** Bytes of the largest datagram that leaves in one packet. */
  readonly datagram: number;
  /** Larger datagrams leave in fragments (IPv4 only); else they are dropped and counted (`pathMtu`). */
  readonly fragments: boolean;
  /**
   * What holds it down: this side's `mtu`, the host's `route`, the `peer`'s SYN or who has changed it on the way, a
   * `router` that said so by ICMP, or that larger probes did not arrive (`probe`).
   */
  readonly reason: PathLimitReason;
  /** The router's address, where it is one. */
  readonly router?: string;
}
