/** The NAT that leads a tunnel's packets to the network, or those of its port to the tunnel. */

export interface FirewallOptions {
  readonly role: 'client' | 'server';
  readonly tun: string;
  readonly peer4: string;
  readonly peer6?: string;
  /** The server's TCP port. */
  readonly port?: number;
}

/** The table as `nft -f` takes it. */
export function rules({ role, tun, peer4, peer6, port }: FirewallOptions, flags = ''): string {
  const nat =
    role === 'client'
      ? [
          'chain postrouting {',
          '  type nat hook postrouting priority srcnat; policy accept;',
          `  oifname != "${tun}" ip saddr ${peer4} masquerade`,
          ...(peer6 ? [`  oifname != "${tun}" ip6 saddr ${peer6} masquerade`] : []),
          '}',
        ]
      : [
          'chain prerouting {',
          '  type nat hook prerouting priority dstnat; policy accept;',
          `  iifname != "${tun}" fib daddr type local meta nfproto ipv4 tcp dport ${port} dnat ip to ${peer4}`,
          ...(peer6
            ? [`  iifname != "${tun}" fib daddr type local meta nfproto ipv6 tcp dport ${port} dnat ip6 to ${peer6}`]
            : []),
          '}',
        ];
  return [
    `table inet ${tableName(tun)} {`,
    ...[...(flags ? [`flags ${flags}`] : []), ...nat].map((line) => `  ${line}`),
    '}',
  ].join('\n');
}

export function tableName(tun: string): string {
  return `guise_${tun.replaceAll(/[^A-Za-z0-9_]/g, '_')}`;
}
