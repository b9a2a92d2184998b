import { EventEmitter } from 'node:events';
import { guiseError } from '../errors.js';
import type { UdpApplication as Application } from '../native/types.js';
import type { Endpoint } from '../wire/endpoint.js';
import { checkEndpoint, checkInteger, checkObject } from '../kit/arguments.js';
import { UdpPort, type UdpListenerEvents } from './udp_port.js';

/**
 * Who sends to a {@link UdpListener}, from one address and port. It is known from its first datagram until it is
 * dropped, its listener closes, or the connection that it is spliced to ends in order.
 *
 * @example
 * ```ts
 * import type { Stack, UdpApplication, UdpListener } from 'guise';
 *
 * declare const stack: Stack, udp: UdpListener;
 * async function carry(application: UdpApplication): Promise<void> {
 *   const socket = await stack.connect({ address: '203.0.113.7', port: 443, worker: application.worker });
 *   socket.on('error', () => udp.drop(application));
 *   socket.spliceApplication(application);
 * }
 * ```
 */
export type UdpApplication = Application;

/** Makes the UdpListener of a port. */
export let createUdpListener: (port: UdpPort) => UdpListener;

/**
 * A UDP port of the host whose applications can be spliced to Sockets. It comes from {@link Stack.listenUdp}.
 *
 * Events: `'application'` and `'close'`, see {@link UdpListenerEvents}. What an application sends waits, bounded to
 * 1 MiB, until `Socket.spliceApplication` or `drop`. Where nobody listens to `'application'` it is dropped at once, and
 * its next datagram makes it new.
 *
 * @example
 * ```ts
 * import { Stack } from 'guise';
 *
 * await using stack = await Stack.open({ device: { name: 'guise0' }, addresses: ['192.168.200.2'] });
 * await using udp = stack.listenUdp({ address: '127.0.0.1', port: 51820 });
 * udp.on('application', ({ remote }) => console.log(`${remote.address}:${remote.port} sends`));
 * ```
 */
export class UdpListener extends EventEmitter<UdpListenerEvents> {
  static {
    createUdpListener = (port) => new UdpListener(port);
  }

  readonly #port: UdpPort;

  private constructor(port: UdpPort) {
    super();
    if (!((port as unknown) instanceof UdpPort))
      throw guiseError('ERR_GUISE_CONSTRUCTOR', { what: 'UdpListener', how: '`Stack.listenUdp`' });
    this.#port = port;
    port.emitter = this;
  }

  /** What it is bound to, with the port that the system chose if it was asked to. */
  get local(): Endpoint {
    return this.#port.local;
  }

  /**
   * Forgets an application and what waits with it; its next datagram makes it new. Does nothing with one that is gone.
   *
   * @throws {GuiseError} ERR_GUISE_ARGUMENT
   */
  drop(application: UdpApplication): void {
    this.#port.drop(checkApplication('application', application));
  }

  /** Frees the port and forgets its applications; connections that are spliced to them are closed. Idempotent. */
  close(): void {
    this.#port.close();
  }

  /** As `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** @throws {GuiseError} ERR_GUISE_ARGUMENT */
export function checkApplication(name: string, application: UdpApplication): UdpApplication {
  const { id, listener, worker, local, remote } = checkObject(name, application);
  checkInteger(`${name}.id`, id, 0, 2 ** 32 - 1);
  checkInteger(`${name}.listener`, listener, 0, 2 ** 32 - 1);
  checkInteger(`${name}.worker`, worker, 0, 255);
  checkEndpoint(`${name}.local`, local, 0);
  checkEndpoint(`${name}.remote`, remote, 0);
  return application;
}
