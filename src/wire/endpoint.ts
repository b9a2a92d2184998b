import { isIPv6 } from 'node:net';

/**
 * An IP address and a port.
 *
 * @example
 * ```ts
 * import type { Endpoint, Socket } from 'guise';
 *
 * declare const socket: Socket;
 * const wireGuard: Endpoint = { address: '127.0.0.1', port: 51820 };
 * socket.spliceUdp(wireGuard);
 * ```
 */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** `host` is an IP address in the kernel's spelling, or a name in ASCII. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** 1.2.3.4:80 or [2001:db8::1]:80. */
export function formatEndpoint({ address, port }: Endpoint): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}
