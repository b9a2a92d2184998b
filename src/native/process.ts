/** What the addon does to the whole process and asks of the host. */
import { encodeAddress } from '../wire/address.js';
import { addon } from './addon.js';

/**
 * Leaves every thread of this process, for good, no capability but those of a mask: bit n is capability n of
 * linux/capability.h, 0 to 31. What is left of it, or -errno.
 */
export const limitCapabilities = addon.limitCapabilities;

/** no_new_privs, and a filter of system calls for this process and what it starts, for good: 0, or -errno. */
export const filterSystemCalls = addon.filterSystemCalls;

/**
 * Writes as much as a descriptor takes, up to 4 KiB of a pipe, a terminal or a socket, and waits no longer than
 * `milliseconds` (to 60 000) until it takes something. The bytes written, or -errno: -EAGAIN where it has taken none.
 */
export const writeNow = addon.writeNow;

/** Ends the process at once, also while the C library waits for an answer on another thread. 0 to 255. */
export const leave = addon.leave;

/** A number that every change of the nftables ruleset changes, or -errno; needs CAP_NET_ADMIN. */
export const rulesetGeneration = addon.rulesetGeneration;

/** Whether an interface is up with an MTU in bytes, and the host's route to an address leads to it. Needs no right. */
export function isSetUp(name: string, mtu: number, peer: string): boolean {
  return addon.isSetUp(name, mtu, encodeAddress(peer)) === 1;
}
