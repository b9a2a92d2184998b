/**
 * A tunnel as an object: started, looked at, stopped. It makes its interface again when somebody deletes it. It touches
 * nothing of its process, neither signals nor privileges, so that one process can have many.
 */
import { EventEmitter } from 'node:events';
import { isIPv4 } from 'node:net';
import { SYSTEM_CLOCK, type Clock } from '../clock.js';
import { guiseError, type GuiseError } from '../errors.js';
import type { Stack } from '../fake_tcp/stack.js';
import { DropWatch } from '../observe/drops.js';
import { HOST, OBSERVE } from '../policy.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import {
  chooseDevice,
  openHostStack,
  type Device,
  type OpenedStack,
  type OpenStack,
  type StackNeeds,
} from './host_stack.js';
import { wireGuardMtu } from './mtu.js';
import type { TunnelOptions } from './options.js';
import type { LookUp } from './remote.js';
import { Totals, type ConnectionSnapshot, type TunnelSnapshot, type TunnelState } from './snapshot.js';

/** What a test gives a tunnel instead of the host. */
export interface Surroundings {
  readonly openStack?: OpenStack;
  readonly lookUp?: LookUp;
  readonly clock?: Clock;
  /** Milliseconds between two look-ups of a server's name. */
  readonly lookUpInterval?: number;
}

/** What runs on a stack, and ends with it. */
export interface Service {
  connections(): ConnectionSnapshot[];
  /** Called before the stack closes: nothing is opened any more. */
  stop(): void;
}

/** What is known once the names are resolved. */
export interface Plan extends Pick<StackNeeds, 'listening' | 'ipv6' | 'family' | 'liveness'> {
  /** First lines of the start block. */
  readonly title: readonly string[];
  /** Where the remote name leads now. */
  remoteAddresses(): readonly Endpoint[];
  /** Begins to serve on a new stack. */
  serve(opened: Pick<OpenedStack, 'stack' | 'explainSilence'>): Service;
}

/** What makes a tunnel a client or a server. */
export interface Part {
  readonly role: 'client' | 'server';
  readonly options: TunnelOptions;
  /** What it listens on. */
  readonly local: string;
  readonly totals: Totals;
  /** Waits for names. @throws {GuiseError} when a name has no address; the reason of the signal when it aborts */
  prepare(signal: AbortSignal): Promise<Plan>;
}

/** A stack that is open, and what runs on it. */
interface Running {
  readonly opened: OpenedStack;
  readonly service: Service;
}

/** Event: `'ready'` each time that its interface is made and it carries datagrams. */
export class Tunnel extends EventEmitter<{ ready: [] }> {
  /** Resolves when it has stopped; rejects with a sentence when it could not be set up, or not again. */
  readonly ended: Promise<void>;
  readonly #part: Part;
  readonly #openStack: OpenStack;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #drops = new DropWatch();
  #end!: (reason?: Error) => void;
  #started: Promise<void> | undefined;
  #state: TunnelState = 'new';
  #since = Date.now();
  #error: Error | undefined;
  #device: Device | undefined;
  #plan: Plan | undefined;
  #running: Running | undefined;
  #setUps = 0;

  constructor(part: Part, { openStack = openHostStack, clock = SYSTEM_CLOCK }: Surroundings = {}) {
    super();
    this.#part = part;
    this.#openStack = openStack;
    this.#clock = clock;
    this.ended = new Promise((resolve, reject) => {
      this.#end = (error) => (error ? reject(error) : resolve());
    });
    this.ended.catch(() => {}); // who does not wait for it is told by `start` or `snapshot`
  }

  /** What it runs on, which says what rights it needs. */
  get device(): Device {
    this.#device ??= chooseDevice(this.#part.options);
    return this.#device;
  }

  get state(): TunnelState {
    return this.#state;
  }

  /**
   * Resolves when it is ready, or stopped.
   *
   * @throws {GuiseError} with one sentence when it cannot start; nothing is left behind then. ERR_GUISE_CLOSED when it
   *   has been stopped before
   */
  start(): Promise<void> {
    this.#started ??= this.#start();
    return this.#started;
  }

  /** Closes the connections, undoes what was set up on the host, and resolves when all is done. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    if (!this.#started) this.#finish('stopped');
    await this.ended.catch(() => {});
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** What it does now, as plain data. */
  snapshot(): TunnelSnapshot {
    const { role, options, local, totals } = this.#part;
    const stack = this.#running?.opened.stack;
    return {
      role,
      name: options.name ?? role,
      state: this.#state,
      since: this.#since,
      ...(this.#error ? { error: this.#error.message } : {}),
      local,
      remote: formatEndpoint({ address: options.remote.host, port: options.remote.port }),
      remoteAddresses: this.#plan?.remoteAddresses().map(formatEndpoint) ?? [],
      ...(stack?.interfaceName === undefined ? {} : { interface: stack.interfaceName }),
      ...(stack ? { workers: stack.workers } : {}),
      connections: this.#running?.service.connections() ?? [],
      traffic: totals.trafficWith(stack?.sockets ?? []),
      counters: totals.countersWith(stack?.counters),
      reconnects: { ...totals.reconnects },
      setUps: this.#setUps,
    };
  }

  async #start(): Promise<void> {
    if (this.#state !== 'new') throw guiseError('ERR_GUISE_CLOSED', { what: 'tunnel' });
    const { signal } = this.#part.options;
    const stop = (): void => void this.stop();
    if (signal?.aborted) this.#stopping.abort();
    signal?.addEventListener('abort', stop, { once: true });
    void this.ended.catch(() => {}).finally(() => signal?.removeEventListener('abort', stop));
    try {
      this.#enter('starting');
      this.#plan = await this.#prepare();
      if (!this.#plan) {
        this.#finish('stopped');
        return;
      }
      this.#running = await this.#setUp(this.#plan);
    } catch (error) {
      this.#finish('failed', error as Error);
      throw error;
    }
    void this.#run(this.#plan, this.#running);
  }

  /** Undefined when it has been stopped meanwhile. */
  async #prepare(): Promise<Plan | undefined> {
    const { signal } = this.#stopping;
    // Nothing else keeps the process alive while a name is waited for.
    const alive = setInterval(() => {}, OBSERVE.dropInterval);
    try {
      return await this.#part.prepare(signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    } finally {
      clearInterval(alive);
    }
  }

  /** Until it is stopped, or cannot be set up again. */
  async #run(plan: Plan, first: Running): Promise<void> {
    const { signal } = this.#stopping;
    let running: Running = first;
    // It keeps the process alive, too, while there is no interface.
    const watch = setInterval(() => this.#watchDrops(), OBSERVE.dropInterval);
    try {
      for (;;) {
        const lost = await this.#live(running);
        if (!lost) break;
        this.#enter('settingUpAgain');
        this.#part.options.log.warn(`${lost.message} Setting it up again.`);
        if (!(await this.#clock.wait(HOST.reopenWait, signal))) break;
        running = this.#running = await this.#setUp(plan);
      }
      this.#finish('stopped');
    } catch (error) {
      this.#finish('failed', error as Error);
    } finally {
      clearInterval(watch);
    }
  }

  #watchDrops(): void {
    const { options, totals } = this.#part;
    const { dropped } = totals.countersWith(this.#running?.opened.stack.counters);
    for (const sentence of this.#drops.look(dropped)) options.log.warn(sentence);
  }

  async #setUp(plan: Plan): Promise<Running> {
    const { role, options } = this.#part;
    const opened = await this.#openStack({ role, options, device: this.device, ...plan });
    try {
      const service = plan.serve(opened);
      const lines = [...plan.title, ...opened.done, mtuLine(opened.stack, role, plan), offloadLine(opened.stack)];
      for (const line of lines) options.log.info(line);
      this.#setUps++;
      return { opened, service };
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Waits for the end of what was set up, and undoes it. The reason, when it was not asked to end. */
  async #live({ opened, service }: Running): Promise<GuiseError | undefined> {
    const { stack } = opened;
    const { log } = this.#part.options;
    try {
      this.#enter('running');
      this.emit('ready');
      const lost = await Promise.race([opened.lost, abortOf(this.#stopping.signal)]);
      service.stop();
      if (!lost) {
        this.#enter('stopping');
        const open = [...stack.sockets].length;
        log.info(`closing${open > 0 ? ` ${open} connection${open > 1 ? 's' : ''}` : ''}`);
        await stack.close();
      }
      return lost;
    } finally {
      this.#running = undefined;
      this.#part.totals.addCounters(stack.counters);
      await opened[Symbol.asyncDispose]();
    }
  }

  #enter(state: TunnelState): void {
    this.#state = state;
    this.#since = Date.now();
  }

  #finish(state: 'stopped' | 'failed', error?: Error): void {
    if (this.#state === 'stopped' || this.#state === 'failed') return;
    this.#error = error;
    this.#enter(state);
    this.#end(error);
  }
}

/** Resolves when the signal aborts. */
function abortOf(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

/** Addresses that only the default route leads to (RFC 5737, RFC 3849): where clients come from is not known yet. */
const ELSEWHERE = { 4: { address: '192.0.2.1', port: 1 }, 6: { address: '2001:db8::1', port: 1 } } as const;

function mtuLine(stack: Stack, role: Part['role'], plan: Plan): string {
  const advice = (which: 4 | 6): string => {
    const known =
      role === 'client' ? plan.remoteAddresses().filter(({ address }) => isIPv4(address) === (which === 4)) : [];
    const mtu = Math.min(...(known.length > 0 ? known : [ELSEWHERE[which]]).map((remote) => stack.pathMtu(remote)));
    return `MTU = ${wireGuardMtu(mtu, which)} over IPv${which}`;
  };
  const { family } = plan;
  return `WireGuard on both ends: ${family ? advice(family) : `${advice(4)}, ${advice(6)}`}`;
}

function offloadLine(stack: Stack): string {
  const how = stack.segmentation ? 'super-segments in both directions' : 'one segment a packet (slow: no offload)';
  return `data plane: ${stack.workers} worker${stack.workers > 1 ? 's' : ''}, ${how}`;
}
