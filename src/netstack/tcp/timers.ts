/** When something is due without a segment that asks for it. All times are milliseconds of the caller's clock. */
import { findLate } from './acknowledgment.js';
import type { ControlBlock } from './control_block.js';
import { raiseIfDue, suspectBlackHole } from './path_mtu.js';
import { enterLoss } from './recovery.js';
import { probeForLoss, probeWindow, sendReset, sendSyn } from './sending.js';
import { RESEND, STATE } from './states.js';
import { persistIn, schedule, waits } from './schedule.js';

export function tick(c: ControlBlock, now: number): void {
  if (c.userTimeout > 0 && waits(c) && now >= c.waitingSince + c.userTimeout) {
    giveUp(c, now);
    return;
  }
  if (c.resendAt !== 0 && now >= c.resendAt) resendDue(c, now);
  if (c.persistAt !== 0 && now >= c.persistAt) persistDue(c, now);
  if (c.keepAliveAt !== 0 && now >= c.keepAliveAt) keepAliveDue(c, now);
  if (c.ackAt !== 0 && now >= c.ackAt) {
    c.ackAt = 0;
    c.ackNow = true;
  }
  if (c.paceAt !== 0 && now >= c.paceAt) c.paceAt = 0;
  if (c.closeAt !== 0 && now >= c.closeAt) c.finish(undefined);
}

/** Nothing is heard of the peer any more. */
function giveUp(c: ControlBlock, now: number): void {
  if (c.state >= STATE.synReceived) sendReset(c, now);
  c.finish('ETIMEDOUT');
}

function resendDue(c: ControlBlock, now: number): void {
  c.resendAt = 0;
  if (c.resendKind === RESEND.syn) {
    if (c.synTries > c.options.synRetries) giveUp(c, now);
    else sendSyn(c, now);
  } else if (c.resendKind === RESEND.reorder) {
    schedule(c, findLate(c, now), now);
  } else if (c.resendKind === RESEND.probe) {
    c.rtoFrom = now;
    probeForLoss(c, now);
    schedule(c, 0, now);
  } else {
    timeOut(c, now);
  }
}

/** RFC 6298 §5.4 to 5.7. */
function timeOut(c: ControlBlock, now: number): void {
  if (c.board.isEmpty) return;
  c.timeouts += 1;
  c.backoff += 1;
  if (c.backoff > c.options.retries) {
    giveUp(c, now);
    return;
  }
  enterLoss(c, now);
  suspectBlackHole(c, c.backoff, now);
  c.rtoFrom = now;
  schedule(c, 0, now);
}

/** RFC 9293 §3.8.6.1: a window that stays closed is asked about, for as long as the peer answers. */
function persistDue(c: ControlBlock, now: number): void {
  if (c.unanswered > c.options.retries) {
    giveUp(c, now);
    return;
  }
  raiseIfDue(c, now);
  c.unanswered += 1;
  c.persistBackoff += 1;
  c.persistAt = now + persistIn(c);
  probeWindow(c, now);
}

/** RFC 9293 §3.8.4. */
function keepAliveDue(c: ControlBlock, now: number): void {
  const silent = now - c.lastHeard;
  if (c.unanswered === 0 && silent < c.keepAliveTime) c.keepAliveAt = c.lastHeard + c.keepAliveTime;
  else if (waits(c)) c.keepAliveAt = now + c.keepAliveTime;
  else if (c.unanswered >= c.keepAliveMost) giveUp(c, now);
  else {
    c.unanswered += 1;
    c.keepAliveAt = now + c.keepAliveInterval;
    probeWindow(c, now);
  }
}
