/** Opens what a stack's packets go through. */
import { closeSync } from 'node:fs';
import { availableParallelism, constants, totalmem } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { systemError, type GuiseError } from '../errors.js';
import { RINGS } from '../policy.js';
import { findDeparture, openLinks, openTun } from '../native/device.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { Leaving } from './connect_evidence.js';
import type { DescriptorDevice, LinkDevice } from '../native/types.js';
import type { DeviceOptions, PacketOptions } from './options.js';

export interface OpenedDevice {
  readonly device: DescriptorDevice | LinkDevice;
  readonly segmentation: boolean;
  readonly name: string | undefined;
}

/** @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) */
export function openDevice(device: DeviceOptions, offload: boolean): OpenedDevice {
  if ('packet' in device) return openPacketSockets(device, offload);
  if ('descriptors' in device) {
    const { descriptors, virtioHeader = false } = device;
    return {
      device: { devices: descriptors, virtioHeader },
      segmentation: virtioHeader && offload,
      name: undefined,
    };
  }
  const opened = openTun(device.name ?? '', device.queues ?? defaultQueues(), offload);
  if ('errno' in opened) throw systemError(opened.errno, opened.syscall, {});
  const { fds, virtioHeader, segmentation, name } = opened;
  return { device: { devices: fds, virtioHeader }, segmentation, name };
}

/**
 * How a device's packets leave this host from an end of the stack's to a remote; undefined where this host does not send
 * them.
 *
 * @param tun the name of the TUN
 */
export function leavingBy(
  device: DeviceOptions,
  tun: string | undefined,
  { address: source }: Endpoint,
  remote: Endpoint,
): Leaving | undefined {
  if ('descriptors' in device) return undefined;
  const { fwmark = 0, interface: by = '' } = 'packet' in device ? device : {};
  const found = findDeparture(remote, fwmark, by);
  if ('errno' in found) return { noRoute: getSystemErrorName(found.errno) };
  return { ...found, source, interface: tun === undefined ? found.interface : `${tun} and ${found.interface}` };
}

function openPacketSockets(
  { queues = defaultQueues(), fwmark = 0, interface: by = '' }: PacketOptions,
  offload: boolean,
) {
  let links = openLinks(queues, true, fwmark, by);
  // The kernel was built or started without IPv6.
  if ('errno' in links && links.errno === -constants.errno.EAFNOSUPPORT) links = openLinks(queues, false, fwmark, by);
  if ('errno' in links) throw systemError(links.errno, links.syscall, {});
  const ringBytes = Math.floor(Math.min(RINGS.bytes, totalmem() * RINGS.memoryShare));
  return { device: { links, ringBytes }, segmentation: offload, name: undefined };
}

/** Why packet sockets cannot be had here: EPERM without CAP_NET_RAW; undefined when they can. */
export function packetSocketsRefused(): GuiseError | undefined {
  const links = openLinks(1, false, 0, '');
  if ('errno' in links) return systemError(links.errno, links.syscall, {});
  for (const descriptor of links.flat()) closeSync(descriptor);
  return undefined;
}

/**
 * Half of the processors: the kernel's part of the path and the application at its end need the others. With one each,
 * a thousand flows on two processors are a quarter slower (2.4 to 3.1 Gbit/s), and one flow is as fast.
 */
function defaultQueues(): number {
  return Math.min(64, Math.ceil(availableParallelism() / 2));
}
