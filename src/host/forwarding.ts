/** Lets the kernel forward between the TUN and the network; the janitor puts back what was. */
import { readFile, writeFile } from 'node:fs/promises';
import { GuiseError } from '../errors.js';
import type { Janitor } from './janitor.js';

/** @returns the sysctls that were changed */
export async function enableForwarding(janitor: Janitor, ipv6: boolean): Promise<string[]> {
  const changed = await enable(janitor, 'net.ipv4.ip_forward');
  if (!ipv6) return changed;
  return [...changed, ...(await enable(janitor, 'net.ipv6.conf.all.forwarding'))];
}

async function enable(janitor: Janitor, sysctl: string): Promise<string[]> {
  const path = `/proc/sys/${sysctl.replaceAll('.', '/')}`;
  const before = (await readFile(path, 'utf8').catch(() => '1')).trim();
  if (before !== '0') return [];
  try {
    await writeFile(path, '1');
  } catch (cause) {
    const mend = `run \`sysctl -w ${sysctl}=1\` on the host, or run as root`;
    throw new GuiseError('ERR_GUISE_SETUP', `Forwarding is off and cannot be switched on here: ${mend}.`, { cause });
  }
  janitor.add(`echo ${before} > ${path}`);
  return [sysctl];
}
