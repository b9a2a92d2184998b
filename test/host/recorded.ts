/**
 * What tools and the kernel said on real hosts: nftables 1.0.6, iproute2 6.1, Linux 6.18.
 *
 * `debian`: Debian's /etc/nftables.conf. `docker`: the rules that dockerd 24 makes at its start, by iptables-nft 1.8.9.
 * `ufw`: `ufw allow 22/tcp; ufw enable` of ufw 0.36.2. `firewalld`: firewalld 1.3.3 as installed. `oracle`: the
 * rules.v4 of Oracle's Ubuntu images, by iptables-nft. `opened`: its FORWARD chain, which guise has opened for tun0.
 * `none`: no rule at all.
 */
import { readFileSync } from 'node:fs';
import type { Listing } from '../../src/host/look/ruleset.js';
import type { InterfaceState } from '../../src/host/look/interfaces.js';

export function recorded(name: string): string {
  return readFileSync(new URL(`../../../test/host/recorded/${name}`, import.meta.url), 'utf8');
}

/** `nft -j list ruleset`. */
export function ruleset(name: string): Listing {
  return JSON.parse(recorded(`${name}.ruleset.json`)) as Listing;
}

/** `ip -json address`. */
export function interfaces(name: string): InterfaceState[] {
  return JSON.parse(recorded(`${name}.address.json`)) as InterfaceState[];
}
