/** What the programs may still do once they have read everything that they need to read. */
import { getSystemErrorName } from 'node:util';
import { filterSystemCalls, limitCapabilities } from '../native/process.js';

/** By their numbers in linux/capability.h. */
const CAPABILITIES = { CAP_SETPCAP: 8, CAP_NET_BIND_SERVICE: 10, CAP_NET_ADMIN: 12, CAP_NET_RAW: 13 };

/**
 * `tun`: to set up a TUN, and again when it is deleted, with addresses, rules and forwarding, and a UDP port below 1024.
 * `openPackets`: to open packet sockets, with large buffers and a mark, and to give up the rest afterwards. `packet`:
 * nothing is needed once they are open.
 */
const NEEDED = {
  tun: ['CAP_NET_BIND_SERVICE', 'CAP_NET_ADMIN'],
  openPackets: ['CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_NET_ADMIN', 'CAP_NET_RAW'],
  packet: [],
} as const satisfies Record<string, readonly (keyof typeof CAPABILITIES)[]>;

export type Stage = keyof typeof NEEDED;

/** What came of filtering system calls: a second filter would only cost. */
let filtered: number | undefined;

/**
 * Keeps the capabilities that are needed, of those that there are, and gives up everything else: for this process and
 * for the tools that it starts from now on. Root itself cannot read the files of other users any more.
 *
 * @returns what is left, for the start block
 */
export function dropPrivileges(stage: Stage): string {
  const needed = NEEDED[stage].reduce((mask, name) => mask | (1 << CAPABILITIES[name]), 0);
  const kept = limitCapabilities(needed);
  filtered ??= filterSystemCalls();
  const names = Object.entries(CAPABILITIES)
    .filter(([, number]) => kept & (1 << number))
    .map(([name]) => name);
  const capabilities =
    kept < 0 ? `some thread keeps all (${getSystemErrorName(kept)})` : `keeps ${names.join(', ') || 'no capability'}`;
  const calls = filtered < 0 ? `not filtered (${getSystemErrorName(filtered)})` : 'filtered';
  return `privileges: ${capabilities}; no_new_privs, system calls ${calls}`;
}
