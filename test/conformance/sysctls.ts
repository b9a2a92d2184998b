/**
 * The options of a connection, from the sysctls of this network namespace: scripts set them before they begin and while
 * they run, and so configure our stack as they do the kernel's.
 */
import { readFileSync } from 'node:fs';
import { CONGESTION_NAMES } from '../../src/netstack/tcp/congestion/choose.js';
import type { ConnectionOptions } from '../../src/netstack/tcp/options.js';

/** The MTU that packetdrill gives to its tun0. */
export const MTU = 1500;

/** A sysctl of one number or of more. */
export function sysctl(name: string, index = 0): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').split(/\s+/)[index]);
}

/** What a socket's own options change. */
export interface Wishes {
  /** TCP_MAXSEG, 0 for none. */
  readonly mostSegment: number;
  readonly noDelay: boolean;
  /** TCP_SYNCNT, 0 for none. */
  readonly synRetries: number;
  /** TCP_USER_TIMEOUT, ms. */
  readonly userTimeout: number;
  readonly keepAlive: boolean;
  readonly keepAliveTime: number;
  readonly keepAliveInterval: number;
  readonly keepAliveProbes: number;
  /** TCP_CONGESTION, '' for the default. */
  readonly congestion: string;
}

export function connectionOptions(wishes: Wishes, isn: number, isIpv6: boolean, isPassive: boolean): ConnectionOptions {
  const ipHeader = isIpv6 ? 40 : 20;
  const limit = wishes.mostSegment > 0 ? wishes.mostSegment + 20 + ipHeader : MTU;
  return {
    isn,
    mtu: Math.min(MTU, limit),
    ipHeader,
    // What scripts set. The kernel refuses it in a namespace where the host's tcp_allowed_congestion_control lacks it.
    congestion: CONGESTION_NAMES.find((name) => name === wishes.congestion) ?? 'cubic',
    sendBuffer: sysctl('tcp_wmem', 1),
    sendBufferMost: sysctl('tcp_wmem', 2),
    receiveBuffer: sysctl('tcp_rmem', 1),
    receiveBufferMost: sysctl('tcp_rmem', 2),
    timestamps: sysctl('tcp_timestamps') !== 0,
    timestampOffset: 0,
    sack: sysctl('tcp_sack') !== 0,
    windowScaling: sysctl('tcp_window_scaling') !== 0,
    ecn: (['off', 'ask', 'accept'] as const)[sysctl('tcp_ecn')] ?? 'off',
    noDelay: wishes.noDelay,
    synRetries: wishes.synRetries || sysctl(isPassive ? 'tcp_synack_retries' : 'tcp_syn_retries'),
    retries: sysctl('tcp_retries2'),
    keepAliveTime: wishes.keepAlive ? wishes.keepAliveTime : 0,
    keepAliveInterval: wishes.keepAliveInterval,
    keepAliveProbes: wishes.keepAliveProbes,
    userTimeout: wishes.userTimeout,
    timeWait: 60_000,
    delayedAck: 40,
  };
}
