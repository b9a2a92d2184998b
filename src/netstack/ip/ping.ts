/** Echo requests of the stack's own, and the answers to them. */
import { randomFillSync, randomInt } from 'node:crypto';
import { guiseError, stackError, timeoutError } from '../../errors.js';
import { checkInteger, checkMilliseconds, checkObject, checkSignal } from '../../kit/arguments.js';
import { NETSTACK_ICMP } from '../../policy.js';
import { ADDRESS_SIZE, type AddressBook } from './addresses.js';
import type { Environment } from './environment.js';
import { CHECKSUM_AT, codeOf, ICMP_HEADER, makeEcho, type IcmpError } from './icmp.js';
import { ICMP, ICMP6 } from './protocols.js';

/**
 * How to ping.
 *
 * @example
 * ```ts
 * import type { PingOptions } from 'guise/netstack';
 *
 * const large: PingOptions = { localAddress: '10.0.0.2', size: 8000, timeout: 1000 };
 * ```
 */
export interface PingOptions {
  /** Where it leaves from; left out: the stack's own address. */
  readonly localAddress?: string | undefined;
  /** Bytes that it carries, 0 to 65 507. Default 56. */
  readonly size?: number | undefined;
  /** Milliseconds that an answer is waited for. Default 10 000. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An answer to a ping.
 *
 * @example
 * ```ts
 * import { Netstack, type PingReply } from 'guise/netstack';
 *
 * declare const stack: Netstack;
 * const { rtt }: PingReply = await stack.ping('10.0.0.1');
 * console.log(`${rtt.toFixed(3)} ms`);
 * ```
 */
export interface PingReply {
  /** Who answered. */
  readonly address: string;
  /** Milliseconds from one to the other. */
  readonly rtt: number;
  /** Bytes that it carried. */
  readonly size: number;
}

/** The most that an echo request carries: 65 535 bytes with a header of IPv4. */
const MOST = 65_507;

interface Pending {
  readonly address: string;
  readonly data: Uint8Array;
  readonly sent: number;
  readonly deadline: number;
  resolve(reply: PingReply): void;
  reject(error: Error): void;
}

/** What is sent, and how long it is waited for. */
interface Request {
  readonly local: string;
  readonly remote: string;
  readonly data: Uint8Array;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

export interface PingerOptions {
  readonly environment: Environment;
  readonly book: AddressBook;
  /** Whether an address is the stack's. */
  readonly owns: (address: string) => boolean;
}

export class Pinger {
  readonly #options: PingerOptions;
  /** By identifier << 16 | sequence number. */
  readonly #pending = new Map<number, Pending>();
  readonly #identifier = randomInt(0x10000);
  #sequence = 0;
  #deadline = Infinity;
  #closed = false;

  constructor(options: PingerOptions) {
    this.#options = options;
  }

  /** Milliseconds at which `tick` has something to do. */
  get deadline(): number {
    return this.#deadline;
  }

  tick(now: number): void {
    if (now < this.#deadline) return;
    this.#deadline = Infinity;
    for (const pending of [...this.#pending.values()]) {
      if (pending.deadline <= now) pending.reject(timeoutError('ping', pending.address));
      else this.#deadline = Math.min(this.#deadline, pending.deadline);
    }
  }

  /**
   * Sends an echo request and waits for the answer.
   *
   * @throws {GuiseError} what an ICMP error says: EHOSTUNREACH, ENETUNREACH, EMSGSIZE …; EADDRNOTAVAIL when there is no
   *   address to send from; ENOBUFS when 8192 others wait; ERR_GUISE_CLOSED, ERR_GUISE_ARGUMENT
   * @throws {DOMException} TimeoutError, or what the signal aborts with
   */
  async ping(address: string, options: PingOptions = {}): Promise<PingReply> {
    if (this.#closed) throw guiseError('ERR_GUISE_CLOSED', { what: 'stack' });
    const {
      size = NETSTACK_ICMP.pingSize,
      timeout = NETSTACK_ICMP.pingTimeout,
      ...rest
    } = checkObject('options', options);
    const remote = this.#options.book.check('address', address);
    const local = this.#localAddress(remote, rest.localAddress);
    const data = randomFillSync(new Uint8Array(checkInteger('size', size, 0, MOST)));
    const wait = checkMilliseconds('timeout', timeout, Infinity);
    const signal = checkSignal('signal', rest.signal);
    signal?.throwIfAborted();
    return this.#wait(this.#nextId(remote), { local, remote, data, timeout: wait, signal });
  }

  /** An answer has come; whether it was waited for. */
  answered(id: number, source: string, message: Uint8Array): boolean {
    const pending = this.#pending.get(id);
    const data = message.subarray(ICMP_HEADER);
    if (pending?.address !== source || Buffer.compare(pending.data, data) !== 0) return false;
    pending.resolve({ address: source, rtt: this.#options.environment.now() - pending.sent, size: data.length });
    return true;
  }

  /** An ICMP error quotes an echo request. */
  failed({ kind, quote }: IcmpError): void {
    const pending = this.#pending.get(quote!.echo);
    const { address } = this.#options.book.ends(quote!.tuple).remote;
    if (pending?.address === address) pending.reject(stackError(codeOf(kind), 'ping', { address }));
  }

  close(error: Error = guiseError('ERR_GUISE_CLOSED', { what: 'stack' })): void {
    this.#closed = true;
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }

  #localAddress(remote: string, given: unknown): string {
    const { environment, book, owns } = this.#options;
    const local = given === undefined ? environment.localAddress(remote) : book.check('localAddress', given);
    if (local === undefined || !owns(local) || local.includes(':') !== remote.includes(':'))
      throw stackError('EADDRNOTAVAIL', 'ping', { address: local ?? remote });
    return local;
  }

  #nextId(remote: string): number {
    if (this.#pending.size >= NETSTACK_ICMP.pings) throw stackError('ENOBUFS', 'ping', { address: remote });
    for (;;) {
      this.#sequence = (this.#sequence + 1) & 0xffff;
      const id = ((this.#identifier << 16) | this.#sequence) >>> 0;
      if (!this.#pending.has(id)) return id;
    }
  }

  #wait(id: number, { local, remote, data, timeout, signal }: Request): Promise<PingReply> {
    const { environment } = this.#options;
    const sent = environment.now();
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#pending.delete(id);
        environment.release();
        signal?.removeEventListener('abort', onAbort);
      };
      const pending: Pending = {
        address: remote,
        data,
        sent,
        deadline: sent + timeout,
        resolve: (reply) => {
          end();
          resolve(reply);
        },
        reject: (error) => {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => pending.reject(signal!.reason as Error);
      signal?.addEventListener('abort', onAbort);
      this.#pending.set(id, pending);
      environment.hold();
      const error = this.#send(id, local, remote, data);
      if (error < 0) return pending.reject(stackError(error, 'ping', { address: remote }));
      if (pending.deadline >= this.#deadline) return;
      this.#deadline = pending.deadline;
      environment.changed();
    });
  }

  #send(id: number, local: string, remote: string, data: Uint8Array): number {
    const { environment, book } = this.#options;
    const isIpv6 = remote.includes(':');
    const addresses = new Uint8Array(2 * ADDRESS_SIZE);
    addresses.set(book.bytes(local), 0);
    addresses.set(book.bytes(remote), ADDRESS_SIZE);
    const message = makeEcho(id, data, isIpv6);
    const protocol = isIpv6 ? ICMP6 : ICMP;
    return environment.port.writePacket(protocol, addresses, message, NETSTACK_ICMP.hopLimit, CHECKSUM_AT);
  }
}
