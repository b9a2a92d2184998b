/** Whether a packet of no known flow is taken: it is for an address of the stack's, and the filters let it pass. */
import { NETSTACK_ADDRESSES } from '../../policy.js';
import { normalAddress } from '../../wire/address.js';
import { AddressWords, type AddressBook } from './addresses.js';
import type { Filter } from './filter.js';

export const VERDICT = { passes: 1, filtered: 2, notOurs: 3 } as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

export interface AdmissionOptions {
  readonly book: AddressBook;
  readonly filters: readonly Filter[];
  /** The stack's own; undefined: every address is. */
  readonly addresses: readonly string[] | undefined;
}

/** Words of both addresses. */
const PAIR = 8;

export class Admission {
  readonly #book: AddressBook;
  readonly #filters: readonly Filter[];
  readonly #own: ReadonlySet<string> | undefined;
  /** What was decided of two addresses, in slots that the newest takes: as many as there are, no more. */
  readonly #pairs = new Int32Array(PAIR * NETSTACK_ADDRESSES.verdicts);
  readonly #verdicts = new Uint8Array(NETSTACK_ADDRESSES.verdicts);
  readonly #source = new AddressWords();
  readonly #destination = new AddressWords();

  constructor({ book, filters, addresses }: AdmissionOptions) {
    this.#book = book;
    this.#filters = filters;
    this.#own = addresses && new Set(addresses.map(normalAddress));
  }

  /** Whether an address is the stack's. */
  owns(address: string): boolean {
    return this.#own?.has(address) ?? true;
  }

  /** @param packet where its IP header begins in `slab` */
  judge(slab: Uint8Array, packet: number, isIpv6: boolean): Verdict {
    const source = this.#source.readSource(slab, packet, isIpv6);
    const destination = this.#destination.readDestination(slab, packet, isIpv6);
    const slot = (source.hash ^ Math.imul(destination.hash, 0x9e3779b1)) & (NETSTACK_ADDRESSES.verdicts - 1);
    const known = this.#verdicts[slot]!;
    if (known !== 0 && this.#isOf(PAIR * slot)) return known as Verdict;
    const verdict = this.#decide(this.#book.name(source), this.#book.name(destination));
    this.#keep(slot, verdict);
    return verdict;
  }

  #decide(source: string, destination: string): Verdict {
    try {
      if (!this.#filters.every((passes) => passes(source, destination))) return VERDICT.filtered;
    } catch (error) {
      // The filter's own fault stops nobody else's packets.
      process.nextTick(() => {
        throw error;
      });
      return VERDICT.filtered;
    }
    return this.owns(destination) ? VERDICT.passes : VERDICT.notOurs;
  }

  #isOf(at: number): boolean {
    const pairs = this.#pairs;
    const source = this.#source;
    const destination = this.#destination;
    return (
      pairs[at + 3] === source.d &&
      pairs[at + 7] === destination.d &&
      pairs[at + 2] === source.c &&
      pairs[at + 6] === destination.c &&
      pairs[at + 1] === source.b &&
      pairs[at + 5] === destination.b &&
      pairs[at] === source.a &&
      pairs[at + 4] === destination.a
    );
  }

  #keep(slot: number, verdict: Verdict): void {
    const source = this.#source;
    const destination = this.#destination;
    this.#pairs.set([source.a, source.b, source.c, source.d], PAIR * slot);
    this.#pairs.set([destination.a, destination.b, destination.c, destination.d], PAIR * slot + 4);
    this.#verdicts[slot] = verdict;
  }
}
