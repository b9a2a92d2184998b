/** A UDP port of the data plane, and who sends to it. */
import type { EventEmitter } from 'node:events';
import type { Engine } from '../native/engine.js';
import type { UdpApplication } from '../native/types.js';
import type { Endpoint } from '../wire/endpoint.js';
import { emit } from '../kit/emit.js';

/**
 * What a {@link UdpListener} emits.
 *
 * @example
 * ```ts
 * import type { UdpListener, UdpListenerEvents } from 'guise';
 *
 * declare const udp: UdpListener;
 * const say = (...[{ remote }]: UdpListenerEvents['application']): void => console.log(remote.port);
 * udp.on('application', say);
 * ```
 */
export interface UdpListenerEvents {
  /** The first datagram of somebody new has come; it waits with those behind it. */
  application: [application: UdpApplication];
  /** Once and last. */
  close: [];
}

export interface UdpPortOptions {
  readonly engine: Engine;
  /** The listener's, in the data plane. */
  readonly id: number;
  readonly local: Endpoint;
  /** Applications that are not gone, those of other ports too. */
  readonly applications: Map<UdpApplication, unknown>;
  readonly onClose: () => void;
}

export class UdpPort {
  readonly #options: UdpPortOptions;
  #emitter!: EventEmitter<UdpListenerEvents>;
  #closed = false;

  constructor(options: UdpPortOptions) {
    this.#options = options;
  }

  /** Whose listeners hear of it: the UdpListener, before anything happens. */
  set emitter(emitter: EventEmitter<UdpListenerEvents>) {
    this.#emitter = emitter;
  }

  get local(): Endpoint {
    return this.#options.local;
  }

  /** The first datagram of an application has come. */
  receive(application: UdpApplication): void {
    this.#options.applications.set(application, undefined);
    if (!emit(this.#emitter, 'application', application)) this.drop(application);
  }

  drop(application: UdpApplication): void {
    const { id, applications, engine } = this.#options;
    if (application.listener !== id || !applications.delete(application)) return;
    engine.forgetApplication(application.id);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { id, applications, engine, onClose } = this.#options;
    onClose();
    engine.closeUdp(id);
    for (const application of applications.keys()) if (application.listener === id) applications.delete(application);
    emit(this.#emitter, 'close');
  }
}
