/** Both sides of a connection that the machine does not know: who uses it, and what carries its segments. */
import type { OutgoingSegment } from './segment.js';

/** Why a connection ended: the codes of `node:net`. */
export type Failure =
  'ECONNREFUSED' | 'ECONNRESET' | 'ECONNABORTED' | 'ETIMEDOUT' | 'EHOSTUNREACH' | 'ENETUNREACH' | 'EPROTO';

/** Who uses a connection. Each call comes from within `arrive`, `tick` or a call of the user's own. */
export interface Application {
  /** The handshake is done. */
  established(): void;
  /** The next bytes of the stream, to keep. `consumed` says when the reader has had them. */
  received(chunk: Uint8Array): void;
  /** The peer has ended its stream: nothing more is received. */
  ended(): void;
  /** The peer has so many bytes more: there is room for others. */
  acknowledged(bytes: number): void;
  /** The connection is over: both streams have ended and are acknowledged, or `failure` says what ended it. Once, last. */
  closed(failure: Failure | undefined): void;
}

/** What carries the segments of connections. */
export interface Carrier<Connection> {
  /** Takes a segment that has no payload, or one whose payload leaves at once. It is filled anew for the next. */
  send(connection: Connection, segment: OutgoingSegment): void;
  /** The connection's `deadline` is another, or it has something to flush. */
  changed(connection: Connection): void;
  /** The connection has left the machine: its tuple is free. */
  released(connection: Connection): void;
  /** Bytes of receive buffer that it may have more, of those that it asks for: the stack has a budget for all. */
  grant(bytes: number): number;
  /** Gives bytes back. */
  giveBack(bytes: number): void;
  /** Whether a challenge ACK may leave now (RFC 5961 §7: limited). */
  mayChallenge(now: number): boolean;
}
