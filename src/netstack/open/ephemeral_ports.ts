/** Ports that connections are opened from: RFC 6056 §3.3.3, hash and counter. */
import { TCP, type PacketPort } from '../../native/packet_port.js';
import { NETSTACK_TCP } from '../../policy.js';
import { PORT_WORD } from './hash_words.js';

const LOCAL_PORT = 32;

export class EphemeralPorts {
  readonly #port: PacketPort;
  #next = 0;

  constructor(port: PacketPort) {
    this.#port = port;
  }

  /**
   * Attaches a flow from a port that has none to this remote end yet.
   *
   * @param tuple its local port is filled in
   * @returns the flow, -1 when all ports are taken
   */
  attach(tuple: Uint8Array): number {
    const { firstPort, lastPort } = NETSTACK_TCP;
    const count = lastPort - firstPort + 1;
    setLocalPort(tuple, 0);
    const offset = this.#port.hashTuple(tuple, PORT_WORD) >>> 0;
    for (let tries = 0; tries < count; tries++) {
      setLocalPort(tuple, firstPort + ((offset + this.#next++) % count));
      const flow = this.#port.attach(TCP, tuple);
      if (flow >= 0) return flow;
    }
    return -1;
  }
}

export function localPortOf(tuple: Uint8Array): number {
  return (tuple[LOCAL_PORT]! << 8) | tuple[LOCAL_PORT + 1]!;
}

function setLocalPort(tuple: Uint8Array, port: number): void {
  tuple[LOCAL_PORT] = port >>> 8;
  tuple[LOCAL_PORT + 1] = port;
}
