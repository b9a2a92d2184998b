/** What a stack, its listeners and its connections can be told, checked and with defaults. Milliseconds and bytes. */
import { isIPv4 } from 'node:net';
import {
  checkAddress,
  checkBoolean,
  checkInteger,
  checkInterfaceName,
  checkMilliseconds,
  checkObject,
  checkOneOf,
  checkPort,
  checkSignal,
  refuse,
} from '../kit/arguments.js';
import { NETSTACK_TCP } from '../policy.js';
import { normalAddress } from '../wire/address.js';
import type { CongestionName } from './tcp/congestion/choose.js';
import type { IpOptions } from './ip/ip_layer.js';
import type { Place } from './open/listener_table.js';
import type { SharedOptions } from './open/connection_factory.js';
import type { Target } from './open/active_open.js';

const CONGESTION = ['cubic', 'reno', 'bbr'] as const;

/**
 * What a stack's packets go through. A TUN of which only the name is given is made, which needs CAP_NET_ADMIN, or
 * attached to where it is there: one that belongs to the user of the process needs no right. An attached stack has one
 * queue of it.
 *
 * @example
 * ```ts
 * import { Netstack, type NetstackDevice } from 'guise/netstack';
 *
 * const device: NetstackDevice = { name: 'tuna' };
 * await using stack = await Netstack.open({ device });
 * ```
 */
export type NetstackDevice =
  | {
      /** Of a TUN, 1 to 15 bytes; the kernel chooses one if left out. */
      readonly name?: string | undefined;
    }
  | {
      /** Carries one IP packet a read and a write: a queue of a TUN, or an end of a socketpair. The stack closes it. */
      readonly descriptor: number;
      /** A struct virtio_net_hdr of 10 bytes precedes each packet. Default false. */
      readonly virtioHeader?: boolean | undefined;
    };

/**
 * What a stack is opened with.
 *
 * @example
 * ```ts
 * import { Netstack, type NetstackOptions } from 'guise/netstack';
 *
 * const options: NetstackOptions = { device: { name: 'tuna' }, addresses: ['10.0.0.2', 'fd00::2'], congestion: 'bbr' };
 * await using stack = await Netstack.open(options);
 * ```
 */
export interface NetstackOptions {
  /** Left out: packets are fed and taken, see `Netstack.packets`. */
  readonly device?: NetstackDevice | undefined;
  /**
   * Where connections and datagrams leave from, the first of a family unless told otherwise. Packets are taken for every
   * address, whether it is one of them or not.
   */
  readonly addresses?: readonly string[] | undefined;
  /** Bytes of the largest IP packet, 576 to 65535. Default: the interface's, 1500 where there is none. */
  readonly mtu?: number | undefined;
  /** Super-segments and checksums that the kernel makes, as far as it has them. Default true. */
  readonly offload?: boolean | undefined;
  /** Whether SYNs are answered. Default true. */
  readonly tcp?: boolean | undefined;
  /** Whether datagrams are taken, or answered with "port unreachable". Default true. */
  readonly udp?: boolean | undefined;
  /** Whether echo requests are answered and errors sent. Default true. */
  readonly icmp?: boolean | undefined;
  /** Asked whether an echo request that has come is answered, which may take its time. Default: each is. */
  readonly onPing?: IpOptions['onPing'];
  /** A packet opens something where all of them say so. Default: both addresses are those of one host each. */
  readonly filters?: IpOptions['filters'];
  /** Default `'cubic'`. */
  readonly congestion?: CongestionName | undefined;
  /** Explicit congestion notification (RFC 3168): never, when the peer asks for it, or asked for. Default `'accept'`. */
  readonly ecn?: 'off' | 'accept' | 'ask' | undefined;
  /** The most bytes that wait to be acknowledged, a connection: 4096 at least. Default 4 MiB. */
  readonly sendBuffer?: number | undefined;
  /** The most bytes that wait to be read, a connection: 4096 at least. Default 6 MiB. */
  readonly receiveBuffer?: number | undefined;
  /** The most bytes by which the receive buffers of all connections may grow. Default 256 MiB. */
  readonly receiveBudget?: number | undefined;
  /** Connections at the same time, 1 to 1048576. Default 65536. */
  readonly maxConnections?: number | undefined;
}

/**
 * Where a listener listens, and what its sockets are like.
 *
 * @example
 * ```ts
 * import type { TcpListenOptions } from 'guise/netstack';
 *
 * const web: TcpListenOptions = { port: 80, noDelay: true };
 * ```
 */
export interface TcpListenOptions {
  /** Left out, or `::`: any address; `0.0.0.0`: any of IPv4. */
  readonly address?: string | undefined;
  /** 1 to 65535. Left out: any port. */
  readonly port?: number | undefined;
  /** Connections that wait to be taken, 1 at least. Default 511, as `net.Server`. */
  readonly backlog?: number | undefined;
  /** Whether a socket stays open to be written when the peer has ended its stream. Default false. */
  readonly allowHalfOpen?: boolean | undefined;
  /** As `TcpSocket.setNoDelay`. Default false. */
  readonly noDelay?: boolean | undefined;
}

/**
 * What a connection is opened with.
 *
 * @example
 * ```ts
 * import type { TcpConnectOptions } from 'guise/netstack';
 *
 * const options: TcpConnectOptions = { address: '10.0.0.1', port: 80, signal: AbortSignal.timeout(5000) };
 * ```
 */
export interface TcpConnectOptions {
  /** An IP address. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
  /** Default: the first of the stack's `addresses` that is of the same family. */
  readonly localAddress?: string | undefined;
  /** 1 to 65535. Default: one of 32768 to 60999 (RFC 6056). */
  readonly localPort?: number | undefined;
  /** Destroys the socket when it aborts. */
  readonly signal?: AbortSignal | undefined;
  /** As `TcpListenOptions`. */
  readonly allowHalfOpen?: boolean | undefined;
  readonly noDelay?: boolean | undefined;
  /** As `TcpSocket.setKeepAlive`. Default false. */
  readonly keepAlive?: boolean | undefined;
  readonly keepAliveInitialDelay?: number | undefined;
  /** Default: the stack's. */
  readonly congestion?: CongestionName | undefined;
}

/** Stack options with their defaults. */
export interface NetstackSettings {
  readonly device: NetstackDevice | undefined;
  readonly addresses: readonly string[];
  readonly mtu: number | undefined;
  readonly offload: boolean;
  readonly tcp: boolean;
  readonly ip: IpOptions;
  readonly receiveBudget: number;
  readonly mostConnections: number;
  readonly connection: SharedOptions;
}

const LEAST_BUFFER = 4096;
const MOST_BUFFER = 2 ** 30;

/** @throws {GuiseError} ERR_GUISE_ARGUMENT */
export function checkNetstackOptions(options: NetstackOptions): NetstackSettings {
  const given = checkObject('options', options);
  const { offload = true, tcp = true, udp = true, icmp = true, congestion = 'cubic', ecn = 'accept' } = given;
  const { sendBufferMost, receiveBufferMost } = NETSTACK_TCP;
  const { sendBuffer = sendBufferMost, receiveBuffer = receiveBufferMost } = given;
  const { receiveBudget = NETSTACK_TCP.receiveBudget, maxConnections = NETSTACK_TCP.mostConnections } = given;
  const sendMost = checkInteger('sendBuffer', sendBuffer, LEAST_BUFFER, MOST_BUFFER);
  const receiveMost = checkInteger('receiveBuffer', receiveBuffer, LEAST_BUFFER, MOST_BUFFER);
  return {
    device: given.device === undefined ? undefined : checkDevice(given.device),
    addresses: given.addresses === undefined ? [] : checkAddresses(given.addresses),
    mtu: given.mtu === undefined ? undefined : checkInteger('mtu', given.mtu, 576, 65_535),
    offload: checkBoolean('offload', offload),
    tcp: checkBoolean('tcp', tcp),
    ip: {
      udp: checkBoolean('udp', udp),
      icmp: checkBoolean('icmp', icmp),
      filters: given.filters === undefined ? undefined : checkFilters(given.filters),
      onPing: given.onPing === undefined ? undefined : checkOnPing(given.onPing),
    },
    receiveBudget: checkInteger('receiveBudget', receiveBudget, 0, Number.MAX_SAFE_INTEGER),
    mostConnections: checkInteger('maxConnections', maxConnections, 1, 1 << 20),
    connection: {
      ...NETSTACK_TCP.times,
      keepAliveTime: 0,
      congestion: checkOneOf('congestion', congestion, CONGESTION),
      ecn: checkOneOf('ecn', ecn, ['off', 'accept', 'ask']),
      sendBuffer: Math.min(NETSTACK_TCP.sendBuffer, sendMost),
      sendBufferMost: sendMost,
      receiveBuffer: Math.min(NETSTACK_TCP.receiveBuffer, receiveMost),
      receiveBufferMost: receiveMost,
      timestamps: true,
      windowScaling: true,
      sack: true,
      noDelay: false,
    },
  };
}

/** Listen options with their defaults. */
export interface ListenSettings {
  readonly place: Place;
  readonly limit: number;
  readonly allowHalfOpen: boolean;
  readonly noDelay: boolean;
}

/** @throws {GuiseError} ERR_GUISE_ARGUMENT */
export function checkListenOptions(options: TcpListenOptions): ListenSettings {
  const given = checkObject('options', options);
  const { backlog = NETSTACK_TCP.backlog, allowHalfOpen = false, noDelay = false } = given;
  return {
    place: {
      address: given.address === undefined ? undefined : normalAddress(checkAddress('address', given.address)),
      port: given.port === undefined ? undefined : checkPort('port', given.port),
    },
    limit: checkInteger('backlog', backlog, 1, 2 ** 31 - 1),
    allowHalfOpen: checkBoolean('allowHalfOpen', allowHalfOpen),
    noDelay: checkBoolean('noDelay', noDelay),
  };
}

/** Connect options with their defaults. */
export interface ConnectSettings {
  readonly target: Target;
  readonly signal: AbortSignal | undefined;
  readonly allowHalfOpen: boolean;
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelay: number;
}

/**
 * @param addresses those of the stack
 * @throws {GuiseError} ERR_GUISE_ARGUMENT
 */
export function checkConnectOptions(options: TcpConnectOptions, addresses: readonly string[]): ConnectSettings {
  const given = checkObject('options', options);
  const { localPort = 0, allowHalfOpen = false, noDelay, keepAlive = false, keepAliveInitialDelay = 0 } = given;
  const remoteAddress = normalAddress(checkAddress('address', given.address));
  const isOfFamily = (address: string): boolean => isIPv4(address) === isIPv4(remoteAddress);
  const family = isIPv4(remoteAddress) ? 'IPv4' : 'IPv6';
  const localAddress = given.localAddress ?? addresses.find(isOfFamily);
  if (localAddress === undefined)
    refuse('localAddress', undefined, `an ${family} address, here or in the \`addresses\` of the stack`);
  const local = normalAddress(checkAddress('localAddress', localAddress));
  if (!isOfFamily(local)) refuse('localAddress', local, `an ${family} address, as that of the peer`);
  return {
    target: {
      localAddress: local,
      localPort: checkPort('localPort', localPort, 0),
      remoteAddress,
      remotePort: checkPort('port', given.port),
      congestion: given.congestion === undefined ? undefined : checkOneOf('congestion', given.congestion, CONGESTION),
      noDelay: noDelay === undefined ? undefined : checkBoolean('noDelay', noDelay),
    },
    signal: checkSignal('signal', given.signal),
    allowHalfOpen: checkBoolean('allowHalfOpen', allowHalfOpen),
    keepAlive: checkBoolean('keepAlive', keepAlive),
    keepAliveInitialDelay:
      keepAliveInitialDelay === 0 ? 0 : checkMilliseconds('keepAliveInitialDelay', keepAliveInitialDelay, 2 ** 31 - 1),
  };
}

function checkDevice(device: unknown): NetstackDevice {
  const given = checkObject('device', device as NetstackDevice);
  if (given.descriptor !== undefined) {
    return {
      descriptor: checkInteger('device.descriptor', given.descriptor, 0, 2 ** 31 - 1),
      virtioHeader: checkBoolean('device.virtioHeader', given.virtioHeader ?? false),
    };
  }
  return { name: given.name === undefined ? undefined : checkInterfaceName('device.name', given.name) };
}

function checkAddresses(addresses: unknown): readonly string[] {
  if (!Array.isArray(addresses)) return refuse('addresses', addresses, 'a list of IP addresses');
  return Array.from(addresses as unknown[], (each, index) => normalAddress(checkAddress(`addresses[${index}]`, each)));
}

function checkFilters(filters: unknown): NonNullable<IpOptions['filters']> {
  if (!Array.isArray(filters) || filters.some((each) => typeof each !== 'function'))
    return refuse('filters', filters, 'a list of functions');
  return filters as NonNullable<IpOptions['filters']>;
}

function checkOnPing(onPing: unknown): NonNullable<IpOptions['onPing']> {
  if (typeof onPing !== 'function') return refuse('onPing', onPing, 'a function');
  return onPing as NonNullable<IpOptions['onPing']>;
}
