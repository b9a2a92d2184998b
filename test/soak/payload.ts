/** Datagrams that say what they are: whose, which one, and a checksum over all of it. */
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

export type Direction = 'up' | 'down';
const DIRECTIONS: readonly Direction[] = ['up', 'down'];

/** CRC-32 of the rest 4, direction 1, flow 1, sequence number 4; then filler. */
const HEADER = 10;
/** The most that a segment carries over IPv4 on an Ethernet. */
const LARGEST = 1460;
const filler = randomBytes(LARGEST * 2);

export interface Label {
  readonly direction: Direction;
  /** 0 to 255. */
  readonly flow: number;
  /** 0 to 2^32-1. */
  readonly sequence: number;
}

/** Sizes go through all that a segment can carry, in no order; the filler changes with them. */
export function writePayload({ direction, flow, sequence }: Label): Buffer {
  const payload = Buffer.allocUnsafe(HEADER + ((sequence * 619) % (LARGEST - HEADER + 1)));
  payload[4] = DIRECTIONS.indexOf(direction);
  payload[5] = flow;
  payload.writeUInt32BE(sequence, 6);
  filler.copy(payload, HEADER, sequence % LARGEST);
  payload.writeUInt32BE(crc32(payload.subarray(4)), 0);
  return payload;
}

/** Undefined when one of its bytes, or their number, has changed. */
export function readPayload(payload: Buffer): Label | undefined {
  if (payload.length < HEADER || payload.readUInt32BE(0) !== crc32(payload.subarray(4))) return undefined;
  const direction = DIRECTIONS[payload[4]!];
  return direction && { direction, flow: payload[5]!, sequence: payload.readUInt32BE(6) };
}
