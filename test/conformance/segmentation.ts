/**
 * How Linux cuts what it sends: into packets of the size that its pacing allows (tcp_tso_autosize in
 * net/ipv4/tcp_output.c), each of which the device cuts into segments. Scripts see the edges of those packets by PSH, which
 * Linux sets on each that has more than one segment.
 */
import type { ConnectionInfo } from '../../src/netstack/tcp/options.js';
import { CWR, FIN, PSH, type OutgoingSegment } from '../../src/netstack/tcp/segment.js';
import type { Piece } from './packet.js';
import { sysctl } from './sysctls.js';

/** A segment without payload is itself; without a connection there is no payload. */
export function uncut({ seq, flags }: OutgoingSegment): Piece[] {
  return [{ seq, flags, payload: new Uint8Array(0) }];
}

/** What cuts the payload of one connection. */
export class Segmentation {
  /** Numbers at which a packet began: what leaves again is cut there, too. */
  readonly #edges = new Set<number>();

  /** The segments of what the machine sends at once. */
  cut(segment: OutgoingSegment, info: ConnectionInfo): Piece[] {
    const { seq, flags, size, segmentSize } = segment;
    if (size === 0) return uncut(segment);
    const payload = Buffer.concat(segment.chunks.slice(segment.first)).subarray(segment.offset, segment.offset + size);
    const each = segmentSize || size;
    const most = segmentsTogether(info);
    const pieces: Piece[] = [];
    let together = 0;
    for (let at = 0; at < size; at += each) {
      const start = (seq + at) | 0;
      const next = (start + each) | 0;
      const isLast = at + each >= size;
      if (together === 0) this.#edges.add(start);
      together += 1;
      const isEnd = isLast || together === most || this.#edges.has(next);
      let own = isLast ? flags : flags & ~(FIN | PSH);
      if (at > 0) own &= ~CWR;
      if (isEnd && together > 1) own |= PSH;
      if (isEnd) together = 0;
      pieces.push({ seq: start, flags: own, payload: payload.subarray(at, at + each) });
    }
    return pieces;
  }
}

/** The largest packet of Linux, segments: a millisecond's worth, but no more than half of the congestion window. */
function segmentsTogether(info: ConnectionInfo): number {
  const LARGEST = 65_536;
  const { congestionWindow, slowStartThreshold, roundTrip, leastRoundTrip, segmentSize } = info;
  const isSlowStart = congestionWindow < slowStartThreshold / 2;
  const ratio = sysctl(isSlowStart ? 'tcp_pacing_ss_ratio' : 'tcp_pacing_ca_ratio') / 100;
  // Bytes in 2^-10 s, and more where the round trip is short.
  const paced = roundTrip > 0 ? ((congestionWindow * 1000) / roundTrip) * ratio * 2 ** -10 : LARGEST;
  const near = LARGEST / 2 ** Math.floor((leastRoundTrip * 1000) / 512);
  const bySize = Math.floor(Math.min(LARGEST, paced + near) / segmentSize);
  const byWindow = Math.max(1, Math.floor(congestionWindow / segmentSize / 2));
  return Math.max(1, Math.min(Math.max(bySize, sysctl('tcp_min_tso_segs')), byWindow));
}
