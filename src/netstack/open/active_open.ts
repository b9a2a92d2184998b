/** Opens connections: chooses this end, and makes the connection. */
import type { CongestionName } from '../tcp/congestion/choose.js';
import { isIPv6 } from 'node:net';
import { stackError, type GuiseError } from '../../errors.js';
import { PORT_TUPLE, TCP, type PacketPort } from '../../native/packet_port.js';
import type { AddressBook } from '../ip/addresses.js';
import type { Loop } from '../loop/loop.js';
import { TcpEnd, type Ends } from '../tcp_end.js';
import type { ConnectionFactory } from './connection_factory.js';
import { EphemeralPorts, localPortOf } from './ephemeral_ports.js';
import { initialSequence, ISN_WORD, TIMESTAMP_WORD } from './hash_words.js';

export interface ActiveOptions {
  readonly loop: Loop;
  readonly book: AddressBook;
  readonly factory: ConnectionFactory;
  /** Connections at the same time. */
  readonly mostConnections: number;
}

/** `localPort` 0: the stack chooses one. */
export interface Target extends Ends {
  readonly congestion: CongestionName | undefined;
  readonly noDelay: boolean | undefined;
}

export class ActiveOpen {
  readonly #loop: Loop;
  readonly #port: PacketPort;
  readonly #book: AddressBook;
  readonly #factory: ConnectionFactory;
  readonly #mostConnections: number;
  readonly #ports: EphemeralPorts;

  constructor({ loop, book, factory, mostConnections }: ActiveOptions) {
    this.#loop = loop;
    this.#port = loop.port;
    this.#book = book;
    this.#factory = factory;
    this.#mostConnections = mostConnections;
    this.#ports = new EphemeralPorts(loop.port);
  }

  /**
   * Makes the end of a connection, whose SYN leaves behind the task.
   *
   * @returns the end, and why there is no connection
   */
  open(target: Target): { readonly end: TcpEnd; readonly error: GuiseError | undefined } {
    const { localAddress, remoteAddress, remotePort, congestion, noDelay } = target;
    const remote = { address: remoteAddress, port: remotePort };
    const tuple = new Uint8Array(PORT_TUPLE);
    this.#book.setTuple(tuple, { address: localAddress, port: target.localPort }, remote);
    if (this.#loop.connectionCount >= this.#mostConnections)
      return { end: new TcpEnd(this.#loop, target), error: stackError('ENFILE', 'connect', remote) };
    const flow = target.localPort === 0 ? this.#ports.attach(tuple) : this.#port.attach(TCP, tuple);
    const end = new TcpEnd(this.#loop, { ...target, localPort: localPortOf(tuple) });
    if (flow < 0) {
      const code = target.localPort === 0 ? 'EADDRNOTAVAIL' : 'EADDRINUSE';
      return { end, error: stackError(code, 'connect', remote) };
    }
    const now = this.#loop.now();
    end.connection = this.#factory.make(end, flow, isIPv6(remoteAddress), {
      isn: initialSequence(this.#port.hashTuple(tuple, ISN_WORD), now),
      timestampOffset: this.#port.hashTuple(tuple, TIMESTAMP_WORD),
      congestion,
      noDelay,
    });
    end.connection.connect(now);
    return { end, error: undefined };
  }
}
