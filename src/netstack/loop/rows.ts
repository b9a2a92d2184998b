/** Segments as rows of the packet port, and rows as segments. */
import { FACT, IN, OPTION, OUT, ROW, SACK_COUNT_SHIFT } from '../../native/packet_port.js';
import type { IncomingSegment, OutgoingSegment } from '../tcp/segment.js';

const MOST_SACK_BLOCKS = 4;

/** Fills a segment with what a row says, but for its payload. */
export function readSegment(rows: Int32Array, row: number, segment: IncomingSegment): void {
  const at = row * ROW;
  const options = rows[at + IN.options]!;
  segment.seq = rows[at + IN.seq]!;
  segment.ack = rows[at + IN.ack]!;
  segment.flags = rows[at + IN.flags]!;
  segment.window = rows[at + IN.window]!;
  segment.ecn = rows[at + IN.facts]! & FACT.ecnMask;
  segment.mss = options & OPTION.mss ? rows[at + IN.mss]! & 0xffff : 0;
  segment.scale = options & OPTION.scale ? (rows[at + IN.mss]! >> 16) & 0xff : -1;
  segment.sackPermitted = (options & OPTION.sackPermitted) !== 0;
  segment.hasTimestamp = (options & OPTION.timestamps) !== 0;
  segment.timestamp = rows[at + IN.timestamp]!;
  segment.timestampEcho = rows[at + IN.timestampEcho]!;
  const blocks = Math.min((options >> SACK_COUNT_SHIFT) & 15, MOST_SACK_BLOCKS);
  segment.sackCount = blocks;
  for (let each = 0; each < 2 * blocks; each++) segment.sack[each] = rows[at + IN.sack + each]!;
}

/** Fills a row with what a segment says, but for its payload. */
export function writeSegment(segment: OutgoingSegment, flow: number, rows: Int32Array, row: number): void {
  const at = row * ROW;
  let options = segment.sackCount << SACK_COUNT_SHIFT;
  let sizes = 0;
  if (segment.mss > 0) {
    options |= OPTION.mss;
    sizes = segment.mss;
  }
  if (segment.scale >= 0) {
    options |= OPTION.scale;
    sizes |= segment.scale << 16;
  }
  if (segment.sackPermitted) options |= OPTION.sackPermitted;
  if (segment.hasTimestamp) options |= OPTION.timestamps;
  rows[at + OUT.flow] = flow;
  rows[at + OUT.seq] = segment.seq;
  rows[at + OUT.ack] = segment.ack;
  rows[at + OUT.flags] = segment.flags | (segment.ecn << 16);
  rows[at + OUT.window] = segment.window;
  rows[at + OUT.options] = options;
  rows[at + OUT.mss] = sizes;
  rows[at + OUT.timestamp] = segment.timestamp;
  rows[at + OUT.timestampEcho] = segment.timestampEcho;
  for (let each = 0; each < 2 * segment.sackCount; each++) rows[at + OUT.sack + each] = segment.sack[each]!;
}
