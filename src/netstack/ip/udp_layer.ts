/** UDP: who gets a datagram, and who hears that one does not arrive. */
import { randomInt } from 'node:crypto';
import { stackError } from '../../errors.js';
import { checkObject, checkPort } from '../../kit/arguments.js';
import { IN, ROW } from '../../native/packet_port.js';
import { NETSTACK_UDP } from '../../policy.js';
import { EndTable, type LocalEnd } from './end_table.js';
import { codeOf, type IcmpError } from './icmp.js';
import type { UdpContext } from './udp_context.js';
import { UdpEnd } from './udp_end.js';
import { createUdpSocket, type UdpOptions, type UdpSocket } from './udp_socket.js';

export class UdpLayer {
  readonly #context: UdpContext;
  readonly #ends = new EndTable<UdpEnd>();

  constructor(context: UdpContext) {
    this.#context = context;
  }

  /** Milliseconds at which `tick` has something to do. */
  get deadline(): number {
    return this.#context.deadline;
  }

  tick(now: number): void {
    if (now < this.#context.deadline) return;
    for (const end of [...this.#ends.values()]) end.tick(now);
    let deadline = Infinity;
    for (const end of this.#ends.values()) deadline = Math.min(deadline, end.deadline);
    this.#context.deadline = deadline;
  }

  /** @throws {GuiseError} EADDRINUSE, EADDRNOTAVAIL, ERR_GUISE_ARGUMENT */
  open(options: UdpOptions): UdpSocket {
    const local = this.#choose(checkObject('options', options));
    const end = new UdpEnd({ context: this.#context, local, onClose: () => this.#ends.remove(local) });
    this.#ends.add(local, end);
    return createUdpSocket(end);
  }

  /** A datagram has come; whether a session has taken it. */
  arriveOnFlow(row: number, incoming: Int32Array, slab: Uint8Array): boolean {
    const at = row * ROW;
    const session = this.#context.sessions.get(incoming[at + IN.flow]!);
    session?.receive(slab, incoming[at + IN.payload]!, incoming[at + IN.payloadSize]!);
    return session !== undefined;
  }

  /**
   * A datagram has come that is of no session.
   *
   * @returns whether anybody listens there
   */
  arrive(row: number, incoming: Int32Array, slab: Uint8Array, isIpv6: boolean): boolean {
    const at = row * ROW;
    const { book } = this.#context;
    const packet = incoming[at + IN.packet]!;
    const ports = incoming[at + IN.ports]!;
    const destination = { address: book.destination(slab, packet, isIpv6), port: ports >>> 16 };
    const end = this.#ends.find(destination.address, destination.port);
    if (!end) return false;
    end.receive({
      row,
      slab,
      packet,
      isIpv6,
      offset: incoming[at + IN.payload]!,
      size: incoming[at + IN.payloadSize]!,
      source: { address: book.source(slab, packet, isIpv6), port: ports & 0xffff },
      destination,
    });
    return true;
  }

  /** An ICMP error quotes a datagram (RFC 1122 §4.1.3.3). */
  failed({ kind, mtu, quote }: IcmpError): void {
    const { book, paths, environment } = this.#context;
    const { local, remote } = book.ends(quote!.tuple);
    const end = this.#ends.find(local.address, local.port);
    if (!end) return; // no datagram of ours: nobody can send from there
    if (kind === 'tooBig') paths.learn(remote.address, mtu, environment.now());
    else end.unreachable(quote!.tuple, local, stackError(codeOf(kind), 'send', remote));
  }

  /** @param error why the stack has ended, if not in order */
  close(error?: Error): void {
    for (const end of [...this.#ends.values()]) end.close(error);
  }

  #choose(options: { readonly address?: unknown; readonly port?: unknown }): LocalEnd {
    const given = options.address === undefined ? '::' : this.#context.book.check('address', options.address);
    const port = options.port === undefined ? undefined : checkPort('port', options.port, 0);
    const where = { address: given, port: port ?? 0 };
    const address = given === '::' ? undefined : given;
    if (address !== undefined && address !== '0.0.0.0' && !this.#context.owns(address))
      throw stackError('EADDRNOTAVAIL', 'bind', where);
    const local = { address, port: port === 0 ? this.#freePort(address) : port };
    if (this.#ends.has(local)) throw stackError('EADDRINUSE', 'bind', where);
    return local;
  }

  /** One that no other socket of this address has; where the search begins cannot be guessed (RFC 6056 §3.3.1). */
  #freePort(address: string | undefined): number {
    const { firstPort, lastPort } = NETSTACK_UDP;
    const count = lastPort - firstPort + 1;
    const first = randomInt(count);
    for (let index = 0; index < count; index++) {
      const port = firstPort + ((first + index) % count);
      if (!this.#ends.has({ address, port })) return port;
    }
    throw stackError('EADDRINUSE', 'bind', { address: address ?? '::', port: 0 });
  }
}
