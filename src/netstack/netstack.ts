import { EventEmitter } from 'node:events';
import { addAbortSignal } from 'node:stream';
import type { ReadableStream, WritableStream } from 'node:stream/web';
import { guiseError, stackError, type GuiseError } from '../errors.js';
import { checkBytes, refuse } from '../kit/arguments.js';
import { emit } from '../kit/emit.js';
import type { PortCounters } from '../native/packet_port.js';
import { NETSTACK_TCP } from '../policy.js';
import { deviceGone, openDevice } from './device.js';
import { failureOf } from './icmp_failures.js';
import type { IcmpErrorKind } from './ip/icmp.js';
import { IpLayer, type IpCounters } from './ip/ip_layer.js';
import type { PingOptions, PingReply } from './ip/ping.js';
import type { UdpOptions, UdpSocket } from './ip/udp_socket.js';
import { BufferBudget } from './loop/buffer_budget.js';
import { Loop } from './loop/loop.js';
import { ActiveOpen } from './open/active_open.js';
import { ConnectionFactory } from './open/connection_factory.js';
import { PassiveOpen, type PassiveCounters } from './open/passive_open.js';
import {
  checkConnectOptions,
  checkListenOptions,
  checkNetstackOptions,
  type NetstackOptions,
  type NetstackSettings,
  type TcpConnectOptions,
  type TcpListenOptions,
} from './options.js';
import { Packets } from './packets.js';
import type { Connection } from './tcp/connection.js';
import type { ConnectionInfo } from './tcp/options.js';
import type { IncomingSegment } from './tcp/segment.js';
import { Backlog } from './tcp_backlog.js';
import { TcpEnd } from './tcp_end.js';
import { createListener, type TcpListener } from './tcp_listener.js';
import { createSocket, endOf, TcpSocket } from './tcp_socket.js';

/**
 * What a {@link Netstack} emits.
 *
 * @example
 * ```ts
 * import type { Netstack, NetstackEvents } from 'guise/netstack';
 *
 * declare const stack: Netstack;
 * const onError = (...[error]: NetstackEvents['error']): void => console.error(error.message);
 * stack.on('error', onError);
 * ```
 */
export interface NetstackEvents {
  /** ENODEV: the device is gone. Everything on the stack is closed by then. */
  error: [error: GuiseError];
}

/**
 * What a stack has counted: packets and segments, unless said.
 *
 * @example
 * ```ts
 * import type { Netstack, NetstackCounters } from 'guise/netstack';
 *
 * declare const stack: Netstack;
 * const { connections, cookiesSent }: NetstackCounters = stack.counters();
 * if (cookiesSent > 0) console.log(`${connections} connections, and perhaps a flood of SYNs`);
 * ```
 */
export interface NetstackCounters extends PassiveCounters, IpCounters, PortCounters {
  /** Connections now, with those in TIME-WAIT, and those that are not established yet. */
  readonly connections: number;
  readonly timeWait: number;
  readonly halfOpen: number;
  /** Bytes that receive buffers have grown by. */
  readonly receiveBudgetTaken: number;
}

/**
 * A TCP/IP stack: streams, datagrams and pings out of the packets of a TUN, or out of packets that are fed to it.
 *
 * Event: `'error'`, see {@link NetstackEvents}. As of any EventEmitter, one that nobody listens to is thrown.
 *
 * A stack keeps the process alive while it has a listener or a socket that does.
 *
 * @example
 * ```ts
 * import { Netstack } from 'guise/netstack';
 *
 * await using stack = await Netstack.open({ device: { name: 'tuna' } });
 * for await (const socket of stack.listen()) socket.pipe(socket); // echo on every address and port
 * ```
 */
export class Netstack extends EventEmitter<NetstackEvents> implements AsyncDisposable {
  readonly #settings: NetstackSettings;
  readonly #name: string | undefined;
  readonly #loop: Loop;
  readonly #ip: IpLayer;
  readonly #passive: PassiveOpen;
  readonly #active: ActiveOpen;
  readonly #packets: Packets | undefined;
  readonly #backlogs = new Set<Backlog>();
  #closing: Promise<void> | undefined;
  #lastCounters: NetstackCounters | undefined;
  #drained: (() => void) | undefined;

  /**
   * Opens the device.
   *
   * @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) when there is no device to be had;
   *   ERR_GUISE_ARGUMENT
   */
  // eslint-disable-next-line @typescript-eslint/require-await -- what is wrong with the options rejects
  static async open(options: NetstackOptions = {}): Promise<Netstack> {
    return new Netstack(checkNetstackOptions(options));
  }

  private constructor(settings: NetstackSettings) {
    super();
    this.#settings = settings;
    const { addresses, connection: shared, mostConnections } = settings;
    const { port, name, isMemory } = openDevice(settings);
    this.#name = name;
    const loop = new Loop(port, new BufferBudget(settings.receiveBudget));
    this.#loop = loop;
    const ip = new IpLayer(
      {
        port,
        now: () => loop.now(),
        localAddress: (remote) => addresses.find((each) => each.includes(':') === remote.includes(':')),
        hold: () => loop.hold(),
        release: () => loop.release(),
        changed: () => loop.deadlineChanged(),
        tcpError: (tuple, seq, kind, mtu) => this.#tcpError(tuple, seq, kind, mtu),
      },
      settings.ip,
    );
    this.#ip = ip;
    const { book } = ip;
    const factory = new ConnectionFactory(loop, shared);
    this.#passive = new PassiveOpen({ loop, book, factory, shared, mostConnections });
    this.#active = new ActiveOpen({ loop, book, factory, mostConnections });
    if (isMemory) this.#packets = new Packets(port);
    else port.unref();
    loop.start({
      stray: (row, slab, segment, now) => this.#stray(row, slab, segment, now),
      other: (row, slab) => ip.arrive(row, port.incoming, slab),
      get deadline() {
        return ip.deadline;
      },
      tick: (now) => ip.tick(now),
      released: (connection) => this.#released(connection),
      drained: () => this.#drained?.(),
      gone: () => this.#gone(),
    });
  }

  /** The name of the TUN; undefined for a descriptor, and without a device. */
  get name(): string | undefined {
    return this.#name;
  }

  /** Bytes of the largest IP packet. */
  get mtu(): number {
    return this.#loop.port.mtu;
  }

  /**
   * Accepts connections.
   *
   * @throws {GuiseError} EADDRINUSE when another listener of this stack has just this address and port; ERR_GUISE_CLOSED,
   *   ERR_GUISE_ARGUMENT
   */
  listen(options: TcpListenOptions = {}): TcpListener {
    this.#checkOpen();
    const settings = checkListenOptions(options);
    const { address = '::', port = 0 } = settings.place;
    const backlog = new Backlog({
      ...settings,
      loop: this.#loop,
      onClose: (each) => {
        this.#backlogs.delete(each);
        this.#passive.listeners.remove(each.place);
      },
    });
    if (!this.#passive.listeners.add(settings.place, backlog)) {
      backlog.hold(false);
      throw stackError('EADDRINUSE', 'listen', { address, port });
    }
    this.#backlogs.add(backlog);
    return createListener(backlog);
  }

  /**
   * Opens a connection: a socket that is connecting. It emits `'connect'`, or `'error'`: ECONNREFUSED, ETIMEDOUT,
   * EHOSTUNREACH, ENETUNREACH, EADDRINUSE where this end has a connection with that already, EADDRNOTAVAIL where no port
   * is free, ENFILE where as many are open as may.
   *
   * @throws {GuiseError} ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  connect(options: TcpConnectOptions): TcpSocket {
    this.#checkOpen();
    const { target, signal, allowHalfOpen, keepAlive, keepAliveInitialDelay } = checkConnectOptions(
      options,
      this.#settings.addresses,
    );
    const { end, error } = this.#active.open(target);
    const socket = createSocket(end, allowHalfOpen);
    if (error) socket.destroy(error);
    if (keepAlive) socket.setKeepAlive(true, keepAliveInitialDelay);
    if (signal) addAbortSignal(signal, socket);
    return socket;
  }

  /**
   * Takes and sends datagrams.
   *
   * @throws {GuiseError} EADDRINUSE, ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   */
  udp(options: UdpOptions = {}): UdpSocket {
    this.#checkOpen();
    return this.#ip.udp(options);
  }

  /** Sends an echo request, and resolves with the answer. */
  ping(address: string, options: PingOptions = {}): Promise<PingReply> {
    this.#checkOpen();
    return this.#ip.ping(address, options);
  }

  /** Packets that leave, of a stack without a device. What is not taken in time is dropped, as on any link. */
  get packets(): AsyncIterable<Uint8Array> {
    return this.#memory();
  }

  /** A packet comes, to a stack without a device. It is copied. */
  feed(packet: Uint8Array): void {
    this.#memory();
    // While the stack closes, peers still say that they have heard it.
    if (!this.#lastCounters) this.#loop.port.feed(checkBytes('packet', packet));
  }

  /** `packets` as a Web stream; each packet goes to one reader. */
  get readable(): ReadableStream<Uint8Array> {
    return this.#memory().readable;
  }

  /** `feed` as a Web stream. */
  get writable(): WritableStream<Uint8Array> {
    return this.#memory().writable((packet) => this.feed(packet));
  }

  /** What is known of a connection; undefined when it is over. */
  info(socket: TcpSocket): ConnectionInfo | undefined {
    if (!((socket as unknown) instanceof TcpSocket)) refuse('socket', socket, 'a TcpSocket');
    return endOf(socket).connection?.info();
  }

  /** What was counted; the last values once the stack is closed. */
  counters(): NetstackCounters {
    if (this.#lastCounters) return this.#lastCounters;
    const loop = this.#loop;
    return {
      ...loop.port.counters(),
      ...this.#ip.counters,
      ...this.#passive.counters,
      connections: loop.connectionCount,
      timeWait: loop.waitingCount,
      halfOpen: this.#passive.halfOpen,
      receiveBudgetTaken: loop.budget.taken,
    };
  }

  /**
   * Closes all listeners and resets the connections of all sockets that are open. Those whose sockets are closed already
   * get up to 2 s to tell the peer the rest. Then the device is closed. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close(undefined);
    return this.#closing;
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(error: GuiseError | undefined): Promise<void> {
    for (const backlog of [...this.#backlogs]) backlog.close(error);
    for (const connection of [...this.#loop.connections]) {
      const end = connection?.application;
      if (end instanceof TcpEnd) end.reset(error);
    }
    this.#ip.close(error);
    if (!error && this.#loop.leftCount > 0) await this.#drain();
    this.#loop.stop();
    this.#lastCounters = this.counters();
    this.#packets?.close();
    this.#loop.port.close();
  }

  /** Waits for connections that their users have left. */
  #drain(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, NETSTACK_TCP.closePatience);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #checkOpen(): void {
    if (this.#closing) throw guiseError('ERR_GUISE_CLOSED', { what: 'Netstack' });
  }

  #memory(): Packets {
    return this.#packets ?? refuse('device', this.#settings.device, 'none, to feed and take packets');
  }

  #stray(row: number, slab: Uint8Array, segment: IncomingSegment, now: number): void {
    if (!this.#settings.tcp || this.#closing) return;
    if (this.#ip.admits(row, this.#loop.port.incoming, slab)) this.#passive.receive(row, slab, segment, now);
  }

  #released(connection: Connection): void {
    const { application } = connection;
    if (application instanceof TcpEnd && application.isArriving) this.#passive.failed();
  }

  #tcpError(tuple: Uint8Array, seq: number, kind: IcmpErrorKind, mtu: number): void {
    const connection = this.#loop.connectionOf(tuple);
    if (!connection) return;
    const now = this.#loop.now();
    const failure = failureOf(kind);
    if (kind === 'tooBig') connection.tooBig(mtu, seq, now);
    else if (failure) connection.unreachable(failure, seq);
  }

  #gone(): void {
    if (this.#closing) return;
    const error = deviceGone();
    this.#closing = this.#close(error);
    void this.#closing.then(() => emit(this, 'error', error));
  }
}
