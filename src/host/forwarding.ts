/** Lets the kernel forward between the TUN and the network; what was is put back when no guise needs it any more. */
import { guiseError, programMissing, type GuiseError } from '../errors.js';
import { hasIPv6, isOn, refusalOf, sysctlPath } from './look/sysctls.js';
import { UndoChild } from './undo_child.js';
import type { HostPart } from './upkeep.js';

/**
 * Those guises for which a sysctl was switched on share a lock on its file, which is another one in each network
 * namespace; the lock goes with its holder. The last to let go has the file for itself, and switches it off. A sysctl
 * that is on while nobody has the lock is none of our business. The second try is for a guise that has just asked.
 *
 * Where IPv6 is forwarded, Linux takes no default route from router advertisements, and drops those that it has, unless
 * accept_ra is 2 (net/ipv6/addrconf.c, addrconf_fixup_forwarding; net/ipv6/route.c, rt6_purge_dflt_routers). So it is 2
 * from before on, for interfaces that have such a route.
 */
const HOLD = `
command -v flock >&2 || { echo missing; exit; }
exec 9<"$1"
if [ "$(cat "$1")" != 0 ] && flock -n 9; then echo free; exit; fi
flock -s 9
kept=
if [ "$(cat "$1")" != 0 ]; then echo shared
else
  if [ "$2" = ipv6 ]; then
    for each in $(ip -6 route show default proto ra | sed 's/.* dev \\([^ ]*\\).*/\\1/' | sort -u); do
      file=/proc/sys/net/ipv6/conf/$each/accept_ra
      [ "$(cat "$file")" = 1 ] && echo 2 >"$file" && kept="$kept $each"
    done
  fi
  echo 1 >"$1" || exit 1
  echo switched$kept
fi
read -r end
flock -u 9
flock -n 9 || { sleep 0.2; flock -n 9; } || exit
echo 0 >"$1"
for each in $kept; do
  file=/proc/sys/net/ipv6/conf/$each/accept_ra
  [ "$(cat "$file")" = 2 ] && echo 1 >"$file"
done`;

const IPV6 = 'net.ipv6.conf.all.forwarding';

export class Forwarding implements HostPart {
  readonly #sysctls: readonly string[];
  readonly #children = new Map<string, UndoChild>();

  constructor(ipv6: boolean) {
    this.#sysctls = ['net.ipv4.ip_forward', ...(ipv6 ? [IPV6] : [])];
  }

  async ensure(): Promise<string[]> {
    const first = this.#children.size === 0;
    const switched: string[] = [];
    const done: string[] = [];
    for (const sysctl of this.#sysctls) {
      const child = this.#children.get(sysctl);
      if (child && isOn(sysctl)) continue;
      await child?.[Symbol.asyncDispose]();
      const kept = await this.#switchOn(sysctl);
      if (kept) switched.push(sysctl);
      for (const name of kept ?? []) done.push(`IPv6: accept_ra of ${name} is 2, so that it keeps its default route`);
    }
    if (switched.length === 0) return first ? ['forwarding: was on'] : [];
    return [
      `forwarding: switched on ${switched.join(', ')}${first ? '' : ' again: it had been switched off'}`,
      ...done,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.values()) await child[Symbol.asyncDispose]();
  }

  /** The interfaces whose default routes had to be kept, when it was off; undefined when it was on. */
  async #switchOn(sysctl: string): Promise<readonly string[] | undefined> {
    const child = await UndoChild.start(HOLD, sysctlPath(sysctl), sysctl === IPV6 ? 'ipv6' : 'ipv4');
    this.#children.set(sysctl, child);
    const [answer, ...kept] = (await child.answer()).split(' ');
    if (answer === 'missing') throw programMissing('flock');
    if (answer === '') throw refused(sysctl);
    return answer === 'switched' ? kept : undefined;
  }
}

/** Why a TUN cannot carry IPv6 here; undefined when it can. */
export function refusedIPv6(): GuiseError | undefined {
  if (!hasIPv6()) return guiseError('ERR_GUISE_FAMILY_OFF');
  return isOn(IPV6) || refusalOf(IPV6) === undefined ? undefined : refused(IPV6);
}

function refused(sysctl: string): GuiseError {
  const readOnly = refusalOf(sysctl) === 'EROFS';
  return guiseError(readOnly ? 'ERR_GUISE_FORWARDING_READ_ONLY' : 'ERR_GUISE_FORWARDING', { sysctl });
}
