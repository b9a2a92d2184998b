import { EventEmitter } from 'node:events';
import type { Endpoint } from '../wire/endpoint.js';
import type { Engine } from '../native/engine.js';
import type { UdpPeer } from '../native/types.js';

/**
 * A UDP port of the host whose peers can be spliced to Sockets. Event: `'peer'` (UdpPeer) on the first datagram of a
 * new one; its datagrams wait, bounded, until `Socket.splicePeer` or `drop`.
 */
export class UdpListener extends EventEmitter<{ peer: [peer: UdpPeer] }> {
  readonly local: Endpoint;
  readonly #engine: Engine;

  /** @internal UDP listeners come from `Stack.listenUdp`. */
  constructor(engine: Engine, local: Endpoint) {
    super();
    this.#engine = engine;
    this.local = local;
  }

  /** Forgets a peer and what waits with it. */
  drop(peer: UdpPeer): void {
    this.#engine.removePeer(peer.id);
  }
}
