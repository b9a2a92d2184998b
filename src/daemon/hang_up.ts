/**
 * Whether SIGHUP ends this process, as the hang-up of its terminal does. Who starts it with `nohup` does not want that;
 * but Node sets each signal back to what it does by default when it starts (node.cc, ResetSignalHandlers), and leaves no
 * trace of what was ignored. What there is to see: nohup leaves no standard descriptor on a terminal, and a script that
 * ignores SIGHUP is the parent.
 */
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';

/** SIGHUP in the masks of /proc/…/status. */
const SIGHUP = 1n;

/** To be asked at the start, while the parent is the one that started it. */
export function endsOnHangUp(): boolean {
  return [0, 1, 2].some((fd) => isatty(fd)) && !isIgnoredBy(process.ppid);
}

function isIgnoredBy(pid: number): boolean {
  try {
    const ignored = /^SigIgn:\s*([\da-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return ignored !== undefined && (BigInt(`0x${ignored}`) & SIGHUP) !== 0n;
  } catch {
    return false; // hidepid, or it has ended
  }
}
