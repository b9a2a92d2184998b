/** The host's end of the TUN interface: its addresses, its MTU, up. All of it goes with the interface. */
import { guiseError } from '../errors.js';
import { HOST } from '../policy.js';
import { run } from './command.js';
import { isConfigured, readInterfaces, type TunAddresses } from './look/interfaces.js';
import { readTunState } from './look/tun.js';

/**
 * Gives an interface addresses and brings it up. `mtu` in bytes. Does nothing where all of that is so already: a
 * persistent interface that was prepared for a user needs no right of this process.
 */
export async function configureTun(name: string, addresses: TunAddresses, mtu: number): Promise<void> {
  if (isConfigured(await readInterfaces(), name, addresses, mtu)) return;
  const { local4, peer4, local6, peer6 } = addresses;
  const lines = [
    `link set dev ${name} mtu ${mtu} txqueuelen ${HOST.tunQueueLength} up`,
    `address replace ${local4} peer ${peer4}/32 dev ${name}`,
  ];
  if (local6 && peer6) lines.push(`address replace ${local6} peer ${peer6}/128 dev ${name}`);
  await run('ip', ['-batch', '-'], `${lines.join('\n')}\n`);
}

/** @throws {GuiseError} ERR_GUISE_INTERFACE_TAKEN */
export async function refuseTakenTun(name: string): Promise<void> {
  if ((await readTunState(name)) === 'taken') throw guiseError('ERR_GUISE_INTERFACE_TAKEN', { name });
}
