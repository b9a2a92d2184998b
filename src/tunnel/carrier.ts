/** Carries one application on one connection after the other, until one is closed in order. */
import { setTimeout as delay } from 'node:timers/promises';
import { formatEndpoint } from '../wire/endpoint.js';
import type { UdpApplication } from '../native/types.js';
import type { ConnectionLog } from '../observe/log.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { Stack } from '../fake_tcp/stack.js';
import type { UdpListener } from '../fake_tcp/udp_listener.js';
import type { ClientOptions } from './options.js';
import type { Remote } from './remote.js';
import { RECONNECT } from '../policy.js';

/** What the carriers of a client share. */
export interface CarrierContext {
  readonly stack: Stack;
  readonly udp: UdpListener;
  readonly remote: Remote;
  readonly options: ClientOptions;
  readonly log: ConnectionLog;
  /** Aborts with the stack. */
  readonly signal: AbortSignal;
}

export class Carrier {
  readonly #context: CarrierContext;
  readonly #application: UdpApplication;
  readonly #onEnd: () => void;
  /** The connection that carries, if there is one. */
  #socket: Socket | undefined;
  #connectedAt = 0;
  /** When the last one was lost, or the first could not be had. */
  #failedAt: number | undefined;
  /** Before the next attempt. */
  #wait = 0;
  #moving = false;

  /** @param onEnd called when nothing carries the application any more, and its next datagram makes it new */
  constructor(context: CarrierContext, application: UdpApplication, onEnd: () => void) {
    this.#context = context;
    this.#application = application;
    this.#onEnd = onEnd;
  }

  start(): void {
    void this.#open();
  }

  /** Goes over to another address, with the old connection open until the new one is, if the old address is no more. */
  async follow(): Promise<void> {
    const old = this.#socket;
    if (!old || this.#moving || !this.#context.remote.hasLost(old.remoteAddress)) return;
    this.#moving = true;
    const next = await this.#connect().catch(() => undefined); // the next look-up tries again
    this.#moving = false;
    if (!next) return;
    if (this.#socket !== old) {
      next.resetAndDestroy();
      return;
    } // the old one has ended meanwhile
    old.unsplice();
    this.#take(next, ', where the name leads now');
    await delay(RECONNECT.drain, undefined, { ref: false });
    await old.close();
  }

  /** Connects, again and again until none could be had for as long as one may be idle. */
  async #open(): Promise<void> {
    const {
      options: { idleTimeout },
      signal,
    } = this.#context;
    while (!signal.aborted) {
      if (this.#wait > 0) await delay(this.#wait * (0.5 + Math.random()), undefined, { ref: false });
      try {
        this.#take(await this.#connect());
        return;
      } catch (error) {
        if (signal.aborted) break;
        this.#say('warn', `: ${(error as Error).message}`);
        this.#failedAt ??= performance.now();
        if (performance.now() - this.#failedAt > idleTimeout) break;
        this.#waitLonger();
      }
    }
    this.#context.udp.drop(this.#application);
    this.#onEnd();
  }

  #connect(): Promise<Socket> {
    const {
      stack,
      remote,
      options: { profile, connectTimeout },
    } = this.#context;
    const again = this.#socket !== undefined || this.#failedAt !== undefined;
    const timeout = again ? Math.min(connectTimeout, RECONNECT.timeout) : connectTimeout;
    return remote.connect(stack, { profile, timeout, worker: this.#application.worker });
  }

  #take(socket: Socket, why = ''): void {
    const { handshakePacket } = this.#context.options;
    const kind = socket.profile === 'phantun' ? ', to a phantun server' : '';
    this.#say('info', ` connected from port ${socket.localPort}${kind}${why}`);
    this.#socket = socket;
    this.#connectedAt = performance.now();
    socket.on('error', (error) => this.#onError(socket, error));
    socket.on('close', () => this.#onClose(socket));
    if (handshakePacket) socket.send(handshakePacket);
    socket.spliceApplication(this.#application);
  }

  #onError(socket: Socket, error: Error): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#failedAt = performance.now();
    if (this.#failedAt - this.#connectedAt < RECONNECT.stable) this.#waitLonger();
    else this.#wait = 0;
    this.#say('warn', `: ${error.message} Connecting again.`);
    void this.#open();
  }

  #waitLonger(): void {
    this.#wait = Math.max(RECONNECT.firstWait, Math.min(RECONNECT.longestWait, 2 * this.#wait));
  }

  /** After an error too. */
  #onClose(socket: Socket): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#say('info', ' closed');
    this.#onEnd();
  }

  #say(level: 'info' | 'warn', what: string): void {
    this.#context.log.say(level, `${formatEndpoint(this.#application.remote)}${what}`);
  }
}
