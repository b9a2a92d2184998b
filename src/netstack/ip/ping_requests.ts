/** Echo requests that the user is asked about before they are answered. */
import { NETSTACK_ICMP } from '../../policy.js';
import type { AddressBook } from './addresses.js';
import type { Received } from './icmp_responder.js';
import { ICMP_HEADER } from './icmp.js';

/**
 * An echo request that has come.
 *
 * @example
 * ```ts
 * import { Netstack, type PingRequest } from 'guise/netstack';
 *
 * const isThere = ({ destination }: PingRequest): boolean => destination.startsWith('10.9.0.');
 * await using stack = await Netstack.open({ device: { name: 'tuna' }, onPing: isThere });
 * ```
 */
export interface PingRequest {
  /** Who asks. */
  readonly source: string;
  /** Who is asked. */
  readonly destination: string;
  /** Bytes that it carries. */
  readonly size: number;
}

/**
 * Whether an echo request is answered. What it throws or rejects with is an uncaught exception.
 *
 * @example
 * ```ts
 * import type { OnPing } from 'guise/netstack';
 *
 * const later: OnPing = () => new Promise((resolve) => setTimeout(resolve, 100, true));
 * ```
 */
export type OnPing = (request: PingRequest) => boolean | Promise<boolean>;

export interface PingRequestsOptions {
  readonly book: AddressBook;
  readonly onPing: OnPing;
  /** Answers a request. */
  readonly answer: (received: Received, message: Uint8Array) => void;
}

/** Bytes of a packet that say where an answer goes: the header of IPv6, and more than that of IPv4. */
const HEADER = 40;

export class PingRequests {
  readonly #options: PingRequestsOptions;
  /** Requests about which the user has not decided yet. */
  #undecided = 0;
  #closed = false;

  constructor(options: PingRequestsOptions) {
    this.#options = options;
  }

  /** @param message the ICMP message, which like the packet is the slab's */
  take(received: Received, message: Uint8Array): void {
    const { book, onPing, answer } = this.#options;
    if (this.#undecided >= NETSTACK_ICMP.undecidedPings) return;
    const { slab, packet, isIpv6 } = received;
    const source = book.source(slab, packet, isIpv6);
    const destination = book.destination(slab, packet, isIpv6);
    try {
      const decision = onPing({ source, destination, size: message.length - ICMP_HEADER });
      if (decision === true) answer(received, message);
      else if (decision !== false) void this.#wait(decision, keep(received), new Uint8Array(message));
    } catch (error) {
      rethrowLater(error);
    }
  }

  /** Nothing is answered any more. */
  close(): void {
    this.#closed = true;
  }

  async #wait(decision: Promise<boolean>, received: Received, message: Uint8Array): Promise<void> {
    this.#undecided++;
    try {
      if ((await decision) && !this.#closed) this.#options.answer(received, message);
    } catch (error) {
      rethrowLater(error);
    } finally {
      this.#undecided--;
    }
  }
}

/** The slab is used again. */
function keep({ slab, packet, size, isIpv6 }: Received): Received {
  return { slab: new Uint8Array(slab.subarray(packet, packet + HEADER)), packet: 0, size, isIpv6 };
}

function rethrowLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
