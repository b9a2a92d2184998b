/**
 * What one connection finds out about its path: how large a packet it carries (path_mtu.ts), and whether segments come as
 * they left (boundaries.ts). It sends the probes of both, and tells the data plane the limit.
 */
import { isIPv4 } from 'node:net';
import type { Engine } from '../native/engine.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { Profile } from '../wire/profile.js';
import { Boundaries } from './boundaries.js';
import { PathMtu, type PathStep } from './path_mtu.js';
import type { SocketPath } from './socket_events.js';
import type { Turns } from './turns.js';

/** What the paths of a stack share. */
export interface PathHost {
  readonly engine: Pick<Engine, 'setPathLimit' | 'sendProbe' | 'flowSigns'>;
  /** Bytes of the largest IP packet of each connection. */
  readonly mtu: number;
  /** … that the host's routes carry to a remote address, where that is known. */
  routeMtu(remote: Endpoint): number | undefined;
}

/** The connection. */
export interface PathOwner {
  /** In the data plane. */
  readonly id: number;
  readonly remote: Endpoint;
  readonly profile: Profile;
  /** The limit, or whether larger datagrams arrive, is another one now. */
  pathChanged(): void;
}

/** What a handshake says of the path. */
export interface PathSigns {
  /** The peer's MSS: bytes of payload that it takes in one segment, undefined where it did not say. */
  readonly peerMss: number | undefined;
  /** There was a window that neither guise nor phantun sends. */
  readonly foreign: boolean;
}

export class FlowPath {
  readonly #owner: PathOwner;
  readonly #host: PathHost;
  /** While there is something to find out, or `mtu` of the host is not all that there is to say. */
  #limit: PathMtu | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Until it is known, or cannot be found out. */
  #boundaries: Boundaries | undefined;

  constructor(owner: PathOwner, host: PathHost) {
    this.#owner = owner;
    this.#host = host;
  }

  /** The connection is established. */
  begin({ peerMss, foreign }: PathSigns): void {
    const { id, profile } = this.#owner;
    const limit = this.#newLimit(peerMss);
    this.#host.engine.setPathLimit(id, limit);
    // Where `mtu` holds packets down, the peer never does: neither of the two changes.
    if (limit.reason !== 'own') this.#limit = limit;
    if (profile === 'guise') this.#boundaries = new Boundaries(limit.payload, foreign);
  }

  /** There is nothing that another object, made when it is wanted, would not know. */
  get isForgettable(): boolean {
    return !this.#limit && !this.#boundaries;
  }

  /** As users see it. */
  get known(): SocketPath {
    const { size, payload, fragments, reason, router } = this.#limit ?? this.#newLimit();
    return { mtu: size, datagram: payload, fragments, reason, ...(router === undefined ? {} : { router }) };
  }

  /** Whether a TCP proxy is the other end; to be asked when the peer ends the connection. */
  get isProxied(): boolean {
    return this.#boundaries?.isProxied(this.#received) ?? false;
  }

  /** A datagram has left that the path may not carry. */
  sentLarge(size: number, now: number): void {
    this.#onLimit((limit) => {
      const route = this.#host.routeMtu(this.#owner.remote);
      if (route !== undefined) limit.routeIs(route);
      return limit.sent(size, now);
    });
  }

  /** Somebody on the path has not passed on a segment that is under way; `mtu` is 0 where he does not say why. */
  tooBig(mtu: number, from: string, now: number): void {
    this.#onLimit((limit) => limit.tooBig(mtu, from, now));
  }

  /** The peer has had a probe. Whether it shows that something on the path cuts or joins segments. */
  probeAnswered(token: number, payload: number, now: number): boolean {
    if (Boundaries.asked(token)) return this.#boundaries?.answer(token, payload) ?? false;
    this.#onLimit((limit) => limit.answer(token, payload, now));
    return false;
  }

  /**
   * Asks the peer whether segments come as they left, where that is due: when to check next, or Infinity, and whether
   * something on the path cuts or joins them.
   */
  checkBoundaries(now: number, turns: Turns): { readonly next: number; readonly recut: boolean } {
    if (!this.#boundaries) return { next: Infinity, recut: false };
    const { probes, next, recut = false } = this.#boundaries.check(now, this.#received, turns);
    for (const probe of probes) this.#host.engine.sendProbe(this.#owner.id, probe);
    if (next === Infinity) this.#boundaries = undefined;
    return { next, recut };
  }

  /** Nothing more is to be found out. */
  end(): void {
    clearTimeout(this.#timer);
  }

  /** Segments that have come behind the handshake. */
  get #received(): number {
    return this.#host.engine.flowSigns(this.#owner.id).received;
  }

  #newLimit(peerMss?: number): PathMtu {
    const { remote, profile } = this.#owner;
    return new PathMtu({
      family: isIPv4(remote.address) ? 4 : 6,
      most: this.#host.mtu,
      route: this.#host.routeMtu(remote),
      peerMss,
      probes: profile === 'guise',
    });
  }

  /** Does what the limit wants when something is known of it; tells the data plane, and the owner, what is new. */
  #onLimit(happens: (limit: PathMtu) => PathStep): void {
    const limit = (this.#limit ??= this.#newLimit());
    const before = { payload: limit.payload, fragments: limit.fragments, watched: limit.watched };
    const { probes = [], wait } = happens(limit);
    const isOther = limit.payload !== before.payload || limit.fragments !== before.fragments;
    const { engine } = this.#host;
    const { id } = this.#owner;
    if (isOther || limit.watched !== before.watched) engine.setPathLimit(id, limit);
    for (const probe of probes) engine.sendProbe(id, probe);
    if (wait !== undefined) {
      clearTimeout(this.#timer);
      const onTime = (): void => this.#onLimit((each) => each.timeout(performance.now()));
      this.#timer = setTimeout(onTime, wait).unref();
    }
    if (isOther) this.#owner.pathChanged();
  }
}
