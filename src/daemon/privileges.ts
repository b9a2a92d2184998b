/** What the programs may still do once they have read everything that they need to read. */
import { getSystemErrorName } from 'node:util';
import { filterSystemCalls, limitCapabilities } from '../native/process.js';

/**
 * By their numbers in linux/capability.h. A deleted interface is made again, its addresses, rules and forwarding with
 * it; a UDP port below 1024 is bound again then.
 */
const NEEDED = { CAP_NET_BIND_SERVICE: 10, CAP_NET_ADMIN: 12 };

/**
 * Keeps the capabilities that are needed, of those that there are, and gives up everything else: for this process and
 * for the tools that it starts from now on. Root itself cannot read the files of other users any more.
 *
 * @returns what is left, for the start block
 */
export function dropPrivileges(): string {
  const needed = Object.values(NEEDED).reduce((mask, number) => mask | (1 << number), 0);
  const kept = limitCapabilities(needed);
  const filtered = filterSystemCalls();
  const names = Object.entries(NEEDED)
    .filter(([, number]) => kept & (1 << number))
    .map(([name]) => name);
  const capabilities =
    kept < 0 ? `some thread keeps all (${getSystemErrorName(kept)})` : `keeps ${names.join(', ') || 'no capability'}`;
  const calls = filtered < 0 ? `not filtered (${getSystemErrorName(filtered)})` : 'filtered';
  return `privileges: ${capabilities}; no_new_privs, system calls ${calls}`;
}
