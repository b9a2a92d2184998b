/** How a connection ends in order: who has acknowledged which FIN (RFC 9293 §3.6). */
import type { ControlBlock } from './control_block.js';
import { STATE } from './states.js';

/** How long a connection that its user has left waits for the peer's FIN: the kernel's tcp_fin_timeout. */
export const FIN_TIMEOUT = 60_000;

/** What an ACK of our FIN does; true: the connection is over. */
export function isClosedByAck(c: ControlBlock, now: number): boolean {
  if (!c.finSent || c.una !== c.nxt) return false;
  if (c.state === STATE.finWait1) {
    c.state = STATE.finWait2;
    if (c.left) c.closeAt = now + FIN_TIMEOUT;
  } else if (c.state === STATE.closing) {
    enterTimeWait(c, now);
  } else if (c.state === STATE.lastAck) {
    c.finish(undefined);
    return true;
  }
  return false;
}

/** The peer's FIN has come, in its order. */
export function peerEnded(c: ControlBlock, now: number): void {
  c.rcvNxt = (c.rcvNxt + 1) | 0;
  c.ackNow = true;
  const before = c.state;
  if (before === STATE.established) c.state = STATE.closeWait;
  else if (before === STATE.finWait1) c.state = STATE.closing;
  else if (before !== STATE.finWait2) return;
  c.application?.ended();
  if (c.state === STATE.finWait2) enterTimeWait(c, now);
}

/** Both streams have ended: the user is done, the tuple is kept from others for 2 MSL. */
function enterTimeWait(c: ControlBlock, now: number): void {
  const { application, ackNow } = c;
  c.settle();
  c.ackNow = ackNow;
  c.state = STATE.timeWait;
  c.closeAt = now + c.options.timeWait;
  c.application = undefined;
  application?.closed(undefined);
}
