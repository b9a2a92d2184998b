/** Where a stack's connections end on this side: on addresses of its own, or on the host's. */
import { randomInt } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { constants } from 'node:os';
import { systemError } from '../errors.js';
import { holdPort, type HeldPort } from '../native/device.js';
import type { Engine } from '../native/engine.js';
import { CONNECTION, PATH } from '../policy.js';
import { overlap } from '../wire/address.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';

/** This side's end of one connection, or of those that are accepted on one port; kept until it is released, once. */
export interface LocalEnd {
  readonly local: Endpoint;
  readonly release: () => void;
}

export interface LocalEnds {
  /** A free end for a connection to `remote`; @throws {GuiseError} EADDRNOTAVAIL, or why the host has none */
  open(remote: Endpoint, isTaken: (local: Endpoint) => boolean): LocalEnd;
  /** A port to accept connections on; @throws {GuiseError} EADDRINUSE, EADDRNOTAVAIL, EACCES */
  listen(local: Endpoint): LocalEnd;
  /** Keeps what was listened on for a connection that was accepted there, also when nobody listens any more. */
  keep(listened: Endpoint): LocalEnd;
  /** Bytes of the largest packet that the host's routes carry to `remote`; undefined where they do not matter. */
  routeMtu(remote: Endpoint): number | undefined;
  /** The host's addresses have changed, and its routes with them, maybe. */
  follow(): void;
  /** Whether connections from this address have lost it. */
  isLost(address: string): boolean;
  /** Whether a segment of no connection to this end is answered here, and by nobody else. */
  answers(local: Endpoint): boolean;
}

/** Addresses that only the stack has: behind a TUN or a descriptor, all ports are its own. */
export class OwnEnds implements LocalEnds {
  readonly #addresses: readonly string[];
  readonly #routes: RouteMtus | undefined;

  /** @param routes of the host, where it forwards what comes from these addresses */
  constructor(addresses: readonly string[], routes?: Pick<Engine, 'route'>) {
    this.#addresses = addresses;
    this.#routes = routes && new RouteMtus(routes);
  }

  open(remote: Endpoint, isTaken: (local: Endpoint) => boolean): LocalEnd {
    const address = this.#addresses.find((each) => isIPv4(each) === isIPv4(remote.address));
    if (!address) throw systemError('EADDRNOTAVAIL', 'connect', remote);
    const ports = CONNECTION.lastPort - CONNECTION.firstPort + 1;
    const start = randomInt(ports);
    for (let i = 0; i < ports; i++) {
      const local = { address, port: CONNECTION.firstPort + ((start + i) % ports) };
      if (!isTaken(local)) return end(local);
    }
    throw systemError('EADDRNOTAVAIL', 'connect', remote);
  }

  listen(local: Endpoint): LocalEnd {
    return end(local);
  }

  keep(listened: Endpoint): LocalEnd {
    return end(listened);
  }

  routeMtu(remote: Endpoint): number | undefined {
    return this.#routes?.of(remote);
  }

  follow(): void {}

  isLost(): boolean {
    return false;
  }

  answers(): boolean {
    return true;
  }
}

/** What somebody uses, and how many do. */
interface Used<T> {
  readonly what: T;
  users: number;
}

/**
 * The host's own addresses. The kernel chooses source address and port as for its own connections, and holds each port
 * for us; what comes from elsewhere than our remotes, and to other ports than ours, is not even read.
 */
export class HostEnds implements LocalEnds {
  readonly #engine: Pick<Engine, 'pass' | 'route' | 'lastSyscall'>;
  readonly #mtus: RouteMtus;
  /** What is held for listeners, and for what was accepted there; both by `formatEndpoint`. */
  readonly #listened = new Map<string, Used<{ readonly local: Endpoint; readonly held: HeldPort }>>();
  readonly #remotes = new Map<string, Used<Endpoint>>();

  constructor(engine: Pick<Engine, 'pass' | 'route' | 'lastSyscall'>) {
    this.#engine = engine;
    this.#mtus = new RouteMtus(engine);
  }

  open(remote: Endpoint): LocalEnd {
    const route = this.#engine.route(remote);
    if (typeof route === 'number') throw systemError(route, 'connect', remote);
    const held = holdPort({ address: isIPv4(remote.address) ? '0.0.0.0' : '::', port: 0 });
    if ('errno' in held) throw systemError(held.errno, held.syscall, remote);
    const name = formatEndpoint(remote);
    this.#useWith(held, this.#remotes, name, remote);
    return end({ address: route.source, port: held.port }, () => {
      held.release();
      this.#letGo(this.#remotes, name);
    });
  }

  listen(local: Endpoint): LocalEnd {
    // Of a listener that was closed its connections may still have it.
    if (this.#listened.has(formatEndpoint(local))) return this.keep(local);
    const held = holdPort(local);
    if ('errno' in held) throw systemError(held.errno, held.syscall, local);
    return this.#share({ ...local, port: held.port }, held);
  }

  keep(listened: Endpoint): LocalEnd {
    return this.#share(listened, this.#listened.get(formatEndpoint(listened))!.what.held);
  }

  routeMtu(remote: Endpoint): number | undefined {
    return this.#mtus.of(remote);
  }

  /** What leaves by routes, as probes do, must not be led into a tunnel that has come up over a connection. */
  follow(): void {
    for (const { what } of this.#remotes.values()) this.#engine.route(what);
  }

  isLost(address: string): boolean {
    const held = holdPort({ address, port: 0 });
    if ('errno' in held) return held.errno === -constants.errno.EADDRNOTAVAIL;
    held.release();
    return false;
  }

  answers({ address, port }: Endpoint): boolean {
    return Array.from(this.#listened.values(), ({ what }) => what.local).some(
      (each) => each.port === port && overlap(each.address, address),
    );
  }

  #share(local: Endpoint, held: HeldPort): LocalEnd {
    const name = formatEndpoint(local);
    this.#useWith(held, this.#listened, name, { local, held });
    return end(local, () => {
      if (this.#letGo(this.#listened, name)) held.release();
    });
  }

  /** The port is let go when what it is for cannot be read. */
  #useWith<K, T>(held: HeldPort, all: Map<K, Used<T>>, key: K, what: T): void {
    const known = all.get(key);
    if (known) {
      known.users++;
      return;
    }
    all.set(key, { what, users: 1 });
    try {
      this.#pass();
    } catch (error) {
      all.delete(key);
      held.release();
      throw error;
    }
  }

  /** Whether nobody uses it any more. */
  #letGo<K, T>(all: Map<K, Used<T>>, key: K): boolean {
    const used = all.get(key)!;
    if (--used.users > 0) return false;
    all.delete(key);
    this.#pass();
    return true;
  }

  #pass(): void {
    const ports = new Set(Array.from(this.#listened.values(), ({ what }) => what.local.port));
    const remotes = Array.from(this.#remotes.values(), ({ what }) => what);
    // EBADF: the engine is closed, and reads nothing any more.
    const error = this.#engine.pass([...ports], remotes);
    if (error < 0 && error !== -constants.errno.EBADF) throw systemError(error, this.#engine.lastSyscall);
  }
}

/** What the host's routes carry, asked anew after a while. */
class RouteMtus {
  readonly #engine: Pick<Engine, 'route'>;
  /** By remote address. */
  readonly #known = new Map<string, number | undefined>();
  #since = 0;

  constructor(engine: Pick<Engine, 'route'>) {
    this.#engine = engine;
  }

  /** Bytes of the largest packet; undefined where there is no route now. */
  of(remote: Endpoint): number | undefined {
    const now = performance.now();
    if (now - this.#since > PATH.routeFresh) {
      this.#known.clear();
      this.#since = now;
    }
    if (!this.#known.has(remote.address)) {
      const route = this.#engine.route(remote);
      this.#known.set(remote.address, typeof route === 'number' ? undefined : route.mtu);
    }
    return this.#known.get(remote.address);
  }
}

function end(local: Endpoint, release: () => void = () => {}): LocalEnd {
  return { local, release };
}
