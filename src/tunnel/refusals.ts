/** Says why the service behind a server takes no datagrams, and when it is heard again: once for all connections. */
import type { Socket } from '../fake_tcp/socket.js';
import type { ConnectionLog } from '../observe/log.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';

/** A service that takes no datagrams. */
interface Refusing {
  /** What was said. */
  readonly causes: Set<string>;
  /** Connections whose datagrams are refused. */
  readonly sockets: Set<Socket>;
}

export class Refusals {
  readonly #log: ConnectionLog;
  /** By ADDRESS:PORT. */
  readonly #refusing = new Map<string, Refusing>();

  constructor(log: ConnectionLog) {
    this.#log = log;
  }

  /** @param service where the connection is spliced to */
  watch(socket: Socket, service: Endpoint): void {
    const name = formatEndpoint(service);
    socket.on('refused', ({ message }) => {
      const refusing = this.#refusing.get(name) ?? { causes: new Set(), sockets: new Set() };
      this.#refusing.set(name, refusing);
      refusing.sockets.add(socket);
      if (!refusing.causes.has(message)) this.#log.say('warn', `service ${name} takes no datagrams: ${message}`);
      refusing.causes.add(message);
    });
    socket.on('answered', () => {
      if (this.#refusing.delete(name)) this.#log.say('info', `service ${name} answers again`);
    });
    // With the last of them the next refusal is news.
    socket.on('close', () => {
      const refusing = this.#refusing.get(name);
      if (refusing?.sockets.delete(socket) && refusing.sockets.size === 0) this.#refusing.delete(name);
    });
  }
}
