/** What leaves: segments without payload in one call for many, payload in a call each, all in their order. */
import { OUTGOING_ROWS, type PacketPort } from '../../native/packet_port.js';
import type { OutgoingSegment } from '../tcp/segment.js';
import { writeSegment } from './rows.js';

export class Outlet {
  readonly #port: PacketPort;
  readonly #rows: Int32Array;
  /** Rows that are filled and have not left. */
  #waiting = 0;

  constructor(port: PacketPort) {
    this.#port = port;
    this.#rows = port.outgoing;
  }

  /** What the device does not take is lost, as on any link: the connection sends it again. */
  send(flow: number, segment: OutgoingSegment): void {
    if (segment.size === 0) {
      if (this.#waiting === OUTGOING_ROWS) this.flush();
      writeSegment(segment, flow, this.#rows, this.#waiting++);
      return;
    }
    this.flush();
    writeSegment(segment, flow, this.#rows, 0);
    const { chunks, first, offset, size, segmentSize } = segment;
    this.#port.writeData(0, chunks, first, offset, size, segmentSize);
  }

  /** Answers a segment of no connection, a row of the batch that was read last. */
  answer(row: number, segment: OutgoingSegment): void {
    this.flush();
    writeSegment(segment, -1, this.#rows, 0);
    this.#port.answer(row);
  }

  flush(): void {
    if (this.#waiting === 0) return;
    const count = this.#waiting;
    this.#waiting = 0;
    this.#port.writeSegments(count);
  }
}
