import { EventEmitter } from 'node:events';
import { systemError, type GuiseError } from '../errors.js';
import type { Endpoint } from '../wire/endpoint.js';
import { Engine } from '../native/engine.js';
import type { EngineCounters, Segment, UdpApplication } from '../native/types.js';
import { ACK, RST, SYN } from '../wire/flags.js';
import { localPort } from '../wire/tuple.js';
import { Acceptor } from './acceptor.js';
import { NO_OPTIONS } from './active_open.js';
import { Connector } from './connector.js';
import { openDevice } from './device.js';
import { Listener } from './listener.js';
import type { ConnectOptions, StackOptions } from './options.js';
import { synOptions, type Profile } from '../wire/profile.js';
import { RateLimit } from './rate_limit.js';
import { Socket, type SocketHost, type SocketInit } from './socket.js';
import { TimingWheel } from './timing_wheel.js';
import { UdpListener } from './udp_listener.js';
import { CONNECTION, DATA_PLANE, LIVENESS } from '../policy.js';

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
  readonly #resets = new RateLimit(CONNECTION.resetsPerSecond);
  readonly #host: SocketHost;
  readonly #connector: Connector;
  readonly #acceptor: Acceptor;
  readonly #sockets = new Map<string, Socket>();
  /** By flow id. */
  readonly #flows: (Socket | undefined)[] = [];
  /** When to look at each socket, by the clock of `performance.now()`. */
  readonly #looks = new TimingWheel<Socket>(CONNECTION.lookInterval, performance.now());
  readonly #listeners = new Map<number, Listener>();
  readonly #udpListeners = new Map<number, UdpListener>();
  /** Runs while there are sockets. */
  #looking: NodeJS.Timeout | undefined;
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
    const { device, addresses, mtu = 1500, offload = true, maxFlows = CONNECTION.maxFlows, idleTimeout } = options;
    const { maxFlowsPerSource = Math.ceil(maxFlows * CONNECTION.sourceShare) } = options;
    super();
    const { descriptors, virtioHeader, segmentation, name } = openDevice(device, offload);
    this.interfaceName = name;
    this.segmentation = segmentation;
    this.workers = descriptors.length;
    this.#addresses = addresses;
    this.#mtu = mtu;
    this.#idleTimeout = idleTimeout ?? Infinity;
    this.#engine = new Engine(
      { devices: descriptors, virtioHeader, segmentation, offload, maxFlows, ...DATA_PLANE },
      {
        segment: (segment) => this.#onSegment(segment),
        opening: (segment, phantun) => this.#onOpening(segment, phantun ? 'phantun' : 'guise'),
        datagram: (flow, payload) => this.#flows[flow]?.receiveDatagram(payload),
        attached: (flow) => this.#acceptor.attached(flow),
        application: (application) => this.#onApplication(application),
        applicationGone: (flow) => this.#flows[flow]?.resetAndDestroy(),
        deviceGone: () => this.#onDeviceGone(),
      },
    );
    const common = {
      engine: this.#engine,
      maxPayload: (family: 4 | 6) => this.#maxPayload(family),
      adopt: (init: SocketInit) => this.#adopt(init),
    };
    this.#acceptor = new Acceptor({ ...common, maxFlowsPerSource });
    this.#connector = new Connector({
      ...common,
      addresses,
      isTaken: (key) => this.#sockets.has(key),
      liveness: { keepalive: options.keepalive ?? LIVENESS.keepalive, silence: options.silence ?? LIVENESS.silence },
    });
    this.#host = {
      engine: this.#engine,
      ignoreReset: options.ignoreReset ?? false,
      forget: (socket) => this.#forget(socket),
    };
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
  connect(options: ConnectOptions): Promise<Socket> {
    return this.#connector.connect(options);
  }

  /**
   * Accepts connections on a port.
   *
   * @param port 1 to 65535
   * @throws {GuiseError} EADDRINUSE when this stack listens there already
   */
  listen({ port }: { port: number }): Listener {
    if (this.#listeners.has(port)) throw systemError('EADDRINUSE', 'listen', { address: this.#addresses[0]!, port });
    const onClose = (): void => {
      this.#listeners.delete(port);
      this.#engine.unlisten(port);
    };
    const listener = new Listener({ port, onClose });
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
    const id = this.#engine.listenUdp(local);
    if (id < 0) throw systemError(id, this.#engine.lastSyscall, local);
    const listener = new UdpListener(this.#engine, { address: local.address, port: this.#engine.udpPort(id) });
    this.#udpListeners.set(id, listener);
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
    this.#connector.close();
    await Promise.all(Array.from(this.#sockets.values(), (socket) => socket.close()));
    this.#engine.close();
  }

  /** IP header and TCP header without options go off. */
  #maxPayload(family: 4 | 6): number {
    return this.#mtu - (family === 4 ? 20 : 40) - 20;
  }

  #onSegment(segment: Segment): void {
    if (segment.flow !== 0) return this.#flows[segment.flow]?.receiveSegment(segment);
    if (this.#connector.receive(segment)) return;
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

  #onApplication(application: UdpApplication): void {
    this.#udpListeners.get(application.listener)?.emit('application', application);
  }

  #adopt(init: SocketInit): Socket {
    const socket = new Socket(this.#host, init);
    this.#sockets.set(init.key, socket);
    this.#flows[init.flow] = socket;
    this.#looks.add(socket, 0);
    this.#looking ??= setInterval(() => this.#look(performance.now()), CONNECTION.lookInterval).unref();
    return socket;
  }

  #forget(socket: Socket): void {
    this.#sockets.delete(socket.key);
    this.#flows[socket.flow] = undefined;
    if (socket.accepted) this.#acceptor.forget(socket);
    if (this.#sockets.size > 0) return;
    clearInterval(this.#looking);
    this.#looking = undefined;
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
      this.#looks.add(socket, Math.min(next, now + this.#idleTimeout / CONNECTION.idleParts));
      if (socket.idleFor(now) >= this.#idleTimeout) void socket.close();
    }
  }
}
