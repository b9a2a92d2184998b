/** What tunnels of tests have in common: no host is set up, the stack is on a descriptor. */
import type { TunnelOptions } from '../../src/tunnel/options.js';

const UNUSED = { local4: '', peer4: '', local6: '', peer6: '' };

export const TUNNEL_OPTIONS = {
  device: 'tun',
  tunAddresses: {},
  usualAddresses: UNUSED,
  ipv4Only: true,
  idleTimeout: 60_000,
  ignoreRst: false,
  offload: false,
  firewall: false,
  mtu: 1500,
} as const satisfies Omit<TunnelOptions, 'remote' | 'log'>;
