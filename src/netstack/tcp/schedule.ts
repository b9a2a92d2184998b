/** When things are due. All times are milliseconds of the caller's clock; 0: not set. */
import type { ControlBlock } from './control_block.js';
import { INITIAL_RTO, MOST_RTO } from './round_trip.js';
import { MODE, RESEND, STATE } from './states.js';

/** A single segment may wait for the peer's delayed ACK: the kernel's TCP_RTO_MIN; else two ticks of its clock. */
const PROBE_ALONE = 200;
const PROBE_MORE = 2;

/** The earliest of them. */
export function updateDeadline(c: ControlBlock): void {
  let next = Infinity;
  if (c.resendAt !== 0) next = c.resendAt;
  if (c.persistAt !== 0 && c.persistAt < next) next = c.persistAt;
  if (c.ackAt !== 0 && c.ackAt < next) next = c.ackAt;
  if (c.keepAliveAt !== 0 && c.keepAliveAt < next) next = c.keepAliveAt;
  if (c.paceAt !== 0 && c.paceAt < next) next = c.paceAt;
  if (c.closeAt !== 0 && c.closeAt < next) next = c.closeAt;
  if (c.userTimeout > 0 && waits(c)) next = Math.min(next, c.waitingSince + c.userTimeout);
  c.deadline = c.state === STATE.closed ? Infinity : next;
}

/** Something waits to be sent, or to be acknowledged. */
export const waits = (c: ControlBlock): boolean => c.queue.size > 0 || !c.board.isEmpty;

/** The retransmission time-out with its back-off. */
const timeoutOf = (c: ControlBlock): number => Math.min(MOST_RTO, c.roundTrip.timeout * 2 ** c.backoff);

/** Sets the timer of what is under way. `wait`: milliseconds until RACK may find a loss; 0: it will not. */
export function schedule(c: ControlBlock, wait: number, now: number): void {
  if (c.board.isEmpty) {
    c.resendAt = 0;
    c.resendKind = RESEND.none;
    return;
  }
  c.resendKind = RESEND.timeout;
  c.resendAt = c.rtoFrom + timeoutOf(c);
  if (wait > 0) {
    c.resendKind = RESEND.reorder;
    c.resendAt = now + wait;
    return;
  }
  const mayProbe = c.sackPermitted && c.mode <= MODE.reduced && !c.probing && c.board.sacked === 0 && c.backoff === 0;
  if (!mayProbe) return;
  const { smoothed } = c.roundTrip;
  const alone = c.inFlight <= c.segmentSize;
  const probeAt = c.probeFrom + (smoothed === 0 ? INITIAL_RTO : 2 * smoothed + (alone ? PROBE_ALONE : PROBE_MORE));
  // A probe comes in the place of an earlier time-out.
  c.resendKind = RESEND.probe;
  c.resendAt = Math.max(now, Math.min(c.resendAt, probeAt));
}

/** How long a closed window is waited for before it is asked about. */
export const persistIn = (c: ControlBlock): number => Math.min(MOST_RTO, c.roundTrip.timeout * 2 ** c.persistBackoff);
