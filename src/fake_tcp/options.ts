/** What a stack and its connections can be told. Times in milliseconds, sizes in bytes. */
import type { Profile } from '../wire/profile.js';

export interface TunOptions {
  /** Interface name, at most 15 bytes; the kernel picks one if left out. */
  readonly name?: string;
  /** Queues, one worker thread each: 1 to 64. Default: one for two processors. */
  readonly queues?: number;
}

export interface DescriptorOptions {
  /** Descriptors that carry one raw IP packet a read and a write, one worker each. The stack owns and closes them. */
  readonly descriptors: readonly number[];
  /** A struct virtio_net_hdr of 10 bytes precedes each packet. */
  readonly virtioHeader?: boolean;
}

export interface StackOptions {
  readonly device: TunOptions | DescriptorOptions;
  /** The stack's own addresses, one IPv4, one IPv6 or both: not those of the host. */
  readonly addresses: readonly string[];
  /** Bytes of the largest IP packet, 576 to 65535. Default 1500. */
  readonly mtu?: number;
  /** Super-segments, checksum offload, UDP_GRO and UDP_SEGMENT, as far as the kernel has them. Default true. */
  readonly offload?: boolean;
  /** Connections at the same time. Default 65536. */
  readonly maxFlows?: number;
  /** Connections that one remote address may have opened. Default: a quarter of maxFlows. */
  readonly maxFlowsPerSource?: number;
  /** Milliseconds without a datagram after which a connection is closed. Default: never. */
  readonly idleTimeout?: number;
  /**
   * Milliseconds without a segment after which the peer of a connection that was opened here is probed although nothing
   * is sent. Default 25 000, far below the 300 s of the most impatient routers; Infinity for never.
   */
  readonly keepalive?: number;
  /** Milliseconds without a segment, while datagrams are sent, after which it is probed. Default 5000. */
  readonly silence?: number;
  /** RSTs do not end established connections. Default false. */
  readonly ignoreReset?: boolean;
}

export interface ConnectOptions {
  readonly address: string;
  readonly port: number;
  /** `auto` tries guise's and falls back to phantun's when it is refused; what worked is remembered. Default auto. */
  readonly profile?: Profile | 'auto';
  /** Milliseconds until ETIMEDOUT. Default 15000. */
  readonly timeout?: number;
  /** The worker that is to own the flow. Default: the first. */
  readonly worker?: number;
  readonly signal?: AbortSignal;
}
