/** Devices that the kernel makes. */
import { addon } from './addon.js';

/** Opens the queues of a TUN interface; an errno and the failed call when the kernel refuses. */
export const openTun = addon.openTun;
