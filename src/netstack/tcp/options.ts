/** What a connection is made with, and what it tells. Milliseconds and bytes. */
import type { CongestionName } from './congestion/choose.js';
import type { STATE } from './states.js';

export interface ConnectionOptions {
  /** Initial sequence number, 32 bits, signed (RFC 6528). */
  readonly isn: number;
  /** The largest IP packet that the interface carries, and the size of its IP header. */
  readonly mtu: number;
  readonly ipHeader: 20 | 40;
  readonly congestion: CongestionName;
  /** What may wait to be acknowledged before `write` says stop; grows with the path up to `sendBufferMost`. */
  readonly sendBuffer: number;
  readonly sendBufferMost: number;
  /** What may wait for the reader; grows with the path up to `receiveBufferMost`, within what the carrier grants. */
  readonly receiveBuffer: number;
  readonly receiveBufferMost: number;
  /** RFC 7323. The offset keeps the clock of this host to itself. */
  readonly timestamps: boolean;
  readonly timestampOffset: number;
  readonly windowScaling: boolean;
  /** RFC 2018. */
  readonly sack: boolean;
  /** RFC 3168: never, when the peer asks for it, or asked for. */
  readonly ecn: 'off' | 'accept' | 'ask';
  /** No Nagle (RFC 9293 §3.7.4). */
  readonly noDelay: boolean;
  /** SYNs or SYN-ACKs that are sent again before the connection is given up. */
  readonly synRetries: number;
  /** Time-outs in a row after which an established connection is given up: RFC 9293 §3.8.3, R2. */
  readonly retries: number;
  /** Silence before the first keepalive; 0: none (RFC 9293 §3.8.4). */
  readonly keepAliveTime: number;
  readonly keepAliveInterval: number;
  readonly keepAliveProbes: number;
  /** How long data may stay unacknowledged; 0: as long as `retries` say (RFC 5482). */
  readonly userTimeout: number;
  /** 2 MSL (RFC 9293 §3.4.2). */
  readonly timeWait: number;
  /** How long an ACK may wait for company, 500 at most (RFC 9293 §3.8.6.3). */
  readonly delayedAck: number;
}

/** What is known of a peer's SYN when a SYN cookie comes back. */
export interface SynFacts {
  /** MSS that the SYN told, 0 where it told none. */
  readonly mss: number;
  /** Window scale, -1 without. */
  readonly scale: number;
  readonly sackPermitted: boolean;
  readonly hasTimestamp: boolean;
}

/**
 * What a connection can tell of itself.
 *
 * @example
 * ```ts
 * import type { ConnectionInfo, Netstack, TcpSocket } from 'guise/netstack';
 *
 * declare const stack: Netstack, socket: TcpSocket;
 * const info: ConnectionInfo | undefined = stack.info(socket);
 * console.log(info?.roundTrip, info?.bytesRetransmitted);
 * ```
 */
export interface ConnectionInfo {
  readonly state: keyof typeof STATE;
  /** Milliseconds; 0 and Infinity before the first sample. */
  readonly roundTrip: number;
  readonly roundTripVariance: number;
  readonly leastRoundTrip: number;
  readonly retransmissionTimeout: number;
  readonly congestion: string;
  /** Bytes: cwnd and ssthresh, and what is under way. */
  readonly congestionWindow: number;
  readonly slowStartThreshold: number;
  readonly inFlight: number;
  /** Bytes that the peer takes, and that we take. */
  readonly sendWindow: number;
  readonly receiveWindow: number;
  /** Bytes of payload of a full segment. */
  readonly segmentSize: number;
  /** Bytes that wait: to be acknowledged or sent, and to be read. */
  readonly sendQueue: number;
  readonly receiveQueue: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly bytesRetransmitted: number;
  /** Retransmission time-outs, recoveries, and how many of both turned out to be for nothing. */
  readonly timeouts: number;
  readonly recoveries: number;
  readonly spurious: number;
  /** Bytes a millisecond that arrive at the peer; 0 before it is known. */
  readonly deliveryRate: number;
  readonly ecn: boolean;
}
