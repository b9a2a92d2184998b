/** Every packet that is not TCP: who gets it, and who hears of an error. */
import { FACT, IN, KIND, ROW } from '../../native/packet_port.js';
import { AddressBook } from './addresses.js';
import { Admission, VERDICT } from './admission.js';
import type { Environment } from './environment.js';
import { unicastOnly, type Filter } from './filter.js';
import { parseIcmp, type IcmpError } from './icmp.js';
import { IcmpResponder, type IcmpCounters, type Received } from './icmp_responder.js';
import { PathMtus } from './path_mtus.js';
import { Pinger, type PingOptions, type PingReply } from './ping.js';
import { PingRequests, type OnPing } from './ping_requests.js';
import { NO_NEXT_HEADER, TCP, UDP } from './protocols.js';
import { UdpContext } from './udp_context.js';
import { UdpLayer } from './udp_layer.js';
import type { UdpOptions, UdpSocket } from './udp_socket.js';

export interface IpOptions {
  /** Addresses that packets are taken for; left out: all. */
  readonly addresses?: readonly string[] | undefined;
  /** Packets pass that all of them let pass. Default: `unicastOnly`. */
  readonly filters?: readonly Filter[] | undefined;
  /** Whether datagrams are taken, or answered with "port unreachable". Default true. */
  readonly udp?: boolean | undefined;
  /** Whether echo requests are answered and errors sent. Errors of others are heard in any case. Default true. */
  readonly icmp?: boolean | undefined;
  /** Asked whether an echo request is answered; left out: each is. */
  readonly onPing?: OnPing | undefined;
}

export interface IpCounters extends IcmpCounters {
  /** Packets that a filter did not let pass. */
  readonly filtered: number;
  /** Packets for an address that is not the stack's. */
  readonly notOurs: number;
  /** Datagrams that nobody listens for. */
  readonly udpUnheard: number;
  /** Datagrams that the device did not take. */
  readonly udpSendDrops: number;
}

export class IpLayer {
  readonly #environment: Environment;
  readonly #book = new AddressBook();
  readonly #admission: Admission;
  readonly #responder: IcmpResponder;
  readonly #pinger: Pinger;
  readonly #pingRequests: PingRequests | undefined;
  readonly #udpContext: UdpContext;
  readonly #udp: UdpLayer;
  readonly #takesUdp: boolean;
  readonly #answers: boolean;
  #filtered = 0;
  #notOurs = 0;
  #unheard = 0;

  constructor(environment: Environment, options: IpOptions = {}) {
    const { addresses, filters = [unicastOnly], udp = true, icmp = true, onPing } = options;
    const book = this.#book;
    const admission = new Admission({ book, filters, addresses });
    const owns = (address: string): boolean => admission.owns(address);
    this.#environment = environment;
    this.#admission = admission;
    this.#responder = new IcmpResponder(environment, book);
    this.#pinger = new Pinger({ environment, book, owns });
    const answer = this.#responder.echo.bind(this.#responder);
    this.#pingRequests = onPing && new PingRequests({ book, onPing, answer });
    this.#udpContext = new UdpContext({ environment, book, paths: new PathMtus(), owns });
    this.#udp = new UdpLayer(this.#udpContext);
    this.#takesUdp = udp;
    this.#answers = icmp;
  }

  /** Spellings and bytes of addresses. */
  get book(): AddressBook {
    return this.#book;
  }

  /** Milliseconds at which `tick` has something to do; the environment's `changed` says when it may be earlier. */
  get deadline(): number {
    return Math.min(this.#udp.deadline, this.#pinger.deadline);
  }

  get counters(): IpCounters {
    return {
      ...this.#responder.counters,
      filtered: this.#filtered,
      notOurs: this.#notOurs,
      udpUnheard: this.#unheard,
      udpSendDrops: this.#udpContext.sendDrops,
    };
  }

  /** Whether an address is the stack's. */
  owns(address: string): boolean {
    return this.#admission.owns(address);
  }

  /** Ends sessions that are idle and pings that nobody answers. */
  tick(now: number): void {
    this.#udp.tick(now);
    this.#pinger.tick(now);
  }

  /** Whether a packet of no known flow is to be taken: filters and addresses say so. One that is not is counted. */
  admits(row: number, incoming: Int32Array, slab: Uint8Array): boolean {
    const at = row * ROW;
    const isIpv6 = (incoming[at + IN.facts]! & FACT.ipv6) !== 0;
    const verdict = this.#admission.judge(slab, incoming[at + IN.packet]!, isIpv6);
    if (verdict === VERDICT.passes) return true;
    if (verdict === VERDICT.filtered) this.#filtered++;
    else this.#notOurs++;
    return false;
  }

  /** Takes a row of a batch that is not TCP's. */
  arrive(row: number, incoming: Int32Array, slab: Uint8Array): void {
    const at = row * ROW;
    const kind = incoming[at + IN.kind]!;
    if (kind === KIND.udp && this.#udp.arriveOnFlow(row, incoming, slab)) return;
    if (!this.admits(row, incoming, slab)) return;
    if (kind === KIND.udp) return this.#udpArrives(row, incoming, slab);
    const received = receivedBy(at, incoming, slab);
    if (kind === KIND.icmp) return this.#icmpArrives(at, incoming, received);
    if (!this.#answers) return;
    const [number, pointer] = [incoming[at + IN.flags]!, incoming[at + IN.seq]!];
    if (kind === KIND.problem) this.#responder.parameterProblem(received, number, pointer);
    else if (number !== NO_NEXT_HEADER) this.#responder.protocolUnreachable(received, pointer);
  }

  /** @throws {GuiseError} as `Netstack.udp` */
  udp(options: UdpOptions = {}): UdpSocket {
    return this.#udp.open(options);
  }

  /** As `Netstack.ping`. */
  ping(address: string, options: PingOptions = {}): Promise<PingReply> {
    return this.#pinger.ping(address, options);
  }

  /** @param error why the stack has ended, if not in order */
  close(error?: Error): void {
    this.#udp.close(error);
    this.#pinger.close(error);
    this.#pingRequests?.close();
  }

  #udpArrives(row: number, incoming: Int32Array, slab: Uint8Array): void {
    const received = receivedBy(row * ROW, incoming, slab);
    if (this.#takesUdp && this.#udp.arrive(row, incoming, slab, received.isIpv6)) return;
    this.#unheard++;
    if (this.#answers) this.#responder.portUnreachable(received);
  }

  #icmpArrives(at: number, incoming: Int32Array, received: Received): void {
    const { slab, packet, isIpv6 } = received;
    const offset = incoming[at + IN.payload]!;
    const bytes = slab.subarray(offset, offset + incoming[at + IN.payloadSize]!);
    const message = parseIcmp(bytes, isIpv6);
    if (message?.type === 'error') this.#failed(message);
    else if (message?.type === 'echoReply')
      this.#pinger.answered(message.id, this.#book.source(slab, packet, isIpv6), bytes);
    else if (!message || !this.#answers) return;
    else if (this.#pingRequests) this.#pingRequests.take(received, bytes);
    else this.#responder.echo(received, bytes);
  }

  #failed(error: IcmpError): void {
    const { kind, mtu, quote } = error;
    if (!quote) return;
    if (quote.protocol === TCP) this.#environment.tcpError(quote.tuple, quote.seq, kind, mtu);
    else if (quote.protocol === UDP) this.#udp.failed(error);
    else if (quote.echo >= 0) this.#pinger.failed(error);
  }
}

function receivedBy(at: number, incoming: Int32Array, slab: Uint8Array): Received {
  return {
    slab,
    packet: incoming[at + IN.packet]!,
    size: incoming[at + IN.packetSize]!,
    isIpv6: (incoming[at + IN.facts]! & FACT.ipv6) !== 0,
  };
}
