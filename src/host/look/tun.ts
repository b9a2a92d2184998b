/** Whether an interface's name is free for a TUN. Looks, and changes nothing. */
import { readFile } from 'node:fs/promises';

/** `taken`: it is no TUN, or the TUN of a process that runs; attaching would steal half of its packets. */
export type TunState = 'absent' | 'persistent' | 'taken';

/** IFF_PERSIST of linux/if_tun.h. */
const PERSISTENT = 0x0800;

export async function readTunState(name: string): Promise<TunState> {
  const read = (file: string): Promise<string | undefined> =>
    readFile(`/sys/class/net/${name}/${file}`, 'utf8').catch(() => undefined);
  return tunState({ index: await read('ifindex'), flags: await read('tun_flags') });
}

/**
 * @param index what the interface's file `ifindex` says, undefined where there is none
 * @param flags what its `tun_flags` says, which only a TUN or TAP has: hexadecimal
 */
export function tunState({ index, flags }: { index: string | undefined; flags: string | undefined }): TunState {
  if (index === undefined) return 'absent';
  return flags !== undefined && Number(flags) & PERSISTENT ? 'persistent' : 'taken';
}
