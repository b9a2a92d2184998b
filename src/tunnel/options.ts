import type { TunAddresses } from '../host/look/interfaces.js';
import type { Log } from '../observe/log.js';
import type { Endpoint, HostPort } from '../wire/endpoint.js';
import type { Profile } from '../wire/profile.js';

/** What client and server have in common. Times in milliseconds, sizes in bytes. */
export interface TunnelOptions {
  /** What the tunnel is called among others; its role if left out. */
  readonly name?: string;
  readonly remote: HostPort;
  /** What segments go through: packet sockets, a TUN, or the first of the two that can be had. */
  readonly device: 'auto' | 'packet' | 'tun';
  /** The mark of what finds its way by the host's routes, with packet sockets. */
  readonly fwmark?: number;
  /** The interface that connections are opened by, with packet sockets. */
  readonly bindDevice?: string;
  /** Name of the TUN interface; the kernel picks one if left out. */
  readonly tun?: string;
  /** Both ends of the interface, as far as they are given, and the first choice otherwise. */
  readonly tunAddresses: Partial<TunAddresses>;
  readonly usualAddresses: Required<TunAddresses>;
  readonly ipv4Only: boolean;
  /** Sent as the first data segment of each connection, before any datagram. */
  readonly handshakePacket?: Uint8Array;
  readonly idleTimeout: number;
  /** RSTs do not end established connections. */
  readonly ignoreRst: boolean;
  /** Workers, a thread each, and queues of the TUN; one for two processors if left out. */
  readonly queues?: number;
  readonly offload: boolean;
  readonly firewall: boolean;
  readonly mtu: number;
  readonly log: Log;
  /** Stops the tunnel: every connection is closed and every rule undone. */
  readonly signal?: AbortSignal;
}

export interface ClientOptions extends TunnelOptions {
  /** UDP address that applications send to. */
  readonly local: Endpoint;
  readonly connectTimeout: number;
  /** A connection without traffic is probed after this time, so that routers keep it. */
  readonly keepalive: number;
  /** A server that is sent datagrams and says nothing for this time is probed, and given up soon after. */
  readonly deadAfter: number;
  readonly profile: Profile | 'auto';
}

export interface ServerOptions extends TunnelOptions {
  /** TCP port, of an address of the host, or of all: `::`, of IPv4 `0.0.0.0`. */
  readonly local: Endpoint;
}
