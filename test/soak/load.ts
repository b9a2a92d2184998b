/**
 * An application and a service that talk through the tunnel, both ways all the time, and check all that arrives.
 *
 * The application has a socket a flow. The service answers each flow where its latest datagram came from: a tunnel's
 * new connection has another port.
 */
import type { RemoteInfo, Socket } from 'node:dgram';
import type { Host } from '../net/rig.js';
import { openUdp } from '../net/udp_socket.js';
import { readPayload, writePayload, type Direction } from './payload.js';
import { Stream } from './stream.js';

const FLOWS = 4;
/** Milliseconds from one datagram of a flow to its next, in each direction. */
const INTERVAL = 10;
const FIRST_PORT = 6000;

export interface LoadOptions {
  readonly client: Host;
  /** Where the application sends to, on 127.0.0.1. */
  readonly tunnelPort: number;
  readonly server: Host;
  /** Where the service listens, on 127.0.0.1. */
  readonly servicePort: number;
}

/** A datagram that is none of those that were sent. */
export interface Corrupted {
  readonly direction: Direction;
  /** ms, as performance.now() has them. */
  readonly at: number;
  readonly bytes: Buffer;
}

export class Load implements Disposable {
  readonly corrupted: Corrupted[] = [];
  /** Of another flow or direction, or not from the address that the application sends to. */
  misdelivered = 0;
  readonly #options: LoadOptions;
  readonly #streams: Readonly<Record<Direction, readonly Stream[]>>;
  readonly #application: readonly Socket[];
  #service: Socket | undefined;
  /** Where each flow's latest datagram came from. */
  readonly #askers: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  static async start(options: LoadOptions): Promise<Load> {
    const flows = Array.from({ length: FLOWS }, (_, flow) => openUdp(options.client, FIRST_PORT + flow));
    const load = new Load(options, await Promise.all(flows));
    await load.startService();
    load.#timer = setInterval(() => load.#send(), INTERVAL);
    return load;
  }

  private constructor(options: LoadOptions, application: readonly Socket[]) {
    this.#options = options;
    this.#application = application;
    this.#streams = { up: application.map(() => new Stream()), down: application.map(() => new Stream()) };
    for (const [flow, socket] of application.entries()) {
      socket.on('message', (payload, { port }) => {
        if (port === options.tunnelPort) this.#take(payload, 'down', flow);
        else this.misdelivered++;
      });
    }
  }

  get streams(): readonly Stream[] {
    return [...this.#streams.up, ...this.#streams.down];
  }

  async startService(): Promise<void> {
    this.#service = await openUdp(this.#options.server, this.#options.servicePort);
    this.#service.on('message', (payload, peer) => this.#answer(payload, peer));
  }

  /** Its port is closed: who sends there is refused. */
  stopService(): void {
    this.#service?.close();
    this.#service = undefined;
  }

  /** Sends nothing more; what is on its way still arrives. */
  stop(): void {
    clearInterval(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
    for (const socket of this.#application) socket.close();
    this.stopService();
  }

  #send(): void {
    const now = performance.now();
    for (const [flow, socket] of this.#application.entries()) {
      const up = { direction: 'up', flow, sequence: this.#streams.up[flow]!.send(now) } as const;
      socket.send(writePayload(up), this.#options.tunnelPort, '127.0.0.1');
      const asker = this.#askers[flow];
      if (!this.#service || asker === undefined) continue;
      const down = { direction: 'down', flow, sequence: this.#streams.down[flow]!.send(now) } as const;
      this.#service.send(writePayload(down), asker, '127.0.0.1');
    }
  }

  #answer(payload: Buffer, { port }: RemoteInfo): void {
    const flow = this.#take(payload, 'up');
    if (flow !== undefined) this.#askers[flow] = port;
  }

  /** The flow of a datagram that is newer than all before; `mine` is the only one that may come. */
  #take(payload: Buffer, direction: Direction, mine?: number): number | undefined {
    const label = readPayload(payload);
    if (!label) {
      this.corrupted.push({ direction, at: performance.now(), bytes: payload });
      return undefined;
    }
    const stream = this.#streams[direction][label.flow];
    if (label.direction !== direction || !stream || (mine ?? label.flow) !== label.flow) {
      this.misdelivered++;
      return undefined;
    }
    return stream.arrive(label.sequence, performance.now()) ? label.flow : undefined;
  }
}
