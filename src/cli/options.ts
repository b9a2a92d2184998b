/** The command line, as yargs knows it: phantun's flags under their names with their defaults, and ours. */
import { isIPv4, isIPv6 } from 'node:net';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseHostPort } from '../addresses.js';
import { UsageError } from '../errors.js';
import { createLog, LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../observe/log.js';
import type { TunnelOptions } from '../tunnel/options.js';

export interface TunDefaults {
  readonly local4: string;
  readonly peer4: string;
  readonly local6: string;
  readonly peer6: string;
}

/** Flags that client and server share. */
export function sharedFlags({ local4, peer4, local6, peer6 }: TunDefaults) {
  return {
    remote: { alias: 'r', type: 'string', demandOption: true, requiresArg: true, group: 'Tunnel:' },
    tun: { type: 'string', requiresArg: true, group: 'Host:', describe: 'name of the TUN interface', defaultDescription: 'kernel picks' },
    'tun-local': { type: 'string', requiresArg: true, group: 'Host:', default: local4, describe: "host's IPv4 end of the TUN" },
    'tun-peer': { type: 'string', requiresArg: true, group: 'Host:', default: peer4, describe: "guise's IPv4 end of the TUN" },
    'ipv4-only': { alias: '4', type: 'boolean', group: 'Host:', default: false, describe: 'no IPv6' },
    'tun-local6': { type: 'string', requiresArg: true, group: 'Host:', describe: "host's IPv6 end of the TUN", defaultDescription: local6 },
    'tun-peer6': { type: 'string', requiresArg: true, group: 'Host:', describe: "guise's IPv6 end of the TUN", defaultDescription: peer6 },
    firewall: { type: 'boolean', group: 'Host:', default: true, describe: 'install NAT and forwarding rules; --no-firewall prints them' },
    mtu: { type: 'number', requiresArg: true, group: 'Host:', default: 1500, describe: 'bytes of the largest packet on the path' },
    'handshake-packet': { type: 'string', requiresArg: true, group: 'Tunnel:', describe: 'file whose content is the first data of each connection' },
    'idle-timeout': { type: 'number', requiresArg: true, group: 'Tunnel:', default: 180, describe: 'seconds without a datagram until a connection is closed' },
    queues: { type: 'number', requiresArg: true, group: 'Data plane:', describe: 'TUN queues, one thread each', defaultDescription: 'one a CPU' },
    offload: { type: 'boolean', group: 'Data plane:', default: true, describe: 'super-segments; --no-offload for kernels that mangle them' },
    'log-level': { choices: LOG_LEVELS, group: 'Log:', default: 'info' as LogLevel, describe: 'least level that is written' },
    'log-format': { choices: LOG_FORMATS, group: 'Log:', default: 'text' as LogFormat, describe: 'lines for people, or JSON' },
  } as const;
}

export interface SharedArguments {
  remote: string;
  tun?: string | undefined;
  tunLocal: string;
  tunPeer: string;
  tunLocal6?: string | undefined;
  tunPeer6?: string | undefined;
  ipv4Only: boolean;
  firewall: boolean;
  mtu: number;
  handshakePacket?: string | undefined;
  idleTimeout: number;
  queues?: number | undefined;
  offload: boolean;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

/** @throws {UsageError} with the flag, what it was given and what it takes */
export function sharedOptions(args: SharedArguments, defaults: TunDefaults, signal: AbortSignal): TunnelOptions {
  if (args.ipv4Only && (args.tunLocal6 !== undefined || args.tunPeer6 !== undefined)) {
    throw new UsageError('--ipv4-only contradicts --tun-local6 and --tun-peer6: leave one of them out.');
  }
  if (args.tun !== undefined && !/^[^\s/]{1,15}$/.test(args.tun)) {
    throw new UsageError(`--tun "${args.tun}" is not an interface name: 1 to 15 characters, no space, no slash.`);
  }
  return {
    remote: parseHostPort(args.remote),
    ...(args.tun === undefined ? {} : { tun: args.tun }),
    tunLocal: ip('tun-local', args.tunLocal, isIPv4, 'IPv4'),
    tunPeer: ip('tun-peer', args.tunPeer, isIPv4, 'IPv4'),
    tunLocal6: ip('tun-local6', args.tunLocal6 ?? defaults.local6, isIPv6, 'IPv6'),
    tunPeer6: ip('tun-peer6', args.tunPeer6 ?? defaults.peer6, isIPv6, 'IPv6'),
    ipv4Only: args.ipv4Only,
    ...(args.handshakePacket === undefined ? {} : { handshakePacket: readPacket(args.handshakePacket, args.mtu) }),
    idleTimeout: inRange('idle-timeout', args.idleTimeout, 1, 86_400) * 1000,
    queues: inRange('queues', args.queues ?? Math.min(availableParallelism(), 64), 1, 64),
    offload: args.offload,
    firewall: args.firewall,
    mtu: inRange('mtu', args.mtu, 576, 65_535),
    log: createLog({ level: args.logLevel, format: args.logFormat }),
    signal,
  };
}

/** @throws {UsageError} */
export function inRange(flag: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`--${flag} takes a whole number from ${least} to ${most}.`);
}

function ip(flag: string, value: string, valid: (text: string) => boolean, kind: string): string {
  if (valid(value)) return value;
  throw new UsageError(`--${flag} "${value}" is not an ${kind} address.`);
}

function readPacket(path: string, mtu: number): Uint8Array {
  let packet: Buffer;
  try {
    packet = readFileSync(path);
  } catch (error) {
    throw new UsageError(`--handshake-packet: cannot read "${path}" (${(error as NodeJS.ErrnoException).code}).`);
  }
  const most = mtu - 60;
  if (packet.length >= 1 && packet.length <= most) return packet;
  throw new UsageError(`--handshake-packet: "${path}" has ${packet.length} bytes, 1 to ${most} fit into one segment.`);
}
