/**
 * What is known of an open that has not succeeded: facts in, causes out, which errors.ts makes a sentence of. No I/O, no
 * clock, no randomness.
 */
import type { ConnectCause, ConnectTrouble } from '../errors.js';

/** How this host sends to the server; `errno`'s name where it has no route. */
export type Leaving =
  | {
      readonly source: string;
      readonly interface: string;
      readonly nextHop: string;
      readonly isGateway: boolean;
      readonly isSilent: boolean;
    }
  | { readonly noRoute: string };

export type ConnectFact =
  /** A SYN was given to the kernel. */
  | { readonly type: 'syn' }
  /** The kernel did not send one: the name of an errno. */
  | { readonly type: 'unsent'; readonly code: string }
  /** An ICMP or ICMPv6 error that quotes a SYN: what it says, and who. */
  | { readonly type: 'unreachable'; readonly from: string; readonly what: string }
  /** A SYN-ACK or a RST that does not answer the SYN. */
  | { readonly type: 'strange'; readonly what: 'SYN-ACK' | 'RST' }
  /** An answer to the SYN that came to another port of this host. */
  | { readonly type: 'otherPort'; readonly port: number }
  /** A RST that answers the SYN, with what is left of its TTL. */
  | { readonly type: 'reset'; readonly hopLimit: number };

/** What senders put into the TTL of what they send: Linux and most others, Windows, and network equipment. */
const FIRST_HOP_LIMITS = [64, 128, 255];
/** Routers by which two ways of one sender may differ. */
const DETOUR = 3;

/** Routers that a packet has come through, as far as its TTL tells. */
export function hopsOf(hopLimit: number): number {
  return FIRST_HOP_LIMITS.find((each) => each >= hopLimit)! - hopLimit;
}

export class ConnectEvidence {
  #syns = 0;
  readonly #unsent = new Map<string, number>();
  readonly #unreachable = new Map<string, string>();
  readonly #strange = new Set<string>();
  #otherPort: number | undefined;
  #resetHopLimit: number | undefined;

  add(fact: ConnectFact): void {
    switch (fact.type) {
      case 'syn':
        this.#syns++;
        return;
      case 'unsent':
        this.#unsent.set(fact.code, (this.#unsent.get(fact.code) ?? 0) + 1);
        return;
      case 'unreachable':
        this.#unreachable.set(fact.from, fact.what);
        return;
      case 'strange':
        this.#strange.add(fact.what);
        return;
      case 'otherPort':
        this.#otherPort = fact.port;
        return;
      case 'reset':
        this.#resetHopLimit = fact.hopLimit;
        return;
    }
  }

  /** Of an open that nobody has answered. */
  unanswered(leaving: Leaving | undefined): ConnectTrouble {
    const causes: ConnectCause[] = [];
    for (const [code, count] of this.#unsent) {
      if (leaving && 'noRoute' in leaving && leaving.noRoute === code) continue;
      causes.push(code === 'EPERM' ? { cause: 'ownFirewall' } : { cause: 'unsent', details: { count, code } });
    }
    if (leaving && 'noRoute' in leaving) causes.push({ cause: 'noRoute', details: { code: leaving.noRoute } });
    else if (leaving?.isSilent) {
      causes.push({ cause: 'silentHop', details: { hop: leaving.nextHop, interface: leaving.interface } });
    }
    for (const [from, what] of this.#unreachable) causes.push({ cause: 'unreachable', details: { from, what } });
    if (this.#otherPort !== undefined) causes.push({ cause: 'otherPort', details: { port: this.#otherPort } });
    if (this.#strange.size > 0) {
      causes.push({ cause: 'strange', details: { what: [...this.#strange].join('s and ') } });
    }
    return { syns: this.#syns, ...(leaving && 'source' in leaving ? { leaving } : {}), causes };
  }

  /**
   * Of an open that was refused by a RST.
   *
   * @param known the TTL of what the server had sent at another time
   */
  refused(leaving: Leaving | undefined, known: number | undefined): ConnectTrouble {
    const hopLimit = this.#resetHopLimit;
    const causes: ConnectCause[] = [];
    if (hopLimit !== undefined && known !== undefined && Math.abs(hopsOf(hopLimit) - hopsOf(known)) > DETOUR) {
      causes.push({ cause: 'otherSender', details: { hops: hopsOf(hopLimit), known: hopsOf(known) } });
    } else if (
      hopLimit !== undefined &&
      hopsOf(hopLimit) === 0 &&
      leaving &&
      'source' in leaving &&
      leaving.isGateway
    ) {
      causes.push({ cause: 'resetByNextHop', details: { hop: leaving.nextHop, hopLimit } });
    }
    return { syns: this.#syns, causes };
  }
}
