import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isIPv4 } from 'node:net';
import { systemError, type GuiseError } from '../errors.js';
import { formatEndpoint, type Endpoint } from '../endpoint.js';
import {
  ACK, encodeTuple, Engine, localPort, RST, SYN, tupleKey,
  type EngineCounters, type Segment, type TupleBytes, type UdpPeer,
} from '../native.js';
import { Acceptor } from './acceptor.js';
import { ActiveOpen, NO_OPTIONS, type OpenOutcome, type OpenStep } from './active_open.js';
import { openDevice } from './device.js';
import type { LivenessOptions } from './liveness.js';
import { Listener } from './listener.js';
import { CONNECT_TIMEOUT, type ConnectOptions, type StackOptions } from './options.js';
import { PHANTUN_ISN, synOptions, type Profile } from './profile.js';
import { RateLimit } from '../rate_limit.js';
import { Socket, type SocketHost, type SocketInit } from './socket.js';
import { TimingWheel } from './timing_wheel.js';
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

/** Milliseconds between two rounds, each of which looks at the sockets that are due. */
const LOOK_INTERVAL = 250;
/** A socket is looked at so often within its idle time-out: it is closed a sixteenth late at most. */
const IDLE_PARTS = 16;
/** Keepalives come up to so much of their time early: those of flows that were opened at once must not come at once. */
const KEEPALIVE_JITTER = 0.25;

/** How an attempt to connect ends that has neither a socket nor an error. */
type Refusal = 'refused' | 'mistaken';

/** A connection between its first segment and its Socket. */
interface Opening {
  receive(segment: Segment): void;
  /** The stack closes. */
  abort(): void;
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
  readonly #acceptor: Acceptor;
  readonly #sockets = new Map<string, Socket>();
  /** By flow id. */
  readonly #flows: (Socket | undefined)[] = [];
  /** When to look at each socket, by the clock of `performance.now()`. */
  readonly #looks = new TimingWheel<Socket>(LOOK_INTERVAL, performance.now());
  readonly #listeners = new Map<number, Listener>();
  readonly #udpListeners: UdpListener[] = [];
  readonly #profiles = new Map<string, Profile>();
  readonly #looking: NodeJS.Timeout;
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
    this.#idleTimeout = idleTimeout ?? Infinity;
    this.#livenessOptions = { keepalive: options.keepalive ?? 25_000, silence: options.silence ?? 5000 };
    this.#engine = new Engine({ devices: descriptors, virtioHeader, segmentation, offload, maxFlows, ...POLICY }, {
      segment: (segment) => this.#onSegment(segment),
      opening: (segment, phantun) => this.#onOpening(segment, phantun ? 'phantun' : 'guise'),
      datagram: (flow, payload) => this.#flows[flow]?.receiveDatagram(payload),
      attached: (flow) => this.#acceptor.attached(flow),
      peer: (peer) => this.#onPeer(peer),
      deviceGone: () => this.#onDeviceGone(),
    });
    this.#acceptor = new Acceptor({
      engine: this.#engine,
      maxFlowsPerSource,
      maxPayload: (family) => this.#maxPayload(family),
      adopt: (init) => this.#adopt(init),
    });
    this.#host = {
      engine: this.#engine,
      ignoreReset: options.ignoreReset ?? false,
      forget: (socket) => this.#forget(socket),
    };
    this.#looking = setInterval(() => this.#look(performance.now()), LOOK_INTERVAL).unref();
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
   * @throws {GuiseError} ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL; ECONNABORTED when the stack is closed; the reason of
   *   `signal` when it aborts
   */
  async connect(options: ConnectOptions): Promise<Socket> {
    const remote = { address: options.address, port: options.port };
    const name = formatEndpoint(remote);
    const asked = options.profile ?? 'auto';
    const found =
      asked === 'auto'
        ? await this.#find(remote, this.#profiles.get(name) ?? 'guise', options)
        : await this.#attempt(remote, asked, options);
    if (!(found instanceof Socket)) throw systemError('ECONNREFUSED', 'connect', remote);
    this.#profiles.set(name, found.profile);
    return found;
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

  /** Closes every connection, those that are being opened too, then the device. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    clearInterval(this.#looking);
    for (const listener of [...this.#listeners.values()]) listener.close();
    for (const opening of [...this.#opening.values()]) opening.abort();
    await Promise.all(Array.from(this.#sockets.values(), (socket) => socket.close()));
    this.#engine.close();
  }

  /**
   * Finds out which profile the server has. phantun refuses a SYN with a random ISN, and answers its own with ISN 0. Who
   * answers that one with another ISN is guise, and was not there yet when guise's SYN came; or phantun, behind
   * something that changes its numbers.
   */
  async #find(remote: Endpoint, first: Profile, options: ConnectOptions): Promise<Socket | Refusal> {
    let found = await this.#attempt(remote, first, options, PHANTUN_ISN);
    if (found === 'refused') {
      found = await this.#attempt(remote, first === 'guise' ? 'phantun' : 'guise', options, PHANTUN_ISN);
    }
    if (found === 'mistaken') {
      found = await this.#attempt(remote, 'guise', options);
      if (found === 'refused') found = await this.#attempt(remote, 'phantun', options);
    }
    return found;
  }

  /** @param phantunIsn the ISN that a server has to have when it is asked as phantun */
  async #attempt(
    remote: Endpoint,
    profile: Profile,
    options: ConnectOptions,
    phantunIsn?: number,
  ): Promise<Socket | Refusal> {
    const { timeout = CONNECT_TIMEOUT, worker = 0, signal } = options;
    signal?.throwIfAborted();
    if (this.#closing) throw systemError('ECONNABORTED', 'connect', remote);
    const tuple = this.#freeTuple(remote);
    const phantun = profile === 'phantun';
    const open = new ActiveOpen({
      profile,
      iss: phantun ? PHANTUN_ISN : randomInt(2 ** 32),
      mss: this.#maxPayload(familyOf(remote.address)),
      limit: timeout,
      expected: phantun ? phantunIsn : undefined,
    });
    const key = tupleKey(tuple);
    try {
      const outcome = await this.#drive(open, tuple, worker, signal);
      if (!outcome) throw systemError('ECONNABORTED', 'connect', remote);
      if (outcome.type === 'timedOut') throw systemError('ETIMEDOUT', 'connect', remote);
      return outcome.type === 'established' ? this.#establish(remote, tuple, outcome, options) : outcome.type;
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
    const { keepalive, silence } = this.#livenessOptions;
    const early = 1 - KEEPALIVE_JITTER * Math.random();
    socket.watch({ keepalive: Math.round(keepalive * early), silence }, performance.now());
    return socket;
  }

  /** How it went, or undefined when the stack was closed meanwhile. */
  #drive(
    open: ActiveOpen,
    tuple: TupleBytes,
    worker: number,
    signal: AbortSignal | undefined,
  ): Promise<OpenOutcome | undefined> {
    const key = tupleKey(tuple);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const end = (outcome?: OpenOutcome): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        resolve(outcome);
      };
      const take = ({ send, wait, outcome }: OpenStep): void => {
        if (send) this.#engine.sendSegment(worker, tuple, send);
        if (wait !== undefined) timer = setTimeout(() => take(open.timeout()), wait);
        if (outcome) end(outcome);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#opening.set(key, { receive: (segment) => take(open.segment(segment)), abort: end });
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

  /** A cookie has come back: with an empty ACK, or with first data when that was lost. */
  #onOpening(segment: Segment, profile: Profile): void {
    const listener = this.#listeners.get(localPort(segment.tuple));
    if (!listener || this.#sockets.has(segment.key)) return;
    const refused = this.#acceptor.take(listener, segment, profile);
    if (!refused) return;
    this.#engine.countDrop(refused);
    this.#reset(segment);
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
    this.#looks.add(socket, 0);
    return socket;
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket.key);
    this.#flows[socket.flow] = undefined;
    if (socket.accepted) this.#acceptor.forget(socket);
  }

  /** Tells a stranger that nothing is here, in the form that phantun uses and RFC 9293 §3.5.2 allows. */
  #reset({ worker, tuple, seq, ack, flags, payload }: Segment): void {
    if (!this.#resets.take(performance.now())) return;
    const end = (seq + payload.length + (flags & SYN ? 1 : 0)) >>> 0;
    this.#engine.sendSegment(worker, tuple, { flags: RST | ACK, seq: ack, ack: end, options: NO_OPTIONS });
  }

  /** Looks at the sockets that are due: ten thousand idle ones cost next to nothing. */
  #look(now: number): void {
    for (const socket of this.#looks.take(now)) {
      if (socket.closed) continue;
      const next = socket.look(now);
      if (socket.closed) continue; // its peer is dead
      this.#looks.add(socket, Math.min(next, now + this.#idleTimeout / IDLE_PARTS));
      if (socket.idleFor(now) >= this.#idleTimeout) void socket.close();
    }
  }
}

function familyOf(address: string): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}
