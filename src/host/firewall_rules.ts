/** The NAT that leads a tunnel's packets to the network, or those of its port to the tunnel. */
import { isIPv6 } from 'node:net';
import type { Endpoint } from '../wire/endpoint.js';

export interface FirewallOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly peer4: string;
  readonly peer6?: string;
  /** The server's TCP port. */
  readonly listening?: Endpoint;
}

/** The table as `nft -f` takes it. */
export function rules({ role, tun, peer4, peer6, listening }: FirewallOptions, flags = ''): string {
  const nat =
    role === 'client'
      ? [
          'chain postrouting {',
          '  type nat hook postrouting priority srcnat; policy accept;',
          `  oifname != "${tun}" ip saddr ${peer4} counter masquerade`,
          ...(peer6 ? [`  oifname != "${tun}" ip6 saddr ${peer6} counter masquerade`] : []),
          '}',
        ]
      : [
          'chain prerouting {',
          '  type nat hook prerouting priority dstnat; policy accept;',
          ...redirection('ip', tun, listening!, peer4),
          ...(peer6 ? redirection('ip6', tun, listening!, peer6) : []),
          '}',
        ];
  return [
    `table inet ${tableName(tun)} {`,
    ...[...(flags ? [`flags ${flags}`] : []), ...nat].map((line) => `  ${line}`),
    '}',
  ].join('\n');
}

/** From the port of an address of the host, or of all, to the stack's. */
function redirection(family: 'ip' | 'ip6', tun: string, { address, port }: Endpoint, peer: string): string[] {
  const all = address === '::' || address === '0.0.0.0';
  if ((all ? address === '0.0.0.0' : !isIPv6(address)) && family === 'ip6') return [];
  if (!all && isIPv6(address) && family === 'ip') return [];
  const which = all ? `meta nfproto ipv${family === 'ip' ? 4 : 6}` : `${family} daddr ${address}`;
  return [`  iifname != "${tun}" fib daddr type local ${which} tcp dport ${port} dnat ${family} to ${peer}`];
}

const TABLE = 'guise_';

export function tableName(tun: string): string {
  return `${TABLE}${tun.replaceAll(/[^A-Za-z0-9_]/g, '_')}`;
}

export function isTableOfGuise(name: string): boolean {
  return name.startsWith(TABLE);
}
