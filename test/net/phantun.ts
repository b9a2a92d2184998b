/** The real phantun, where `PHANTUN_BIN` names a folder with its client and server. */
import type { Host } from './rig.js';

export const phantunFolder = process.env['PHANTUN_BIN'] ?? '';

/** What phantun leaves to its user: forwarding, and the masquerade of its client's address. */
export async function natForPhantunClient(host: Host): Promise<void> {
  await nat(host, 'chain nat { type nat hook postrouting priority srcnat; ip saddr 192.168.200.2 masquerade; };');
}

/** The same for its server: the port leads to its address. */
export async function natForPhantunServer(host: Host): Promise<void> {
  await nat(
    host,
    `chain nat { type nat hook prerouting priority dstnat;
    iifname "eth0" tcp dport 4567 dnat ip to 192.168.201.2; };`,
  );
}

async function nat(host: Host, chain: string): Promise<void> {
  await host.sysctl('net.ipv4.ip_forward', 1);
  await host.nft(`table inet manual { ${chain} }`);
}
