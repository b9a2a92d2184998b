import { EventEmitter } from 'node:events';
import { guiseError, systemError, type GuiseError } from '../errors.js';
import { Engine } from '../native/engine.js';
import type { IcmpError, Segment, UdpApplication } from '../native/types.js';
import { BOUNDARIES, CONNECTION, DATA_PLANE, LIVENESS } from '../policy.js';
import { normalAddress, overlap } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';
import { ACK, RST, SYN } from '../wire/flags.js';
import { synOptions, unscaledSynOptions, type Profile } from '../wire/profile.js';
import type { PeerSyn } from '../wire/syn_options.js';
import { localEnd } from '../wire/tuple.js';
import { Acceptor } from './acceptor.js';
import { NO_OPTIONS } from './active_open.js';
import { checkAddress, checkEndpoint, checkObject, checkPort } from '../kit/arguments.js';
import { Backlog } from './backlog.js';
import { Connector } from './connector.js';
import type { EngineCounters } from './counters.js';
import { leavingBy, openDevice } from './device.js';
import type { Leaving } from './connect_evidence.js';
import { emit } from '../kit/emit.js';
import { HostEnds, OwnEnds, type LocalEnds } from './local_ends.js';
import { Flow, type FlowHost } from './flow.js';
import type { FlowInit } from './flow_init.js';
import { createListener, type Listener } from './listener.js';
import { checkConnectOptions, checkStackOptions, type ConnectOptions, type StackOptions } from './options.js';
import type { StackSettings } from './options.js';
import { RateLimit } from '../kit/rate_limit.js';
import { headersOf } from './path_mtu.js';
import { createSocket, type Socket } from './socket.js';
import { TimingWheel } from './timing_wheel.js';
import { Turns } from './turns.js';
import { createUdpListener, type UdpListener } from './udp_listener.js';
import { UdpPort } from './udp_port.js';

/** IPv4's total length has 16 bits (RFC 791). */
const LARGEST_PACKET = 65_535;

/**
 * What a {@link Stack} emits.
 *
 * @example
 * ```ts
 * import type { Stack, StackEvents } from 'guise';
 *
 * declare const stack: Stack;
 * const onError = (...[error]: StackEvents['error']): void => console.error(error.message);
 * stack.on('error', onError);
 * ```
 */
export interface StackEvents {
  /**
   * ENODEV: the device is gone, because the interface was deleted or the other end of the descriptor closed. Everything
   * on it is closed by then.
   */
  error: [error: GuiseError];
}

/**
 * A TCP/IP stack of fake connections on one device.
 *
 * Event: `'error'`, see {@link StackEvents}. As of any EventEmitter, one that nobody listens to is thrown.
 *
 * @example
 * ```ts
 * import { Stack } from 'guise';
 *
 * await using stack = await Stack.open({ device: { name: 'guise0' }, addresses: ['192.168.200.2'] });
 * stack.on('error', (error) => console.error(error.message));
 * const socket = await stack.connect({ address: '203.0.113.7', port: 443, signal: AbortSignal.timeout(5000) });
 * ```
 */
export class Stack extends EventEmitter<StackEvents> {
  readonly #name: string | undefined;
  readonly #segmentation: boolean;
  readonly #engine: Engine;
  readonly #settings: StackSettings;
  readonly #resets = new RateLimit(CONNECTION.resetsPerSecond);
  readonly #boundaryTurns = new Turns(BOUNDARIES.perSecond);
  readonly #host: FlowHost;
  readonly #ends: LocalEnds;
  readonly #connector: Connector;
  readonly #acceptor: Acceptor;
  /** By the keys of their tuples. */
  readonly #sockets = new Map<string, Socket>();
  /** By their ids in the data plane. */
  readonly #flows: (Flow | undefined)[] = [];
  /** When to check each flow, by the clock of `performance.now()`. */
  readonly #checks = new TimingWheel<Flow>(CONNECTION.roundInterval, performance.now());
  readonly #backlogs = new Set<Backlog>();
  readonly #udpPorts = new Map<number, UdpPort>();
  readonly #applications = new Map<UdpApplication, Flow | undefined>();
  /** Runs while there are flows. */
  #rounds: NodeJS.Timeout | undefined;
  #addressCheck: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;
  #lastCounters: EngineCounters | undefined;

  /**
   * Opens the device and starts its workers.
   *
   * @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) when there is no device to be had;
   *   ERR_GUISE_ARGUMENT
   */
  // eslint-disable-next-line @typescript-eslint/require-await -- what is wrong with the options rejects
  static async open(options: StackOptions): Promise<Stack> {
    return new Stack(checkStackOptions(options));
  }

  private constructor(settings: StackSettings) {
    super();
    const { device, addresses, offload, maxFlows, maxFlowsPerSource, ignoreRst } = settings;
    this.#settings = settings;
    const { device: opened, segmentation, name } = openDevice(device, offload);
    this.#name = name;
    this.#segmentation = segmentation;
    this.#engine = new Engine(
      { ...opened, segmentation, offload, maxFlows, ...DATA_PLANE },
      {
        segment: (segment) => this.#onSegment(segment),
        opening: (segment, syn) => this.#onOpening(segment, syn),
        datagram: (flow, payload) => this.#flows[flow]?.receiveDatagram(payload),
        attached: (flow) => this.#acceptor.attached(flow),
        application: (application) => this.#onApplication(application),
        applicationGone: (flow) => this.#flows[flow]?.close(),
        largeSent: (flow, size) => this.#flows[flow]?.sentLarge(size, performance.now()),
        answer: (flow, token, size) => this.#flows[flow]?.probeAnswered(token, size, performance.now()),
        recut: (flow) => this.#flows[flow]?.recut(),
        icmpError: (error) => this.#onIcmpError(error),
        awake: (flow) => this.#onAwake(flow, performance.now()),
        refused: (flow, errno) => this.#flows[flow]?.receiveRefused(errno),
        unsent: (key, errno) => this.#connector.unsent(key, errno),
        addresses: () => this.#onAddresses(),
        deviceGone: () => this.#onDeviceGone(),
      },
    );
    const engine = this.#engine;
    const maxPayload = (family: 4 | 6, profile: Profile): number => this.#maxPayload(family, profile);
    const adopt = (init: FlowInit): Socket => this.#adopt(init);
    const ends =
      'packet' in device ? new HostEnds(engine) : new OwnEnds(addresses, name === undefined ? undefined : engine);
    this.#ends = ends;
    this.#acceptor = new Acceptor({ engine, ends, maxPayload, maxFlowsPerSource, adopt });
    const isTaken = (key: string): boolean => this.#sockets.has(key);
    const leaving = (local: Endpoint, remote: Endpoint): Leaving | undefined => leavingBy(device, name, local, remote);
    this.#connector = new Connector({ engine, ends, maxPayload, mtu: settings.mtu, leaving, isTaken, adopt });
    this.#host = {
      engine,
      ignoreRst,
      mtu: settings.mtu,
      routeMtu: (remote) => ends.routeMtu(remote),
      applications: this.#applications,
      ask: ({ remote, worker }) => this.#connector.ask(remote, worker),
      forget: (flow) => this.#forget(flow),
    };
  }

  /** Name of the TUN interface; undefined on descriptors. */
  get interfaceName(): string | undefined {
    return this.#name;
  }

  /** Whether the device takes super-segments, as far as known at the start. */
  get segmentation(): boolean {
    return this.#segmentation;
  }

  /**
   * Bytes of the largest IP packet that leaves to `remote`, as far as this host knows before anybody was connected: its
   * routes and interfaces, and the stack's `mtu`.
   *
   * @throws {GuiseError} ERR_GUISE_ARGUMENT
   */
  pathMtu(remote: Endpoint): number {
    const { mtu } = this.#settings;
    return Math.min(mtu, this.#ends.routeMtu(checkEndpoint('remote', remote)) ?? mtu);
  }

  /** Worker threads, one for each queue of the device. */
  get workers(): number {
    return this.#engine.workers;
  }

  /** What was counted; the last values once the stack is closed. */
  get counters(): EngineCounters {
    return this.#lastCounters ?? this.#engine.counters();
  }

  /** The connections that are established, whether somebody has taken them or not. */
  get sockets(): Iterable<Socket> {
    return this.#sockets.values();
  }

  /**
   * Opens a connection from a free port of the stack's address of the same family.
   *
   * @throws {GuiseError} ECONNREFUSED, ETIMEDOUT; EADDRNOTAVAIL when no port is free; ENFILE when there are as many
   *   connections as allowed; ECONNABORTED when the stack is closed; ERR_GUISE_ARGUMENT; the reason of `signal` when it
   *   aborts
   */
  async connect(options: ConnectOptions): Promise<Socket> {
    const { device, addresses } = this.#settings;
    const own = 'packet' in device ? undefined : addresses;
    return this.#connector.connect(checkConnectOptions(options, { workers: this.workers, addresses: own }));
  }

  /**
   * Accepts connections on a port.
   *
   * @param options.port 1 to 65535
   * @param options.address one of the addresses; `0.0.0.0` for all of IPv4; `::`, the default, for all
   * @throws {GuiseError} EADDRINUSE when this stack listens there already, or with packet sockets any program;
   *   EADDRNOTAVAIL, EACCES; ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  listen(options: { readonly port: number; readonly address?: string }): Listener {
    const given = checkObject('options', options);
    const local = {
      address: normalAddress(checkAddress('address', given.address ?? '::')),
      port: checkPort('port', given.port),
    };
    this.#requireOpen();
    if (this.#backlogOf(local)) throw systemError('EADDRINUSE', 'listen', local);
    const end = this.#ends.listen(local);
    const onClose = (each: Backlog): void => {
      this.#unlisten(each);
      end.release();
    };
    const backlog = new Backlog({ local, onClose });
    this.#backlogs.add(backlog);
    this.#engine.listen(local, {
      guise4: synOptions('guise', this.#settings.mtu - headersOf(4)),
      guise6: synOptions('guise', this.#settings.mtu - headersOf(6)),
      phantun: synOptions('phantun', this.#settings.mtu - headersOf(4)),
      unscaled4: unscaledSynOptions(this.#settings.mtu - headersOf(4)),
      unscaled6: unscaledSynOptions(this.#settings.mtu - headersOf(6)),
    });
    return createListener(backlog);
  }

  /**
   * Binds a UDP port of the host, whose applications can be spliced to sockets of this stack.
   *
   * @param local an address of the host, or 0.0.0.0 or :: for all; a port, 0 for one that the system chooses
   * @throws {GuiseError} EADDRINUSE, EADDRNOTAVAIL, EACCES; ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  listenUdp(local: Endpoint): UdpListener {
    const { address, port } = checkEndpoint('local', local, 0);
    this.#requireOpen();
    const engine = this.#engine;
    const id = engine.listenUdp({ address, port });
    if (id < 0) throw systemError(id, engine.lastSyscall, { address, port });
    const udp = new UdpPort({
      engine,
      id,
      local: { address, port: engine.udpPort(id) },
      applications: this.#applications,
      onClose: () => this.#udpPorts.delete(id),
    });
    this.#udpPorts.set(id, udp);
    return createUdpListener(udp);
  }

  /** Closes listeners and connections, those that are being opened too, then the device. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    clearInterval(this.#rounds);
    clearTimeout(this.#addressCheck);
    for (const backlog of [...this.#backlogs]) backlog.close();
    this.#connector.close();
    await Promise.all(Array.from(this.#sockets.values(), (socket) => socket.close()));
    // Not before: a connection whose application goes is closed for that reason.
    for (const port of [...this.#udpPorts.values()]) port.close();
    this.#lastCounters = this.#engine.counters();
    this.#engine.close();
  }

  #requireOpen(): void {
    if (this.#closing) throw guiseError('ERR_GUISE_CLOSED', { what: 'stack' });
  }

  /** Bytes of the largest datagram, which may leave in fragments. phantun reads no larger packets than 1500 bytes. */
  #maxPayload(family: 4 | 6, profile: Profile): number {
    const { mtu } = this.#settings;
    const largest = family === 6 ? mtu : profile === 'phantun' ? Math.max(mtu, CONNECTION.mtu) : LARGEST_PACKET;
    return largest - headersOf(family);
  }

  #onSegment(segment: Segment): void {
    if (segment.flow !== 0) return this.#flows[segment.flow]?.receiveSegment(segment);
    if (this.#connector.receive(segment)) return;
    // A flow may have come into being after the data plane looked for it.
    if (this.#sockets.has(segment.key) || segment.flags & RST) return;
    if (!this.#ends.answers(localEnd(segment.tuple))) return;
    this.#reset(segment);
  }

  #onAwake(id: number, now: number): void {
    const flow = this.#flows[id];
    if (flow && !flow.ended) this.#checks.add(flow, flow.awake(now));
  }

  #onIcmpError(error: IcmpError): void {
    if (error.flow !== 0) this.#flows[error.flow]?.icmpError(error, performance.now());
    else this.#connector.icmpError(error);
  }

  /** A cookie has come back: with an empty ACK, or with first data when that was lost. */
  #onOpening(segment: Segment, syn: PeerSyn): void {
    if (this.#sockets.has(segment.key)) return;
    const backlog = this.#backlogOf(localEnd(segment.tuple));
    if (!backlog) return;
    const refused = this.#acceptor.take(backlog, segment, syn);
    if (!refused) return;
    this.#engine.countDrop(refused);
    this.#reset(segment);
  }

  /** The one that takes what comes to an end of this side; addresses of zeros are for all, `::` for both families. */
  #backlogOf({ address, port }: Endpoint): Backlog | undefined {
    for (const backlog of this.#backlogs) {
      if (backlog.port === port && overlap(backlog.local.address, address)) return backlog;
    }
    return undefined;
  }

  #onApplication(application: UdpApplication): void {
    if (!this.#closing) this.#udpPorts.get(application.listener)?.receive(application);
  }

  #unlisten(backlog: Backlog): void {
    this.#backlogs.delete(backlog);
    this.#engine.unlisten(backlog.local);
    this.#acceptor.abandon(backlog);
  }

  /** Not at once: whoever renews an address may take it away for a moment. */
  #onAddresses(): void {
    this.#addressCheck ??= setTimeout(() => {
      this.#addressCheck = undefined;
      this.#ends.follow();
      const lost = new Map<string, boolean>();
      for (const flow of this.#flows) {
        if (!flow || flow.ended) continue;
        const { address } = flow.local;
        if (!lost.has(address)) lost.set(address, this.#ends.isLost(address));
        if (lost.get(address)) flow.loseAddress();
      }
    }, CONNECTION.addressPatience).unref();
  }

  #onDeviceGone(): void {
    if (this.#closing) return;
    for (const socket of [...this.#sockets.values()]) socket.resetAndDestroy();
    void this.close().then(() => emit(this, 'error', systemError('ENODEV', 'read', {})));
  }

  #adopt(init: FlowInit): Socket {
    const flow = new Flow(this.#host, init);
    if (!init.accepted) this.#startLiveness(flow, init.roundTrip);
    const socket = createSocket(flow);
    this.#sockets.set(init.key, socket);
    this.#flows[init.id] = flow;
    this.#checks.add(flow, 0);
    this.#rounds ??= setInterval(() => this.#checkDue(performance.now()), CONNECTION.roundInterval).unref();
    return socket;
  }

  /** Who opens a connection probes; who accepts it is probed. */
  #startLiveness(flow: Flow, roundTrip: number | undefined): void {
    const { keepalive, deadAfter } = this.#settings;
    const early = 1 - LIVENESS.keepaliveJitter * Math.random();
    flow.startLiveness(
      {
        keepalive: Math.round(keepalive * early),
        deadAfter,
        ...(flow.profile === 'guise' ? { acknowledges: { roundTrip } } : {}),
      },
      performance.now(),
    );
  }

  #forget({ id, key, accepted }: Flow): void {
    this.#sockets.delete(key);
    this.#flows[id] = undefined;
    if (accepted) this.#acceptor.forget(key);
    if (this.#sockets.size > 0) return;
    clearInterval(this.#rounds);
    this.#rounds = undefined;
  }

  /** Tells a stranger that nothing is here, in the form that phantun uses and RFC 9293 §3.5.2 allows. */
  #reset({ worker, tuple, seq, ack, flags, payload, way }: Segment): void {
    if (!this.#resets.take(performance.now())) return;
    const end = (seq + payload.length + (flags & SYN ? 1 : 0)) >>> 0;
    this.#engine.sendSegment(worker, tuple, { flags: RST | ACK, seq: ack, ack: end, options: NO_OPTIONS }, way);
  }

  /** Checks the flows that are due, for dead peers and for idleness: ten thousand idle ones cost next to nothing. */
  #checkDue(now: number): void {
    const { idleTimeout } = this.#settings;
    for (const flow of this.#checks.take(now)) {
      if (flow.ended) continue;
      const next = Math.min(flow.checkLiveness(now), flow.checkBoundaries(now, this.#boundaryTurns));
      if (this.#flows[flow.id] !== flow) continue; // its peer is dead
      this.#checks.add(flow, Math.min(next, now + idleTimeout / CONNECTION.idleParts));
      if (flow.idleTime(now) >= idleTimeout) flow.close();
    }
  }
}
