/** What the stack says by ICMP: answers to echo requests, and why a packet was not taken. */
import { NETSTACK_ICMP } from '../../policy.js';
import { ADDRESS_SIZE, setAnswerAddresses, type AddressBook } from './addresses.js';
import type { Environment } from './environment.js';
import { CHECKSUM_AT, makeEchoReply, makeIcmpError, makeParameterProblem, mayAnswerWithError } from './icmp.js';
import { IcmpLimit } from './icmp_limit.js';
import { ICMP, ICMP6 } from './protocols.js';

/** A packet in a slab. */
export interface Received {
  readonly slab: Uint8Array;
  /** Where its IP header begins, and its bytes. */
  readonly packet: number;
  readonly size: number;
  readonly isIpv6: boolean;
}

export interface IcmpCounters {
  /** Echo requests that were answered. */
  readonly echoesAnswered: number;
  /** Errors that were sent. */
  readonly icmpErrors: number;
  /** Errors that were left out because there were too many. */
  readonly icmpErrorsLimited: number;
  /** Errors that were left out because of what the packet was (RFC 1122 §3.2.2). */
  readonly icmpErrorsWithheld: number;
}

export class IcmpResponder {
  readonly #environment: Environment;
  readonly #book: AddressBook;
  readonly #limit: IcmpLimit;
  readonly #addresses = new Uint8Array(2 * ADDRESS_SIZE);
  #echoes = 0;
  #errors = 0;
  #limited = 0;
  #withheld = 0;

  constructor(environment: Environment, book: AddressBook) {
    this.#environment = environment;
    this.#book = book;
    this.#limit = new IcmpLimit(environment.now());
  }

  get counters(): IcmpCounters {
    return {
      echoesAnswered: this.#echoes,
      icmpErrors: this.#errors,
      icmpErrorsLimited: this.#limited,
      icmpErrorsWithheld: this.#withheld,
    };
  }

  /** Answers an echo request (RFC 1122 §3.2.2.6, RFC 4443 §4.2), in fragments where it came in such. */
  echo(received: Received, request: Uint8Array): void {
    this.#echoes++;
    this.#send(received, makeEchoReply(request, received.isIpv6));
  }

  /** Nobody listens on the port of a UDP datagram (RFC 1122 §4.1.3.1). */
  portUnreachable(received: Received): void {
    this.#sendError(received, (packet) => makeIcmpError('port', packet, received.isIpv6));
  }

  /**
   * Nobody here knows the protocol of a packet.
   *
   * @param pointer which byte of the packet names it
   */
  protocolUnreachable(received: Received, pointer: number): void {
    this.#sendError(received, (packet) =>
      makeIcmpError('protocol', packet, received.isIpv6, received.isIpv6 ? pointer : 0),
    );
  }

  /** An IPv6 packet cannot be understood (RFC 4443 §3.4). */
  parameterProblem(received: Received, code: number, pointer: number): void {
    this.#sendError(received, (packet) => makeParameterProblem(code, packet, pointer));
  }

  #sendError(received: Received, make: (packet: Uint8Array) => Uint8Array): void {
    const { slab, packet, size, isIpv6 } = received;
    const source = this.#book.source(slab, packet, isIpv6);
    const destination = this.#book.destination(slab, packet, isIpv6);
    const bytes = slab.subarray(packet, packet + size);
    if (!mayAnswerWithError(bytes, source, destination, isIpv6)) {
      this.#withheld++;
    } else if (!this.#limit.take(source, isIpv6, this.#environment.now())) {
      this.#limited++;
    } else {
      this.#errors++;
      this.#send(received, make(bytes));
    }
  }

  #send({ slab, packet, isIpv6 }: Received, message: Uint8Array): void {
    setAnswerAddresses(this.#addresses, slab, packet, isIpv6);
    const protocol = isIpv6 ? ICMP6 : ICMP;
    this.#environment.port.writePacket(protocol, this.#addresses, message, NETSTACK_ICMP.hopLimit, CHECKSUM_AT);
  }
}
