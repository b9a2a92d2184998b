/** The size of segments: what the peer takes and what the path carries (RFC 1191, RFC 8201, RFC 4821). */
import type { ControlBlock } from './control_block.js';
import type { ConnectionOptions } from './options.js';

/** Every IPv4 and every IPv6 path carries these (RFC 791, RFC 8200 §5). */
const LEAST_4 = 576;
const LEAST_6 = 1280;
/** What a path that swallows full segments in silence is tried with: tunnels that are nested still carry it. */
const PROBE = 1280;
/** A lowered limit is forgotten then: routes change (RFC 1191 §6.3, RFC 8201 §4). */
const RAISE_AFTER = 600_000;
const TCP_HEADER = 20;
/** Time stamps with two NOPs, on every segment (RFC 7323 appendix A). */
const TIMESTAMPS = 12;

export function chooseSegmentSize(c: ControlBlock): void {
  const most = largestMss({ mtu: c.pathMtu, ipHeader: c.options.ipHeader });
  c.segmentSize = Math.min(c.peerMss, most) - (c.timestamps ? TIMESTAMPS : 0);
}

/** The MSS that our SYN tells: what the interface takes, whatever the path does. */
export function largestMss({ mtu, ipHeader }: Pick<ConnectionOptions, 'mtu' | 'ipHeader'>): number {
  return mtu - ipHeader - TCP_HEADER;
}

export function tooBig(c: ControlBlock, mtu: number, now: number): void {
  const limit = Math.max(mtu, c.options.ipHeader === 20 ? LEAST_4 : LEAST_6);
  if (limit >= c.pathMtu) return;
  c.pathMtu = limit;
  c.raiseMtuAt = now + RAISE_AFTER;
  const before = c.segmentSize;
  chooseSegmentSize(c);
  if (c.segmentSize === before) return;
  c.congestion.setSegmentSize(c.segmentSize);
  // What is under way in larger segments does not arrive: it leaves again, in smaller ones, and is no sign of congestion.
  c.board.each((run) => {
    if (run.segmentSize > c.segmentSize && run.size > c.segmentSize) c.board.lose(run);
    return true;
  });
}

/** The second time-out in a row of full segments: the path may carry smaller ones only (RFC 4821 §7.7). */
export function suspectBlackHole(c: ControlBlock, timeouts: number, now: number): void {
  if (timeouts < 2 || (c.board.first?.size ?? 0) < c.segmentSize) return;
  if (c.pathMtu > PROBE) tooBig(c, PROBE, now);
  else if (timeouts >= 4) tooBig(c, LEAST_4, now);
}

export function raiseIfDue(c: ControlBlock, now: number): void {
  if (c.raiseMtuAt === 0 || now < c.raiseMtuAt) return;
  c.raiseMtuAt = 0;
  c.pathMtu = c.options.mtu;
  chooseSegmentSize(c);
  c.congestion.setSegmentSize(c.segmentSize);
}
