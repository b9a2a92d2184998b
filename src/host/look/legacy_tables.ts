/**
 * Tables of iptables as it was before nftables, which `nft` does not see: a kernel runs both, one after the other. Looks,
 * and changes nothing.
 */
import { readFile } from 'node:fs/promises';

/** Where the kernel names the tables that a network namespace has, for root. */
const NAMES = {
  'iptables-legacy': '/proc/net/ip_tables_names',
  'ip6tables-legacy': '/proc/net/ip6_tables_names',
} as const;

/** Those that may stop what is forwarded, and the one that may lead it elsewhere. */
const FORWARDING: readonly string[] = ['filter', 'mangle', 'security'];
const NAT = 'nat';

export interface LegacyTable {
  /** What changes it. */
  readonly program: string;
  readonly table: string;
  readonly may: 'stop' | 'redirect';
}

/** Tables that may have rules for a tunnel's packets. Empty where nobody may know: only root may. */
export async function readLegacyTables(): Promise<LegacyTable[]> {
  const found: LegacyTable[] = [];
  for (const [program, path] of Object.entries(NAMES)) {
    const names = await readFile(path, 'utf8').catch(() => '');
    for (const table of names.split('\n')) {
      if (FORWARDING.includes(table)) found.push({ program, table, may: 'stop' });
      if (table === NAT) found.push({ program, table, may: 'redirect' });
    }
  }
  return found;
}
