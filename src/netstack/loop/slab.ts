/** The memory that packets are read into. Parts of it are handed out as they are, and keep it alive. */
import { IN, READ_ROOM, ROW } from '../../native/packet_port.js';
import { NETSTACK_LOOP } from '../../policy.js';
import type { IncomingSegment } from '../tcp/segment.js';

/** What is handed out of a slab begins behind what was handed out before, at a multiple of this: the port's own. */
const ALIGNMENT = 64;

export class Slab {
  bytes = Buffer.allocUnsafeSlow(NETSTACK_LOOP.slabBytes);
  /** Where the next packets go. */
  at = 0;

  /** Sees to it that a packet of any size has room. */
  makeRoom(): void {
    if (this.at + READ_ROOM <= this.bytes.length) return;
    this.bytes = Buffer.allocUnsafeSlow(NETSTACK_LOOP.slabBytes);
    this.at = 0;
  }

  /** Bytes up to `end` were handed out. */
  keep(end: number): void {
    this.at = Math.max(this.at, (end + ALIGNMENT - 1) & -ALIGNMENT);
  }

  /**
   * Gives a segment the payload of its row. A small one is copied, so that it does not keep a whole slab alive: peers
   * decide what comes, and in which order.
   */
  give(rows: Int32Array, row: number, segment: IncomingSegment): void {
    const at = row * ROW;
    const size = rows[at + IN.payloadSize]!;
    segment.size = size;
    segment.segmentSize = rows[at + IN.segmentSize]!;
    if (size === 0) return;
    const offset = rows[at + IN.payload]!;
    if (size > NETSTACK_LOOP.copiedBytes) {
      segment.slab = this.bytes;
      segment.offset = offset;
      this.keep(offset + size);
      return;
    }
    const copy = Buffer.allocUnsafe(size);
    // A call costs as much as so many bytes.
    if (size > 64) this.bytes.copy(copy, 0, offset, offset + size);
    else for (let each = 0; each < size; each++) copy[each] = this.bytes[offset + each]!;
    segment.slab = copy;
    segment.offset = 0;
  }
}
