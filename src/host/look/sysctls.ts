/** What the kernel is told by sysctls. Looks, and changes nothing. */
import { closeSync, openSync, readFileSync } from 'node:fs';

export function sysctlPath(name: string): string {
  return `/proc/sys/${name.replaceAll('.', '/')}`;
}

/** Whether a sysctl is other than 0; false where there is none. Its file is none on a disk: reading it takes no time. */
export function isOn(name: string): boolean {
  try {
    return readFileSync(sysctlPath(name), 'utf8').trim() !== '0';
  } catch {
    return false;
  }
}

/** Why a sysctl cannot be changed by this process, as an errno's name; undefined when it can. */
export function refusalOf(name: string): string | undefined {
  try {
    closeSync(openSync(sysctlPath(name), 'r+')); // access(2) would ask for the real user, who may have less
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

/** Whether a new interface may have IPv6 addresses: containers often have it switched off. */
export function hasIPv6(): boolean {
  try {
    return readFileSync(sysctlPath('net.ipv6.conf.default.disable_ipv6'), 'utf8').trim() === '0';
  } catch {
    return false;
  }
}
