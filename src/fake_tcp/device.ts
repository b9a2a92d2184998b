/** Opens what a stack's packets go through. */
import { availableParallelism } from 'node:os';
import { systemError } from '../errors.js';
import { openTun } from '../native/device.js';
import type { DescriptorOptions, TunOptions } from './options.js';

export interface OpenedDevice {
  readonly descriptors: readonly number[];
  readonly virtioHeader: boolean;
  readonly segmentation: boolean;
  readonly name: string | undefined;
}

/** @throws {GuiseError} with the system's code (EPERM, EBUSY, ENOENT …) */
export function openDevice(device: TunOptions | DescriptorOptions, offload: boolean): OpenedDevice {
  if ('descriptors' in device) {
    const { descriptors, virtioHeader = false } = device;
    return { descriptors, virtioHeader, segmentation: virtioHeader && offload, name: undefined };
  }
  const opened = openTun(device.name ?? '', device.queues ?? defaultQueues(), offload);
  if ('errno' in opened) throw systemError(opened.errno, opened.syscall, {});
  return { ...opened, descriptors: opened.fds };
}

/**
 * Half of the processors: the kernel's part of the path and the application at its end need the others. With one each,
 * a thousand flows on two processors are a quarter slower (2.4 to 3.1 Gbit/s), and one flow is as fast.
 */
function defaultQueues(): number {
  return Math.min(64, Math.ceil(availableParallelism() / 2));
}
