/**
 * What follows a loss: fast recovery (RFC 6675; RFC 6582 where the peer has no SACK) paced by PRR, slow start behind a
 * time-out, the answer to ECN, and the way back when the loss was none (RFC 4015 by RFC 3522's time stamps, or by
 * D-SACK, RFC 3708).
 */
import type { ControlBlock } from './control_block.js';
import { ProportionalRate } from './prr.js';
import { SACKED } from './scoreboard.js';
import { isAfter, isBefore } from './sequence.js';
import { MODE } from './states.js';

/** How much may be under way now, bytes. */
export function windowOf(c: ControlBlock): number {
  const paced = c.mode === MODE.recovery || c.mode === MODE.reduced;
  return paced && !c.congestion.ownsRecovery ? c.recoveryWindow : c.congestion.window;
}

/** A loss was found by duplicate ACKs or by time. */
export function enterRecovery(c: ControlBlock, now: number): void {
  reduce(c, MODE.recovery, now);
  c.recoveries += 1;
  c.hasResent = false;
  c.resentBytes = 0;
}

/** The peer says that a router has marked a packet (RFC 3168 §6.1.2): once a window. */
export function congestionEchoed(c: ControlBlock, now: number): void {
  if (c.mode !== MODE.open || !isAfter(c.una, c.reducedAt)) return;
  c.reducedAt = c.nxt;
  c.tellReduced = true;
  reduce(c, MODE.reduced, now);
}

function reduce(c: ControlBlock, mode: number, now: number): void {
  const flight = (c.nxt - c.una) | 0;
  c.mode = mode;
  c.lossAt = c.una;
  c.recoverAt = c.nxt;
  c.prr ??= new ProportionalRate();
  c.prr.begin(c.congestion.window);
  c.congestion.lossFound(flight, now);
  c.recoveryWindow = c.inFlight;
}

/** The retransmission time-out: everything is lost unless it was SACKED. */
export function enterLoss(c: ControlBlock, now: number): void {
  if (c.mode !== MODE.loss) {
    c.congestion.timedOut((c.nxt - c.una) | 0, now);
    c.lossAt = c.una;
    c.hasResent = false;
    c.resentBytes = 0;
  }
  c.mode = MODE.loss;
  c.recoverAt = c.nxt;
  // A peer may drop what it has SACKED, and its first gap says that it did (RFC 2018 §8).
  if (c.board.first && c.board.first.state & SACKED) c.board.forgetSacks();
  c.board.loseAll();
  c.duplicates = c.assumedSacked = 0;
  c.probing = false;
}

/** An ACK has come while something is amiss. */
export function leaveIfDone(c: ControlBlock, advanced: number, echo: number, hasEcho: boolean, now: number): void {
  if (c.mode === MODE.open) return;
  if (c.mode !== MODE.reduced && c.hasResent) {
    const late = hasEcho && advanced > 0 && isBefore(echo, c.resentStamp);
    // All of it came twice.
    const needless = c.resentBytes <= 0;
    if (late || needless) {
      c.spurious += 1;
      c.board.findAll();
      c.congestion.undo(now);
      open(c);
      return;
    }
  }
  if (isBefore(c.una, c.recoverAt)) return;
  c.congestion.recovered(now);
  c.rack.recovered();
  open(c);
}

function open(c: ControlBlock): void {
  c.mode = MODE.open;
  c.duplicates = c.assumedSacked = 0;
  c.hasResent = false;
  c.resentBytes = 0;
}

/** Something was sent again. */
export function noteResent(c: ControlBlock, bytes: number, now: number): void {
  c.bytesResent += bytes;
  c.resentBytes += bytes;
  if (c.hasResent) return;
  c.hasResent = true;
  c.resentStamp = c.stamp(now);
}
