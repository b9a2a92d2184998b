/** What all UDP sockets of a stack have in common. */
import { constants } from 'node:os';
import { stackError } from '../../errors.js';
import type { Endpoint } from '../../wire/endpoint.js';
import type { AddressBook } from './addresses.js';
import type { Environment } from './environment.js';
import type { PathMtus } from './path_mtus.js';
import type { SessionFlow } from './session_flow.js';

/** A datagram that belongs to no session. */
export interface Arrival {
  /** Of the port's batch. */
  readonly row: number;
  readonly slab: Uint8Array;
  /** Where its IP header begins. */
  readonly packet: number;
  readonly isIpv6: boolean;
  /** Its payload. */
  readonly offset: number;
  readonly size: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

export class UdpContext {
  readonly environment: Environment;
  readonly book: AddressBook;
  readonly paths: PathMtus;
  /** Whether an address is the stack's. */
  readonly owns: (address: string) => boolean;
  /** By the port's flows. */
  readonly sessions = new Map<number, SessionFlow>();
  /** Milliseconds at which a session may have been idle for long enough; the sessions that there are may be due later. */
  deadline = Infinity;
  #sendDrops = 0;

  constructor(context: Pick<UdpContext, 'environment' | 'book' | 'paths' | 'owns'>) {
    this.environment = context.environment;
    this.book = context.book;
    this.paths = context.paths;
    this.owns = context.owns;
  }

  /** Datagrams that the device did not take. */
  get sendDrops(): number {
    return this.#sendDrops;
  }

  /** A session is due then, if nothing happens. */
  dueAt(time: number): void {
    if (time >= this.deadline) return;
    this.deadline = time;
    this.environment.changed();
  }

  /**
   * Sees to the answer of the port to a datagram. What the device does not take is lost, as on any network.
   *
   * @param answer 0 or -errno
   * @throws {GuiseError} EMSGSIZE
   */
  sent(answer: number, destination: Endpoint): void {
    if (answer >= 0) return;
    if (answer === -constants.errno.EMSGSIZE) throw stackError(answer, 'send', destination);
    this.#sendDrops++;
  }
}
