/** Lets the kernel forward between the TUN and the network; what was is put back when no guise needs it any more. */
import { guiseError } from '../errors.js';
import { isOn, sysctlPath } from './look/sysctls.js';
import { UndoChild } from './undo_child.js';
import type { HostPart } from './upkeep.js';

/**
 * Those guises for which a sysctl was switched on share a lock on its file, which is another one in each network
 * namespace; the lock goes with its holder. The last to let go has the file for itself, and switches it off. A sysctl
 * that is on while nobody has the lock is none of our business. The second try is for a guise that has just asked.
 */
const HOLD = `
exec 9<"$1"
if [ "$(cat "$1")" != 0 ] && flock -n 9; then echo free; exit; fi
flock -s 9
if [ "$(cat "$1")" != 0 ]; then echo shared
elif echo 1 >"$1"; then echo switched
else exit 1; fi
read -r end
flock -u 9
flock -n 9 || { sleep 0.2; flock -n 9; } && echo 0 >"$1"`;

export class Forwarding implements HostPart {
  readonly #sysctls: readonly string[];
  readonly #children = new Map<string, UndoChild>();

  constructor(ipv6: boolean) {
    this.#sysctls = ['net.ipv4.ip_forward', ...(ipv6 ? ['net.ipv6.conf.all.forwarding'] : [])];
  }

  async ensure(): Promise<string[]> {
    const first = this.#children.size === 0;
    const switched: string[] = [];
    for (const sysctl of this.#sysctls) {
      const child = this.#children.get(sysctl);
      if (child && isOn(sysctl)) continue;
      await child?.[Symbol.asyncDispose]();
      if (await this.#switchOn(sysctl)) switched.push(sysctl);
    }
    if (switched.length === 0) return first ? ['forwarding: was on'] : [];
    return [`forwarding: switched on ${switched.join(', ')}${first ? '' : ' again: it had been switched off'}`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.values()) await child[Symbol.asyncDispose]();
  }

  /** Whether it was off. */
  async #switchOn(sysctl: string): Promise<boolean> {
    const child = await UndoChild.start(HOLD, sysctlPath(sysctl));
    this.#children.set(sysctl, child);
    const answer = await child.answer();
    if (answer !== '') return answer === 'switched';
    throw guiseError('ERR_GUISE_FORWARDING', { sysctl });
  }
}
