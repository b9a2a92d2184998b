/** What a stack and its connections can be told, checked and with defaults. Times in milliseconds, sizes in bytes. */
import { isIPv4 } from 'node:net';
import { CONNECTION, LIVENESS } from '../policy.js';
import type { Profile } from '../wire/profile.js';
import {
  checkAddress,
  checkBoolean,
  checkInteger,
  checkInterfaceName,
  checkListener,
  checkMilliseconds,
  checkObject,
  checkOneOf,
  checkPort,
  checkSignal,
  refuse,
  type Unchecked,
} from '../kit/arguments.js';

/** setTimeout takes no more. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Workers of a stack. */
const MOST_WORKERS = 64;

/**
 * A TUN interface, made by the stack. Needs CAP_NET_ADMIN.
 *
 * @example
 * ```ts
 * import { Stack, type TunOptions } from 'guise';
 *
 * const device: TunOptions = { name: 'guise0', queues: 2 };
 * await using stack = await Stack.open({ device, addresses: ['192.168.200.2'] });
 * ```
 */
export interface TunOptions {
  /** Interface name, 1 to 15 bytes; the kernel picks one if left out. */
  readonly name?: string;
  /** Queues, one worker thread each: 1 to 64. Default: one for two processors. */
  readonly queues?: number;
}

/**
 * A device of one's own: anything that carries raw IP packets. Needs no rights.
 *
 * @example
 * ```ts
 * import { Stack, type DescriptorOptions } from 'guise';
 *
 * declare const descriptor: number; // one end of a socketpair of type SOCK_SEQPACKET or SOCK_DGRAM, or an open TUN
 * const device: DescriptorOptions = { descriptors: [descriptor] };
 * await using stack = await Stack.open({ device, addresses: ['10.1.0.1'] });
 * ```
 */
export interface DescriptorOptions {
  /**
   * 1 to 64 descriptors that carry one raw IP packet a read and a write, one worker each, no number twice. The stack owns
   * and closes them.
   */
  readonly descriptors: readonly number[];
  /** A struct virtio_net_hdr of 10 bytes precedes each packet. Default false. */
  readonly virtioHeader?: boolean;
}

/**
 * The links of the host, by packet sockets: connections have the host's own addresses, nothing on the host is changed,
 * and its firewall does not see them. Needs CAP_NET_RAW to be opened, and nothing afterwards.
 *
 * @example
 * ```ts
 * import { Stack, type PacketOptions } from 'guise';
 *
 * const device: PacketOptions = { packet: true, fwmark: 51820 };
 * await using stack = await Stack.open({ device });
 * ```
 */
export interface PacketOptions {
  readonly packet: true;
  /** Worker threads that share what comes: 1 to 64. Default: one for two processors. */
  readonly queues?: number;
  /** The mark of what finds its way by the host's routes (ip-rule(8), fwmark): 1 to 2^32-1. Default: none. */
  readonly fwmark?: number;
  /** The interface by which connections are opened, whatever the routes say. Default: any. */
  readonly interface?: string;
}

/**
 * What a stack's packets go through.
 *
 * @example
 * ```ts
 * import { Stack, type DeviceOptions } from 'guise';
 *
 * const device: DeviceOptions = process.env['TUN'] ? { name: process.env['TUN'] } : { packet: true };
 * await using stack = await Stack.open('name' in device ? { device, addresses: ['192.168.200.2'] } : { device });
 * ```
 */
export type DeviceOptions = PacketOptions | TunOptions | DescriptorOptions;

/**
 * What a stack is opened with.
 *
 * @example
 * ```ts
 * import { Stack, type StackOptions } from 'guise';
 *
 * const options: StackOptions = {
 *   device: { name: 'guise0' },
 *   addresses: ['192.168.200.2', 'fd00:200::2'],
 *   idleTimeout: 180_000,
 * };
 * await using stack = await Stack.open(options);
 * ```
 */
export interface StackOptions {
  /** `'packet'` is short for `{ packet: true }`. */
  readonly device: 'packet' | DeviceOptions;
  /**
   * The stack's own addresses, one IPv4, one IPv6 or both: not those of the host. Not to be given for packet sockets,
   * where they are the host's.
   */
  readonly addresses?: readonly string[];
  /** Bytes of the largest IP packet, 576 to 65535. Default 1500. */
  readonly mtu?: number;
  /** Super-segments, checksum offload, UDP_GRO and UDP_SEGMENT, as far as the kernel has them. Default true. */
  readonly offload?: boolean;
  /** Connections at the same time: 1 to 1048576. Default 65536. */
  readonly maxFlows?: number;
  /** Connections that one remote address may have opened, 1 to 1048576. Default: a quarter of maxFlows. */
  readonly maxFlowsPerSource?: number;
  /** Milliseconds without a datagram after which a connection is closed, more than 0. Default: Infinity, never. */
  readonly idleTimeout?: number;
  /**
   * Milliseconds without a segment after which the peer of a connection that was opened here is probed although nothing
   * is sent, more than 0. Default 25 000, far below the 300 s of the most impatient routers; Infinity for never.
   */
  readonly keepalive?: number;
  /** Milliseconds without a segment, while datagrams are sent, after which it is probed; more than 0. Default 5000. */
  readonly deadAfter?: number;
  /** RSTs do not end established connections. Default false. */
  readonly ignoreRst?: boolean;
}

/**
 * What a connection is opened with.
 *
 * @example
 * ```ts
 * import type { ConnectOptions, Stack } from 'guise';
 *
 * declare const stack: Stack;
 * const options: ConnectOptions = { address: '203.0.113.7', port: 443, signal: AbortSignal.timeout(5000) };
 * const socket = await stack.connect(options);
 * ```
 */
export interface ConnectOptions {
  /** An IP address of a family that the stack has an address of. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
  /** `auto` tries guise's and falls back to phantun's when it is refused; what worked is remembered. Default auto. */
  readonly profile?: Profile | 'auto';
  /** Milliseconds until ETIMEDOUT, more than 0. Default 15000. */
  readonly timeout?: number;
  /** The worker that is to own the flow: 0, the default, to one less than `Stack.workers`. */
  readonly worker?: number;
  /** Ends the attempt when it aborts. */
  readonly signal?: AbortSignal;
  /** Called with one sentence, once for each attempt that has had no answer for 3 s: what is known of the cause. */
  readonly onUnanswered?: (sentence: string) => void;
}

/** Stack options with their defaults. */
export interface StackSettings extends Required<StackOptions> {
  readonly device: DeviceOptions;
}

/** Connect options with their defaults. */
export interface ConnectSettings extends Required<Omit<ConnectOptions, 'signal' | 'onUnanswered'>> {
  readonly signal: AbortSignal | undefined;
  readonly onUnanswered: ((sentence: string) => void) | undefined;
}

/** @throws {GuiseError} ERR_GUISE_ARGUMENT */
export function checkStackOptions(options: StackOptions): StackSettings {
  const given = checkObject('options', options);
  const { mtu = CONNECTION.mtu, offload = true, ignoreRst = false, idleTimeout = Infinity } = given;
  const { keepalive = LIVENESS.keepalive, deadAfter = LIVENESS.deadAfter } = given;
  const { maxFlows: asked = CONNECTION.maxFlows } = given;
  const maxFlows = checkInteger('maxFlows', asked, 1, CONNECTION.mostFlows);
  const { maxFlowsPerSource = Math.ceil(maxFlows * CONNECTION.sourceShare) } = given;
  const device = checkDevice(given.device);
  return {
    device,
    addresses: 'packet' in device ? checkNoAddresses(given.addresses) : checkAddresses(given.addresses),
    mtu: checkInteger('mtu', mtu, 576, 65_535),
    offload: checkBoolean('offload', offload),
    maxFlows,
    maxFlowsPerSource: checkInteger('maxFlowsPerSource', maxFlowsPerSource, 1, CONNECTION.mostFlows),
    idleTimeout: checkMilliseconds('idleTimeout', idleTimeout, Infinity),
    keepalive: checkMilliseconds('keepalive', keepalive, Infinity),
    deadAfter: checkMilliseconds('deadAfter', deadAfter, Infinity),
    ignoreRst: checkBoolean('ignoreRst', ignoreRst),
  };
}

/** @throws {GuiseError} ERR_GUISE_ARGUMENT */
export function checkConnectOptions(
  options: ConnectOptions,
  { workers, addresses }: { workers: number; addresses: readonly string[] | undefined },
): ConnectSettings {
  const given = checkObject('options', options);
  const { profile = 'auto', timeout = CONNECTION.connectTimeout, worker = 0 } = given;
  const address = checkAddress('address', given.address);
  if (addresses && !addresses.some((each) => isIPv4(each) === isIPv4(address)))
    refuse('address', address, `an IPv${isIPv4(address) ? 6 : 4} address: the stack has no other`);
  return {
    address,
    port: checkPort('port', given.port),
    profile: checkOneOf('profile', profile, ['auto', 'guise', 'phantun']),
    timeout: checkMilliseconds('timeout', timeout, LONGEST_TIMER),
    worker: checkInteger('worker', worker, 0, workers - 1),
    signal: checkSignal('signal', given.signal),
    onUnanswered: checkListener('onUnanswered', given.onUnanswered),
  };
}

function checkDevice(device: unknown): DeviceOptions {
  if (device === 'packet') return { packet: true };
  const given = checkObject('device', device as DeviceOptions);
  if ('packet' in given) return checkPacket(given);
  if ('descriptors' in given) {
    const { descriptors, virtioHeader = false } = given;
    return {
      descriptors: checkDescriptors(descriptors),
      virtioHeader: checkBoolean('device.virtioHeader', virtioHeader),
    };
  }
  const { name, queues } = given as Unchecked<TunOptions>;
  return {
    ...(name === undefined ? {} : { name: checkInterfaceName('device.name', name) }),
    ...(queues === undefined ? {} : { queues: checkInteger('device.queues', queues, 1, MOST_WORKERS) }),
  };
}

function checkPacket({ packet, queues, fwmark, interface: by }: Unchecked<PacketOptions>): PacketOptions {
  if (packet !== true) refuse('device.packet', packet, 'true');
  return {
    packet: true,
    ...(queues === undefined ? {} : { queues: checkInteger('device.queues', queues, 1, MOST_WORKERS) }),
    ...(fwmark === undefined ? {} : { fwmark: checkInteger('device.fwmark', fwmark, 1, 2 ** 32 - 1) }),
    ...(by === undefined ? {} : { interface: checkInterfaceName('device.interface', by) }),
  };
}

function checkNoAddresses(addresses: unknown): readonly string[] {
  return addresses === undefined ? [] : refuse('addresses', addresses, 'none: they are those of the host');
}

function checkDescriptors(descriptors: unknown): readonly number[] {
  if (!Array.isArray(descriptors) || descriptors.length < 1 || descriptors.length > MOST_WORKERS)
    return refuse('device.descriptors', descriptors, `a list of 1 to ${MOST_WORKERS} descriptors, one for each worker`);
  const checked = Array.from(descriptors as unknown[], (each, index) =>
    checkInteger(`device.descriptors[${index}]`, each, 0, 2 ** 31 - 1),
  );
  const twice = checked.find((each, index) => checked.indexOf(each) !== index);
  return twice === undefined ? checked : refuse('device.descriptors', `${twice} twice`, 'each descriptor once');
}

function checkAddresses(addresses: unknown): readonly string[] {
  const expected = 'a list of one IPv4 address, one IPv6 address or one of each';
  if (!Array.isArray(addresses) || addresses.length < 1 || addresses.length > 2)
    return refuse('addresses', addresses, expected);
  const [first, second] = Array.from(addresses as unknown[], (each, index) =>
    checkAddress(`addresses[${index}]`, each),
  );
  if (second === undefined) return [first!];
  return isIPv4(first!) === isIPv4(second) ? refuse('addresses', addresses, expected) : [first!, second];
}
