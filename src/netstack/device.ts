/** Opens what a stack's packets go through. */
import { stackError, systemError } from '../errors.js';
import { openTun } from '../native/device.js';
import { openPort, type PacketPort } from '../native/packet_port.js';
import { NETSTACK_LOOP } from '../policy.js';
import type { NetstackSettings } from './options.js';

export interface OpenedPort {
  readonly port: PacketPort;
  /** Of the interface, where there is one that is known by name. */
  readonly name: string | undefined;
  /** Packets are fed and taken. */
  readonly isMemory: boolean;
}

/** @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) */
export function openDevice({ device, mtu, offload }: NetstackSettings): OpenedPort {
  const rows = NETSTACK_LOOP.batchPackets;
  if (!device) {
    const port = openPort({ memory: true, mtu: mtu ?? NETSTACK_LOOP.mtu }, { rows });
    return { port, name: undefined, isMemory: true };
  }
  if ('descriptor' in device) {
    const { descriptor, virtioHeader = false } = device;
    const port = openPort({ descriptor, virtioHeader, segmentation: virtioHeader && offload, mtu }, { rows });
    return { port, name: undefined, isMemory: false };
  }
  const opened = openTun(device.name ?? '', 1, offload);
  if ('errno' in opened) throw systemError(opened.errno, opened.syscall);
  const { fds, virtioHeader, segmentation, name } = opened;
  return { port: openPort({ descriptor: fds[0]!, virtioHeader, segmentation, mtu }, { rows }), name, isMemory: false };
}

/** The error of a device that is gone. */
export function deviceGone(): ReturnType<typeof stackError> {
  return stackError('ENODEV', 'read');
}
