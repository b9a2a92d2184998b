import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isIPv4 } from 'node:net';
import { availableParallelism } from 'node:os';
import { GuiseError, systemError } from '../errors.js';
import { formatEndpoint, type Endpoint } from '../endpoint.js';
import {
  ACK, encodeTuple, Engine, openTun, RST, SYN, tupleKey,
  type EngineCounters, type Segment, type TupleBytes, type UdpPeer,
} from '../native.js';
import { ActiveOpen, NO_OPTIONS, type OpenOutcome, type OpenStep } from './active_open.js';
import type { LivenessOptions } from './liveness.js';
import { Listener } from './listener.js';
import { synOptions, type Profile } from './profile.js';
import { RateLimit } from '../rate_limit.js';
import { Socket, type SocketHost, type SocketInit } from './socket.js';
import { UdpListener } from './udp_listener.js';

/** Linux's net.ipv4.ip_local_port_range, which phantun takes too. */
const FIRST_PORT = 32768;
const LAST_PORT = 60999;

const RESETS_PER_SECOND = 100;

/**
 * An ACK each MiB is far below the window of 1 GiB even with 200 ms of 10 Gbit/s in flight; 200 ms is far below the
 * 300 s after which conntrack forgets unacknowledged data. Before the peer's scaled window is seen, the 64 KiB of
 * its SYN-ACK are all that a strict router lets through.
 */
const POLICY = {
  ackBytes: 1 << 20,
  ackInterval: 200,
  initialWindow: 48 << 10,
  queueBytes: 1 << 20,
  allQueuesBytes: 64 << 20,
  sendQueueBytes: 4 << 20,
  maxPeers: 65_536,
};

/** Default limit for `connect`: SYNs at 0, 1, 3 and 7 s. */
export const CONNECT_TIMEOUT = 15_000;

/** Each flow is looked at so often within its idle time-out: it is closed an eighth late at most. */
const IDLE_PARTS = 16;

export interface TunOptions {
  /** Interface name, at most 15 bytes; the kernel picks one if left out. */
  readonly name?: string;
  /** Queues, one worker thread each: 1 to 64. Default: one a CPU. */
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
  /** The socket will be spliced to UDP: its datagrams are held until then. */
  readonly spliced?: boolean;
  /** The worker that is to own the flow. Default: the first. */
  readonly worker?: number;
  readonly signal?: AbortSignal;
}

/** A connection between its first segment and its Socket. */
interface Opening {
  receive(segment: Segment): void;
}

interface Accepting extends SocketInit {
  readonly listener: Listener;
  readonly early: Uint8Array[];
  /** End of the last of them. */
  receiveNext: number;
}

export interface StackEvents {
  error: [error: GuiseError];
}

/**
 * A TCP/IP stack of fake connections on one device. Event: `'error'` (ENODEV) when the device is gone, because the
 * interface was deleted or the other end of the descriptor closed; its sockets are closed then.
 */
export class Stack extends EventEmitter<StackEvents> {
  /** Name of the TUN interface; undefined on descriptors. */
  readonly interfaceName: string | undefined;
  /** Whether the device takes super-segments, as far as known at the start. */
  readonly segmentation: boolean;
  /** Worker threads, one for each queue of the device. */
  readonly workers: number;

  readonly #engine: Engine;
  readonly #addresses: readonly string[];
  readonly #mtu: number;
  readonly #idleTimeout: number;
  readonly #livenessOptions: LivenessOptions;
  readonly #resets = new RateLimit(RESETS_PER_SECOND);
  readonly #host: SocketHost;
  readonly #opening = new Map<string, Opening>();
  readonly #accepting = new Map<string, Accepting>();
  readonly #acceptingFlows = new Map<number, string>();
  readonly #sockets = new Map<string, Socket>();
  /** Connections that each remote address has opened, by `sourceOf`. */
  readonly #sources = new Map<string, number>();
  readonly #maxFlowsPerSource: number;
  /** By flow id. */
  readonly #flows: (Socket | undefined)[] = [];
  readonly #listeners = new Map<number, Listener>();
  readonly #udpListeners: UdpListener[] = [];
  readonly #profiles = new Map<string, Profile>();
  readonly #sweep: NodeJS.Timeout;
  #sweeps = 0;
  #closing: Promise<void> | undefined;

  /**
   * Opens the device and starts its workers.
   *
   * @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) when there is no device to be had
   */
  static async open(options: StackOptions): Promise<Stack> {
    return new Stack(options);
  }

  private constructor(options: StackOptions) {
    const { device, addresses, mtu = 1500, offload = true, maxFlows = 65_536, idleTimeout } = options;
    const { maxFlowsPerSource = Math.ceil(maxFlows / 4) } = options;
    super();
    const { descriptors, virtioHeader, segmentation, name } = openDevice(device, offload);
    this.interfaceName = name;
    this.segmentation = segmentation;
    this.workers = descriptors.length;
    this.#addresses = addresses;
    this.#mtu = mtu;
    this.#maxFlowsPerSource = maxFlowsPerSource;
    this.#idleTimeout = idleTimeout ?? Infinity;
    this.#livenessOptions = { keepalive: options.keepalive ?? 25_000, silence: options.silence ?? 5000 };
    this.#engine = new Engine({ devices: descriptors, virtioHeader, segmentation, offload, maxFlows, ...POLICY }, {
      segment: (segment) => this.#onSegment(segment),
      opening: (segment, phantun) => this.#onOpening(segment, phantun ? 'phantun' : 'guise'),
      datagram: (flow, payload) => this.#flows[flow]?.receiveDatagram(payload),
      attached: (flow) => this.#onAttached(flow),
      peer: (peer) => this.#onPeer(peer),
      deviceGone: () => this.#onDeviceGone(),
    });
    this.#host = {
      engine: this.#engine,
      ignoreReset: options.ignoreReset ?? false,
      forget: (socket) => this.#forget(socket),
    };
    this.#sweep = setInterval(() => this.#look(performance.now()), 1000).unref();
  }

  get counters(): EngineCounters {
    return this.#engine.counters();
  }

  /** The connections that are established. */
  get sockets(): Iterable<Socket> {
    return this.#sockets.values();
  }

  /**
   * Opens a connection from a free port of the stack's address of the same family.
   *
   * @throws {GuiseError} ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL; the reason of `signal` when it aborts
   */
  async connect(options: ConnectOptions): Promise<Socket> {
    const remote = { address: options.address, port: options.port };
    const name = formatEndpoint(remote);
    const asked = options.profile ?? 'auto';
    const known = this.#profiles.get(name);
    const profiles: readonly Profile[] =
      asked !== 'auto' ? [asked] : known === 'phantun' ? ['phantun', 'guise'] : ['guise', 'phantun'];
    for (const profile of profiles) {
      const socket = await this.#attempt(remote, profile, options);
      if (!socket) continue;
      this.#profiles.set(name, profile);
      return socket;
    }
    throw systemError('ECONNREFUSED', 'connect', remote);
  }

  /**
   * Accepts connections on a port.
   *
   * @param port 1 to 65535
   * @throws {GuiseError} EADDRINUSE when this stack listens there already
   */
  listen({ port, spliced = false }: { port: number; spliced?: boolean }): Listener {
    if (this.#listeners.has(port)) throw systemError('EADDRINUSE', 'listen', { address: this.#addresses[0]!, port });
    const onClose = (): void => {
      this.#listeners.delete(port);
      this.#engine.unlisten(port);
    };
    const listener = new Listener({ port, spliced, onClose });
    this.#listeners.set(port, listener);
    this.#engine.listen(port, {
      guise4: synOptions('guise', this.#maxPayload(4)),
      guise6: synOptions('guise', this.#maxPayload(6)),
      phantun: synOptions('phantun', this.#maxPayload(4)),
    });
    return listener;
  }

  /**
   * Binds a UDP port of the host, whose peers can be spliced to sockets of this stack.
   *
   * @throws {GuiseError} EADDRINUSE, EADDRNOTAVAIL, EACCES
   */
  listenUdp(local: Endpoint): UdpListener {
    const port = this.#engine.listenUdp(local);
    if (port < 0) throw systemError(port, this.#engine.lastSyscall, local);
    const listener = new UdpListener(this.#engine, { address: local.address, port });
    this.#udpListeners.push(listener);
    return listener;
  }

  /** Closes every connection, then the device. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweep);
    for (const listener of [...this.#listeners.values()]) listener.close();
    await Promise.all(Array.from(this.#sockets.values(), (socket) => socket.close()));
    this.#engine.close();
  }

  /** A socket, or undefined when the peer refused. */
  async #attempt(remote: Endpoint, profile: Profile, options: ConnectOptions): Promise<Socket | undefined> {
    const { timeout = CONNECT_TIMEOUT, worker = 0, signal } = options;
    signal?.throwIfAborted();
    const tuple = this.#freeTuple(remote);
    const open = new ActiveOpen({
      profile,
      iss: profile === 'phantun' ? 0 : randomInt(2 ** 32),
      mss: this.#maxPayload(familyOf(remote.address)),
      limit: timeout,
    });
    const key = tupleKey(tuple);
    try {
      const outcome = await this.#drive(open, tuple, worker, signal);
      if (outcome.type === 'timedOut') throw systemError('ETIMEDOUT', 'connect', remote);
      if (outcome.type === 'refused') return undefined;
      return this.#establish(remote, tuple, outcome, options);
    } finally {
      // Not before the socket has the tuple: other connections are opened in between.
      this.#opening.delete(key);
    }
  }

  #establish(
    remote: Endpoint,
    tuple: TupleBytes,
    { sendNext, receiveNext, profile }: Extract<OpenOutcome, { type: 'established' }>,
    { worker = 0, spliced = false }: ConnectOptions,
  ): Socket {
    const maxPayload = this.#maxPayload(familyOf(remote.address));
    const flow = this.#engine.openFlow(tuple, {
      worker,
      sendNext,
      receiveNext,
      maxPayload,
      push: profile === 'guise',
      // phantun never acknowledges the first data, so there is nothing to wait for.
      guard: profile === 'guise',
      javascript: !spliced,
    });
    if (flow < 0) throw systemError(flow, 'connect', remote);
    this.#engine.sendControl(flow, ACK);
    const socket = this.#adopt({ flow, worker, key: tupleKey(tuple), profile, maxPayload, early: [], accepted: false });
    socket.watch(this.#livenessOptions, performance.now());
    return socket;
  }

  #drive(open: ActiveOpen, tuple: TupleBytes, worker: number, signal: AbortSignal | undefined): Promise<OpenOutcome> {
    const key = tupleKey(tuple);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        end();
        reject(signal!.reason);
      };
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const take = ({ send, wait, outcome }: OpenStep): void => {
        if (send) this.#engine.sendSegment(worker, tuple, send);
        if (wait !== undefined) timer = setTimeout(() => take(open.timeout()), wait);
        if (!outcome) return;
        end();
        resolve(outcome);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#opening.set(key, { receive: (segment) => take(open.segment(segment)) });
      take(open.start());
    });
  }

  #freeTuple(remote: Endpoint): TupleBytes {
    const address = this.#addresses.find((each) => isIPv4(each) === isIPv4(remote.address));
    if (!address) throw systemError('EADDRNOTAVAIL', 'connect', remote);
    const ports = LAST_PORT - FIRST_PORT + 1;
    const start = randomInt(ports);
    for (let i = 0; i < ports; i++) {
      const tuple = encodeTuple({ address, port: FIRST_PORT + ((start + i) % ports) }, remote);
      const key = tupleKey(tuple);
      if (!this.#opening.has(key) && !this.#sockets.has(key)) return tuple;
    }
    throw systemError('EADDRNOTAVAIL', 'connect', remote);
  }

  /** IP header and TCP header without options go off. */
  #maxPayload(family: 4 | 6): number {
    return this.#mtu - (family === 4 ? 20 : 40) - 20;
  }

  #onSegment(segment: Segment): void {
    if (segment.flow !== 0) return this.#flows[segment.flow]?.receiveSegment(segment);
    const opening = this.#opening.get(segment.key);
    if (opening) return opening.receive(segment);
    // A flow may have come into being after the data plane looked for it.
    if (this.#sockets.has(segment.key) || segment.flags & RST) return;
    this.#reset(segment);
  }

  /** Makes the connection of a cookie that came back: with an empty ACK, or with first data when that was lost. */
  #onOpening(segment: Segment, profile: Profile): void {
    const listener = this.#listeners.get(localPort(segment.tuple));
    if (!listener || this.#sockets.has(segment.key)) return;
    const accepting = this.#accepting.get(segment.key);
    if (!accepting) return this.#accept(listener, segment, profile);
    if (segment.payload.length === 0) return;
    accepting.early.push(segment.payload.slice());
    accepting.receiveNext = (segment.seq + segment.payload.length) >>> 0;
  }

  #accept(listener: Listener, segment: Segment, profile: Profile): void {
    const receiveNext = (segment.seq + segment.payload.length) >>> 0;
    const maxPayload = this.#maxPayload(isMapped(segment.tuple) ? 4 : 6);
    const source = sourceOf(segment.key);
    if ((this.#sources.get(source) ?? 0) >= this.#maxFlowsPerSource) return this.#refuse(segment, 'sourceFull');
    const flow = this.#engine.openFlow(segment.tuple, {
      worker: segment.worker,
      sendNext: segment.ack,
      receiveNext,
      maxPayload,
      push: profile === 'guise',
      guard: false,
      javascript: !listener.spliced,
    });
    if (flow < 0) return this.#refuse(segment, 'flowsFull');
    const early = segment.payload.length > 0 ? [segment.payload.slice()] : [];
    const { worker, key } = segment;
    this.#accepting.set(key, { listener, flow, worker, key, profile, maxPayload, early, accepted: true, receiveNext });
    this.#acceptingFlows.set(flow, key);
    this.#sources.set(source, (this.#sources.get(source) ?? 0) + 1);
  }

  #refuse(segment: Segment, reason: 'flowsFull' | 'sourceFull'): void {
    this.#engine.countDrop(reason);
    this.#reset(segment);
  }

  #onAttached(flow: number): void {
    const key = this.#acceptingFlows.get(flow);
    const accepting = key === undefined ? undefined : this.#accepting.get(key);
    if (key === undefined || !accepting) return;
    this.#acceptingFlows.delete(flow);
    this.#accepting.delete(key);
    // The data plane never saw the early ones: acknowledge them here.
    if (accepting.early.length > 0) this.#engine.sendControl(flow, ACK, accepting.receiveNext);
    accepting.listener.emit('connection', this.#adopt(accepting));
  }

  #onDeviceGone(): void {
    if (this.#closing) return;
    for (const socket of [...this.#sockets.values()]) socket.resetAndDestroy();
    const error = systemError('ENODEV', 'read', {});
    void this.close().then(() => {
      if (this.listenerCount('error') > 0) this.emit('error', error);
    });
  }

  #onPeer(peer: UdpPeer): void {
    const listener = this.#udpListeners.find(({ local }) => local.port === peer.local.port);
    listener?.emit('peer', peer);
  }

  #adopt(init: SocketInit): Socket {
    const socket = new Socket(this.#host, init);
    this.#sockets.set(init.key, socket);
    this.#flows[init.flow] = socket;
    return socket;
  }

  #forget({ flow, key, accepted }: Socket): void {
    this.#sockets.delete(key);
    this.#flows[flow] = undefined;
    if (!accepted) return;
    const source = sourceOf(key);
    const left = this.#sources.get(source)! - 1;
    if (left > 0) this.#sources.set(source, left);
    else this.#sources.delete(source);
  }

  /** Tells a stranger that nothing is here, in the form that phantun uses and RFC 9293 §3.5.2 allows. */
  #reset({ worker, tuple, seq, ack, flags, payload }: Segment): void {
    if (!this.#resets.take(performance.now())) return;
    const end = (seq + payload.length + (flags & SYN ? 1 : 0)) >>> 0;
    this.#engine.sendSegment(worker, tuple, { flags: RST | ACK, seq: ack, ack: end, options: NO_OPTIONS });
  }

  #look(now: number): void {
    for (const socket of this.#sockets.values()) socket.pulse(now);
    if (this.#idleTimeout !== Infinity) this.#closeIdle(now);
  }

  /** Looks at a part of the flows each second, so that ten thousand idle ones cost nothing. */
  #closeIdle(now: number): void {
    const parts = Math.max(1, Math.floor(this.#idleTimeout / IDLE_PARTS / 1000));
    for (let flow = this.#sweeps++ % parts; flow < this.#flows.length; flow += parts) {
      const socket = this.#flows[flow];
      if (socket && !socket.closed && socket.idleFor(now) >= this.#idleTimeout) void socket.close();
    }
  }
}

interface OpenedDevice {
  readonly descriptors: readonly number[];
  readonly virtioHeader: boolean;
  readonly segmentation: boolean;
  readonly name: string | undefined;
}

function openDevice(device: TunOptions | DescriptorOptions, offload: boolean): OpenedDevice {
  if ('descriptors' in device) {
    const { descriptors, virtioHeader = false } = device;
    if (descriptors.length < 1 || descriptors.length > 64) throw new GuiseError('ERR_GUISE_DESCRIPTORS');
    return { descriptors, virtioHeader, segmentation: virtioHeader && offload, name: undefined };
  }
  const opened = openTun(device.name ?? '', device.queues ?? availableParallelism(), offload);
  if ('errno' in opened) throw systemError(opened.errno, opened.syscall, {});
  return { ...opened, descriptors: opened.fds };
}

/** IPv4 in its mapped form: the remote address begins at byte 16. */
function isMapped(tuple: TupleBytes): boolean {
  return tuple[26] === 0xff && tuple[27] === 0xff && tuple.subarray(16, 26).every((byte) => byte === 0);
}

/** The remote address in a key of `tupleKey`. */
function sourceOf(key: string): string {
  return key.slice(16, 32);
}

function familyOf(address: string): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}

function localPort(tuple: TupleBytes): number {
  return tuple[32]! | (tuple[33]! << 8);
}
