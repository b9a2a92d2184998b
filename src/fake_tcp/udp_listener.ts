import { EventEmitter } from 'node:events';
import type { Endpoint } from '../wire/endpoint.js';
import type { Engine } from '../native/engine.js';
import type { UdpApplication } from '../native/types.js';

/**
 * A UDP port of the host whose applications can be spliced to Sockets. Event: `'application'` (UdpApplication) on the first datagram of a
 * new one; its datagrams wait, bounded, until `Socket.spliceApplication` or `drop`.
 */
export class UdpListener extends EventEmitter<{ application: [application: UdpApplication] }> {
  readonly local: Endpoint;
  readonly #engine: Engine;

  /** @internal UDP listeners come from `Stack.listenUdp`. */
  constructor(engine: Engine, local: Endpoint) {
    super();
    this.#engine = engine;
    this.local = local;
  }

  /** Forgets an application and what waits with it. */
  drop(application: UdpApplication): void {
    this.#engine.forgetApplication(application.id);
  }
}
