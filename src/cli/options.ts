/** The command line, as yargs knows it: phantun's flags under their names with their defaults, and ours. */
import { isIPv4, isIPv6 } from 'node:net';
import { readFileSync } from 'node:fs';
import type { Options } from 'yargs';
import { normalAddress } from '../wire/address.js';
import { parseHostPort } from '../config/addresses.js';
import { usageError } from '../errors.js';
import type { TunAddresses } from '../host/tun_interface.js';
import { createLog, LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../observe/log.js';
import type { TunnelOptions } from '../tunnel/options.js';

/** Builders of flags under one heading of `--help`. */
export function group(name: string) {
  return {
    text: <const T extends Options>(describe: string, more: T) =>
      ({ type: 'string', requiresArg: true, group: name, describe, ...more }) as const,
    number: <const T extends Options>(describe: string, more: T) =>
      ({ type: 'number', requiresArg: true, group: name, describe, ...more }) as const,
    flag: <const T extends Options>(describe: string, more: T) =>
      ({ type: 'boolean', group: name, describe, ...more }) as const,
    choice: <const C extends readonly string[]>(describe: string, choices: C, otherwise: C[number]) =>
      ({ choices, requiresArg: true, group: name, describe, default: otherwise }) as const,
  };
}

export const TUNNEL = group('Tunnel:');
const HOST = group('Host:');
const DATA_PLANE = group('Data plane:');
const LOG = group('Log:');

/** Flags that client and server share; what --remote names is theirs to say. */
export function sharedFlags({ local4, peer4, local6, peer6 }: Required<TunAddresses>, remote: string) {
  return {
    remote: TUNNEL.text(remote, { alias: 'r', demandOption: true }),
    'handshake-packet': TUNNEL.text('file whose content is the first data of each connection', {}),
    'idle-timeout': TUNNEL.number('seconds without a datagram until a connection is closed', { default: 180 }),
    'ignore-rst': TUNNEL.flag('RSTs do not end established connections: where a network injects them', {
      default: false,
    }),
    tun: HOST.text('name of the TUN interface', { defaultDescription: 'kernel picks' }),
    'tun-local': HOST.text("host's IPv4 end of the TUN", { defaultDescription: `${local4}, or what is free` }),
    'tun-peer': HOST.text("guise's IPv4 end of the TUN", { defaultDescription: `${peer4}, or what is free` }),
    'ipv4-only': HOST.flag('no IPv6', { alias: '4', default: false }),
    'tun-local6': HOST.text("host's IPv6 end of the TUN", { defaultDescription: `${local6}, or what is free` }),
    'tun-peer6': HOST.text("guise's IPv6 end of the TUN", { defaultDescription: `${peer6}, or what is free` }),
    firewall: HOST.flag('install NAT and forwarding rules; --no-firewall prints them', { default: true }),
    mtu: HOST.number('bytes of the largest packet on the path', { default: 1500 }),
    queues: DATA_PLANE.number('TUN queues, one thread each', { defaultDescription: 'one for two CPUs' }),
    offload: DATA_PLANE.flag('super-segments; --no-offload for kernels that mangle them', { default: true }),
    'log-level': LOG.choice('least level that is written', LOG_LEVELS, 'info'),
    'log-format': LOG.choice('lines for people, or JSON', LOG_FORMATS, 'text'),
  };
}

export interface SharedArguments {
  remote: string;
  tun?: string | undefined;
  tunLocal?: string | undefined;
  tunPeer?: string | undefined;
  tunLocal6?: string | undefined;
  tunPeer6?: string | undefined;
  ipv4Only: boolean;
  firewall: boolean;
  mtu: number;
  handshakePacket?: string | undefined;
  idleTimeout: number;
  ignoreRst: boolean;
  queues?: number | undefined;
  offload: boolean;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

/** @throws {UsageError} with the flag, what it was given and what it takes */
export function sharedOptions(
  args: SharedArguments,
  usualAddresses: Required<TunAddresses>,
  signal: AbortSignal,
): TunnelOptions {
  if (args.ipv4Only && (args.tunLocal6 !== undefined || args.tunPeer6 !== undefined)) {
    throw usageError('ERR_GUISE_OPTION_CONFLICT', { option: 'ipv4-only', others: '--tun-local6 and --tun-peer6' });
  }
  if (args.tun !== undefined && !/^[^\s/]{1,15}$/.test(args.tun)) {
    throw usageError('ERR_GUISE_OPTION', {
      option: 'tun',
      found: `"${args.tun}"`,
      expected: 'an interface name (1 to 15 characters, no space, no slash)',
    });
  }
  return {
    remote: parseHostPort(args.remote),
    ...(args.tun === undefined ? {} : { tun: args.tun }),
    tunAddresses: {
      ...ip('tun-local', 'local4', args.tunLocal, isIPv4, 'IPv4'),
      ...ip('tun-peer', 'peer4', args.tunPeer, isIPv4, 'IPv4'),
      ...ip('tun-local6', 'local6', args.tunLocal6, isIPv6, 'IPv6'),
      ...ip('tun-peer6', 'peer6', args.tunPeer6, isIPv6, 'IPv6'),
    },
    usualAddresses,
    ipv4Only: args.ipv4Only,
    ...(args.handshakePacket === undefined ? {} : { handshakePacket: readPacket(args.handshakePacket, args.mtu) }),
    idleTimeout: inRange('idle-timeout', args.idleTimeout, 1, 86_400) * 1000,
    ignoreRst: args.ignoreRst,
    ...(args.queues === undefined ? {} : { queues: inRange('queues', args.queues, 1, 64) }),
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
  throw usageError('ERR_GUISE_OPTION', {
    option: flag,
    found: value,
    expected: `a whole number from ${least} to ${most}`,
  });
}

function ip(
  flag: string,
  end: keyof TunAddresses,
  value: string | undefined,
  valid: (text: string) => boolean,
  kind: string,
): Partial<TunAddresses> {
  if (value === undefined) return {};
  if (!valid(value)) {
    throw usageError('ERR_GUISE_OPTION', { option: flag, found: `"${value}"`, expected: `an ${kind} address` });
  }
  return { [end]: normalAddress(value) };
}

function readPacket(path: string, mtu: number): Uint8Array {
  let packet: Buffer;
  try {
    packet = readFileSync(path);
  } catch (error) {
    throw usageError('ERR_GUISE_OPTION_FILE', {
      option: 'handshake-packet',
      path,
      why: (error as NodeJS.ErrnoException).code ?? 'unknown',
    });
  }
  const most = mtu - 60;
  if (packet.length >= 1 && packet.length <= most) return packet;
  throw usageError('ERR_GUISE_OPTION', {
    option: 'handshake-packet',
    found: `one of ${packet.length}`,
    expected: `a file of 1 to ${most} bytes, which fit into one segment`,
  });
}
