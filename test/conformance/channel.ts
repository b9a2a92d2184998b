/** The frames of adapter.c: a call of the script, and its answer. */
import { readSync, writeSync } from 'node:fs';

/** What is called, in adapter.c's order. */
export const OPERATION = {
  socket: 0,
  bind: 1,
  listen: 2,
  accept: 3,
  connect: 4,
  read: 5,
  write: 6,
  fcntl: 7,
  ioctl: 8,
  close: 9,
  shutdown: 10,
  getsockopt: 11,
  setsockopt: 12,
  poll: 13,
  packetIn: 14,
  packetOut: 15,
  sleep: 16,
  time: 17,
} as const;

export interface Request {
  readonly operation: number;
  /** 0: the thread that runs the script; 1: that of calls which block. */
  readonly lane: number;
  readonly values: readonly [number, number, number, number];
  readonly bytes: Buffer;
}

export interface Answer {
  /** Negative: it failed, with `error`. */
  readonly result: number;
  /** errno. */
  readonly error?: number;
  readonly bytes?: Uint8Array;
  /** READ with TCP_INQ: bytes that wait, and one for the end of the stream. */
  readonly waiting?: number;
}

const REQUEST_HEADER = 24;
const ANSWER_HEADER = 24;

/** The next call; undefined when there will be none. It waits: between two calls nothing happens. */
export function readRequest(descriptor: number): Request | undefined {
  const header = readFully(descriptor, REQUEST_HEADER);
  const bytes = header && readFully(descriptor, header.readUInt32LE(0));
  if (!bytes) return undefined;
  const value = (index: number): number => header.readInt32LE(8 + 4 * index);
  return {
    operation: header.readUInt16LE(4),
    lane: header.readUInt16LE(6),
    values: [value(0), value(1), value(2), value(3)],
    bytes,
  };
}

/** `microseconds`: the clock's. */
export function writeAnswer(descriptor: number, answer: Answer, microseconds: number): void {
  const bytes = answer.bytes ?? new Uint8Array(0);
  const frame = Buffer.alloc(ANSWER_HEADER + bytes.length);
  frame.writeUInt32LE(bytes.length, 0);
  frame.writeInt32LE(answer.result, 4);
  frame.writeInt32LE(answer.error ?? 0, 8);
  frame.writeInt32LE(answer.waiting ?? -1, 12);
  frame.writeBigInt64LE(BigInt(microseconds), 16);
  frame.set(bytes, ANSWER_HEADER);
  for (let at = 0; at < frame.length;) at += writeSync(descriptor, frame, at);
}

function readFully(descriptor: number, size: number): Buffer | undefined {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size;) {
    const got = readSync(descriptor, bytes, at, size - at, null);
    if (got === 0) return undefined;
    at += got;
  }
  return bytes;
}
