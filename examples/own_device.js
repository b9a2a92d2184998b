/**
 * A device of one's own: any descriptor that carries one raw IP packet a read and a write, with no rights needed. Here
 * two stacks face each other across a pair of sockets, which could as well be the two ends of a VPN of yours.
 */
import { Stack } from 'guise';

/** @param descriptors the ends of a socketpair of type SOCK_SEQPACKET or SOCK_DGRAM; the stacks close them */
export async function openPair([left, right]) {
  return {
    left: await Stack.open({ device: { descriptors: [left] }, addresses: ['10.1.0.1', 'fd01::1'] }),
    right: await Stack.open({ device: { descriptors: [right] }, addresses: ['10.1.0.2', 'fd01::2'] }),
  };
}

/** Resolves when the device of a stack is gone, with the reason. */
export function lost(stack) {
  return new Promise((resolve) => stack.once('error', resolve));
}
