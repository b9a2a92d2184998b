/** Carries one application on one connection after the other, as `reconnect` decides. */
import type { Clock } from '../clock.js';
import { notice, resetsAdvice } from '../errors.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { Stack } from '../fake_tcp/stack.js';
import type { UdpListener } from '../fake_tcp/udp_listener.js';
import type { UdpApplication } from '../native/types.js';
import type { ConnectionLog } from '../observe/log.js';
import { OBSERVE, RECONNECT } from '../policy.js';
import { formatEndpoint } from '../wire/endpoint.js';
import type { OpenedStack } from './host_stack.js';
import type { ClientOptions } from './options.js';
import type { PathLog } from './path_log.js';
import { NOT_STARTED, reconnect, type ReconnectAction, type ReconnectEvent, type ReconnectState } from './reconnect.js';
import type { Remote } from './remote.js';
import type { ConnectionSnapshot, Totals } from './snapshot.js';

/** What the carriers of a client share. */
export interface CarrierContext {
  readonly stack: Stack;
  readonly udp: UdpListener;
  readonly remote: Remote;
  readonly options: ClientOptions;
  readonly log: ConnectionLog;
  readonly paths: PathLog;
  readonly totals: Totals;
  readonly clock: Clock;
  readonly explainSilence: OpenedStack['explainSilence'];
}

export class Carrier {
  readonly #context: CarrierContext;
  readonly #application: UdpApplication;
  readonly #onEnd: () => void;
  /** By number: the one that carries, those that were replaced, one that is to be taken. */
  readonly #sockets = new Map<number, Socket>();
  #state = NOT_STARTED;
  /** The service has answered, or that it has not was said. */
  #isServed = false;
  /** An attempt to connect has had no answer since there was a connection, and that was said. */
  #isUnanswered = false;
  /** When connections were reset lately. */
  #resets: readonly number[] = [];
  /** Why the application takes no datagrams, as far as was said. */
  readonly #refusals = new Set<string>();
  /** When the connection that carries was opened; while there is none, since when. */
  #since: number;

  /** @param onEnd called when nothing carries the application any more, and its next datagram makes it new */
  constructor(context: CarrierContext, application: UdpApplication, onEnd: () => void) {
    this.#context = context;
    this.#application = application;
    this.#onEnd = onEnd;
    this.#since = context.clock.now();
  }

  start(): void {
    this.#tell({ type: 'start' });
  }

  /** Goes over to another address if the name does not lead to that of the connection any more. */
  follow(): void {
    const socket = this.#current;
    if (socket && this.#context.remote.hasLost(socket.remoteAddress)) this.#tell({ type: 'moved' });
  }

  /** Opens nothing any more; the connections are the stack's to close. */
  stop(): void {
    this.#tell({ type: 'stop' });
  }

  snapshot(): ConnectionSnapshot {
    const socket = this.#current;
    const common = {
      age: this.#context.clock.now() - this.#since,
      application: formatEndpoint(this.#application.remote),
    };
    if (!socket) return { ...common, state: this.#state.phase === 'waiting' ? 'waiting' : 'connecting' };
    return { ...common, state: 'open', ...ofSocket(socket) };
  }

  get #current(): Socket | undefined {
    return this.#state.phase === 'carrying' ? this.#sockets.get(this.#state.current) : undefined;
  }

  #tell(event: ReconnectEvent): void {
    const { idleTimeout, connectTimeout } = this.#context.options;
    const now = this.#context.clock.now();
    const before = this.#state;
    const { state, actions } = reconnect(before, event, { now, random: Math.random(), idleTimeout, connectTimeout });
    this.#state = state;
    if (isOpen(before) !== isOpen(state) || before.connectedAt !== state.connectedAt) this.#since = now;
    for (const action of actions) this.#do(action);
  }

  #do(action: ReconnectAction): void {
    switch (action.type) {
      case 'wait':
        void this.#wait(action.milliseconds);
        return;
      case 'connect':
        void this.#connect(action.connection, action.timeout);
        return;
      case 'carry':
        this.#carry(action.connection, action.moved);
        return;
      case 'release':
        this.#sockets.get(action.connection)?.unsplice();
        return;
      case 'reset':
        this.#sockets.get(action.connection)?.resetAndDestroy();
        this.#sockets.delete(action.connection);
        return;
      case 'close':
        void this.#close(action.connection, action.after);
        return;
      case 'end':
        if (action.forget) this.#context.udp.drop(this.#application);
        this.#onEnd();
        return;
    }
  }

  async #wait(milliseconds: number): Promise<void> {
    if (await this.#context.clock.wait(milliseconds)) this.#tell({ type: 'waited' });
  }

  async #connect(connection: number, timeout: number): Promise<void> {
    const { stack, remote, options } = this.#context;
    try {
      const { worker } = this.#application;
      const onUnanswered = (sentence: string): void => void this.#onUnanswered(sentence);
      const socket = await remote.connect(stack, { profile: options.profile, timeout, worker, onUnanswered });
      this.#sockets.set(connection, socket);
    } catch (error) {
      const { phase, current } = this.#state;
      // That of a move is no news: the old connection carries on.
      if (phase === 'connecting' && connection === current) this.#say('warn', `: ${(error as Error).message}`);
      this.#tell({ type: 'failed', connection });
      return;
    }
    this.#tell({ type: 'connected', connection });
  }

  #carry(connection: number, moved: boolean): void {
    const socket = this.#sockets.get(connection)!;
    const { options, totals } = this.#context;
    this.#isUnanswered = false;
    const server = socket.profile === 'phantun' ? 'a phantun server' : 'the server';
    const where = moved ? ', where the name leads now' : '';
    this.#say('info', ` connected from port ${socket.localPort} to ${server}${where}`);
    if (!socket.windowScaled)
      this.#context.log.sayOnce('warn', 'unscaled', `${remoteOf(socket)}: ${notice('unscaled')}`);
    if (moved) totals.countReconnect('moved');
    this.#context.paths.follow(socket);
    socket.on('error', (error) => this.#onError(connection, error));
    socket.on('close', () => this.#onClose(connection, socket));
    socket.on('refused', ({ message }) => this.#onRefused(message));
    socket.on('answered', () => this.#onAnswered());
    void this.#waitForAnswer(socket);
    try {
      if (options.handshakePacket) socket.send(options.handshakePacket);
      socket.spliceApplication(this.#application);
    } catch (error) {
      // One of the two has ended in between.
      this.#say('warn', `: ${(error as Error).message}`);
      this.#tell({ type: 'unfit', connection });
      socket.resetAndDestroy();
    }
  }

  /** A handshake is the server's answer, and says nothing of the service behind it. */
  async #waitForAnswer(socket: Socket): Promise<void> {
    if (this.#isServed || !(await this.#context.clock.wait(OBSERVE.answerWait))) return;
    const { sentDatagrams, receivedDatagrams } = socket.counters;
    if (receivedDatagrams > 0) this.#isServed = true;
    else if (!socket.closed && sentDatagrams > 0) {
      this.#isServed = true;
      this.#say('info', ': nothing has come back from the service behind the server; if it is to answer, look there');
    }
  }

  /** Once an outage: each attempt would say the same. */
  async #onUnanswered(sentence: string): Promise<void> {
    if (this.#isUnanswered || this.#state.phase !== 'connecting') return;
    this.#isUnanswered = true;
    this.#say('warn', `: ${sentence}`);
    const more = await this.#context.explainSilence?.();
    if (more !== undefined) this.#say('warn', `: ${more}`);
  }

  /** Of a server that runs, RST after RST does not come. */
  #noteReset(): void {
    const now = this.#context.clock.now();
    this.#resets = [...this.#resets.filter((at) => now - at < RECONNECT.resetsWithin), now];
    if (this.#resets.length !== RECONNECT.suspiciousResets) return;
    this.#say('warn', `: ${resetsAdvice(RECONNECT.suspiciousResets)}`);
  }

  #onRefused(why: string): void {
    if (!this.#refusals.has(why)) this.#say('warn', ` takes no datagrams: ${why}`);
    this.#refusals.add(why);
  }

  #onAnswered(): void {
    if (this.#refusals.size > 0) this.#say('info', ' is there again');
    this.#refusals.clear();
  }

  async #close(connection: number, after: number): Promise<void> {
    await this.#context.clock.wait(after);
    await this.#sockets.get(connection)?.close();
  }

  #onError(connection: number, error: Error): void {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    const damaged = code === 'EBADMSG';
    if (this.#isCurrent(connection) && !this.#state.stopped) {
      this.#say('warn', `: ${error.message} ${damaged ? 'Trying again in a minute.' : 'Connecting again.'}`);
      this.#context.totals.countReconnect(code);
      // phantun ends every connection by one.
      const isGuise = this.#sockets.get(connection)?.profile === 'guise';
      if (code === 'ECONNRESET' && isGuise && !this.#context.options.ignoreRst) this.#noteReset();
    }
    this.#tell({ type: damaged ? 'damaged' : 'lost', connection });
  }

  /** After an error too. */
  #onClose(connection: number, socket: Socket): void {
    this.#context.totals.addTraffic(socket.counters);
    this.#sockets.delete(connection);
    if (this.#isCurrent(connection)) this.#say('info', ' closed');
    this.#tell({ type: 'closed', connection });
  }

  #isCurrent(connection: number): boolean {
    return this.#state.phase === 'carrying' && this.#state.current === connection;
  }

  #say(level: 'info' | 'warn', what: string): void {
    this.#context.log.say(level, `${formatEndpoint(this.#application.remote)}${what}`);
  }
}

/** What client and server tell of a connection alike. */
export function ofSocket(socket: Socket): Omit<ConnectionSnapshot, 'state' | 'age'> {
  return {
    local: formatEndpoint({ address: socket.localAddress, port: socket.localPort }),
    remote: remoteOf(socket),
    profile: socket.profile,
    counters: socket.counters,
  };
}

export function remoteOf({ remoteAddress, remotePort }: Socket): string {
  return formatEndpoint({ address: remoteAddress, port: remotePort });
}

function isOpen({ phase }: ReconnectState): boolean {
  return phase === 'carrying';
}
