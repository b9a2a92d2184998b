/**
 * How large a packet the path of one connection carries: what is known at its start, what routers say, and what probes
 * find out where routers say nothing (RFC 1191, RFC 8201, RFC 8899 in spirit). No I/O, no clock.
 */
import { PATH } from '../policy.js';
import type { PathProbe } from '../native/types.js';

/** Bytes of the IP and the TCP header in front of a datagram. */
export function headersOf(family: 4 | 6): number {
  return family === 4 ? 40 : 60;
}

/** What holds packets down: this side's `mtu`, the host's route, the peer's SYN, a router, or what probes found. */
export type PathLimitReason = 'own' | 'route' | 'peer' | 'router' | 'probe';

/** What is to be done next. */
export interface PathStep {
  readonly probes?: readonly PathProbe[];
  /** Milliseconds after which to call `timeout`, instead of at the time asked for before. */
  readonly wait?: number;
}

export interface PathMtuInit {
  readonly family: 4 | 6;
  /** Bytes of the largest packet that this side is told to send. */
  readonly most: number;
  /** … that the host's route carries, where that is known. */
  readonly route: number | undefined;
  /** Bytes of the largest segment that the peer's SYN asks for. */
  readonly peerMss: number | undefined;
  /** The peer answers probes. */
  readonly probes: boolean;
}

interface Learned {
  readonly size: number;
  readonly reason: 'router' | 'probe';
  /** The router that said so. */
  readonly from?: string;
  readonly at: number;
}

/**
 * `watching` for a large datagram; `resting` after what was found out holds for a while; `confirming` that packets of
 * the limit arrive; `searching` for the largest that do; `cutting`: whether fragments arrive.
 */
type Phase = 'watching' | 'resting' | 'confirming' | 'searching' | 'cutting';

const NOTHING: PathStep = {};
/** Bytes by which a probe that is to be cut is larger than what leaves in one packet. */
const CUT = 100;
/** Bytes of a probe that asks only whether probes are answered. */
const SMALL = 24;
/** Bytes of the largest IP packet: its length has 16 bits. */
const LARGEST_PACKET = 65_535;

export class PathMtu {
  readonly #family: 4 | 6;
  readonly #headers: number;
  readonly #least: number;
  readonly #most: number;
  readonly #peer: number;
  readonly #answersProbes: boolean;
  #route: number;
  #learned: Learned | undefined;
  #phase: Phase = 'watching';
  /** Of the phase. */
  #tries = 0;
  #smallAnswers = 0;
  /** Bytes of the largest probe that was answered, as a packet. */
  #best = 0;
  #fragmentsPass: boolean | undefined;
  /** When they were found not to. */
  #cutAt = 0;
  #token = 0;
  /** The first of the phase: answers to earlier ones tell of something else. */
  #phaseToken = 0;
  /** When the probes of the last round left, and the first of their tokens. */
  #sentAt = 0;
  #firstToken = 0;
  /** Milliseconds of a round trip, as measured last. */
  #roundTrip: number | undefined;

  constructor({ family, most, route, peerMss, probes }: PathMtuInit) {
    this.#family = family;
    this.#headers = headersOf(family);
    this.#least = Math.min(most, family === 4 ? PATH.least4 : PATH.least6);
    this.#most = most;
    this.#route = Math.max(this.#least, route ?? Infinity);
    this.#peer = peerMss === undefined ? Infinity : peerMss + this.#headers;
    this.#answersProbes = probes;
  }

  /** Bytes of the largest IP packet that is sent. */
  get size(): number {
    return Math.min(this.#known, this.#learned?.size ?? Infinity);
  }

  /** Bytes of the largest datagram that leaves in one packet. */
  get payload(): number {
    return this.size - this.#headers;
  }

  /** Larger datagrams are sent in fragments; else they are dropped. */
  get fragments(): boolean {
    return this.#family === 4 && this.#fragmentsPass !== false;
  }

  get reason(): PathLimitReason {
    const { size } = this;
    if (this.#learned?.size === size) return this.#learned.reason;
    if (this.#most === size) return 'own';
    return this.#route === size ? 'route' : 'peer';
  }

  /** The router that holds packets down. */
  get router(): string | undefined {
    return this.reason === 'router' ? this.#learned?.from : undefined;
  }

  /** Bytes of a datagram above which `sent` is to be told; undefined while it need not. */
  get watched(): number | undefined {
    return this.#phase === 'watching' ? this.#least - this.#headers : undefined;
  }

  /** The host's route carries packets of this size now. */
  routeIs(size: number): void {
    this.#route = Math.max(this.#least, size);
  }

  /**
   * A router has not passed on a packet, since the next link carries no more than `size` bytes; 0 where it does not say.
   * The caller knows that it speaks of a packet of this connection.
   */
  tooBig(size: number, from: string, now: number): PathStep {
    const said = size > 0 ? size : (PATH.sizes.find((each) => each < this.size) ?? this.#least);
    if (said < this.size) this.#learned = { size: Math.max(this.#least, said), reason: 'router', from, at: now };
    return NOTHING;
  }

  /** A datagram has been sent that `watched` asks for. */
  sent(payload: number, now: number): PathStep {
    if (this.#phase !== 'watching') return NOTHING;
    const isOld = this.#learned !== undefined && now - this.#learned.at >= PATH.learnedFor;
    if (!this.#answersProbes) {
      if (isOld) this.#learned = undefined;
      return this.#rest();
    }
    if (isOld) return this.#enter('searching', now);
    const isCut = this.#family === 4 && payload > this.payload;
    return this.#enter(isCut && this.#asksForFragments(now) ? 'cutting' : 'confirming', now);
  }

  /** A probe has been answered: `payload` bytes of it came in one segment. */
  answer(token: number, payload: number, now: number): PathStep {
    if (this.#phase === 'watching' || this.#phase === 'resting' || token < this.#phaseToken) return NOTHING;
    if (token >= this.#firstToken) this.#roundTrip = now - this.#sentAt;
    if (payload === SMALL) this.#smallAnswers++;
    else this.#best = Math.max(this.#best, payload + this.#headers);
    if (this.#phase === 'confirming' && this.#best >= this.size) return this.#rest();
    if (this.#phase === 'cutting' && this.#best > this.size) {
      this.#fragmentsPass = true;
      return this.#enter('confirming', now);
    }
    return NOTHING;
  }

  timeout(now: number): PathStep {
    if (this.#phase === 'resting' || this.#phase === 'watching') {
      this.#phase = 'watching';
      return NOTHING;
    }
    if (this.#tries < (this.#phase === 'searching' ? PATH.searches : PATH.tries)) return this.#try(now);
    // Without an answer to small ones nothing is known: the path is down, or swallows probes of any size.
    const isKnown = this.#smallAnswers >= PATH.smallAnswers;
    if (this.#phase === 'searching') return this.#found(now);
    if (this.#phase === 'cutting') {
      if (isKnown) {
        this.#fragmentsPass = false;
        this.#cutAt = now;
      }
      return this.#enter('confirming', now);
    }
    return isKnown ? this.#enter('searching', now) : this.#rest();
  }

  /** Bytes of the largest packet as far as it is known without routers and probes. */
  get #known(): number {
    return Math.max(this.#least, Math.min(this.#most, this.#route, this.#peer));
  }

  /** Whether it is not known if fragments arrive, or not any more. */
  #asksForFragments(now: number): boolean {
    return this.#fragmentsPass === undefined || (!this.#fragmentsPass && now - this.#cutAt >= PATH.learnedFor);
  }

  #enter(phase: Exclude<Phase, 'watching' | 'resting'>, now: number): PathStep {
    this.#phase = phase;
    this.#phaseToken = this.#token + 1;
    this.#tries = this.#smallAnswers = this.#best = 0;
    return this.#try(now);
  }

  #rest(): PathStep {
    this.#phase = 'resting';
    return { wait: PATH.rest };
  }

  #try(now: number): PathStep {
    this.#tries++;
    this.#sentAt = now;
    this.#firstToken = this.#token + 1;
    const largest = LARGEST_PACKET - this.#headers;
    const span = Math.min(this.#most - this.#headers + CUT, largest);
    const probe = (size: number, fragment = false): PathProbe => ({ token: ++this.#token, size, span, fragment });
    const wait = Math.min(PATH.longestWait, Math.max(PATH.shortestWait, 2 * (this.#roundTrip ?? PATH.firstWait / 2)));
    const sized = (size: number): PathProbe => probe(size - this.#headers);
    const probes =
      this.#phase === 'searching'
        ? this.#candidates.map(sized)
        : this.#phase === 'cutting'
          ? [probe(Math.min(this.payload + CUT, largest), true)]
          : [sized(this.size)];
    return { probes: [...probes, probe(SMALL)], wait };
  }

  /** Sizes of packets to search among, the largest first: that of now may be one that no other path has. */
  get #candidates(): readonly number[] {
    const known = this.#known;
    const between = [...PATH.sizes, this.size].filter((size) => size < known && size > this.#least);
    return [known, ...[...new Set(between)].sort((a, b) => b - a), this.#least];
  }

  #found(now: number): PathStep {
    if (this.#best >= this.#known) this.#learned = undefined;
    else if (this.#best === this.#learned?.size) this.#learned = { ...this.#learned, at: now };
    else if (this.#best > 0 || this.#smallAnswers >= PATH.smallAnswers)
      this.#learned = { size: Math.max(this.#best, this.#least), reason: 'probe', at: now };
    // Whether they arrive may have changed with the path.
    this.#fragmentsPass = undefined;
    return this.#rest();
  }
}
