/** Event records, as native/plane/event_queue.h lays them out. */
import { localEnd, remoteEnd, tupleKey, type TupleBytes } from '../wire/tuple.js';
import type { Segment, UdpApplication } from './types.js';

// Offsets of EventRecord in native/plane/event_queue.h.
export const RECORD_SIZE = 64;
export const EVENT_SEGMENT = 1;
export const EVENT_DATAGRAM = 2;
export const EVENT_APPLICATION = 3;
export const EVENT_ATTACHED = 4;
export const EVENT_DEVICE_GONE = 5;
export const EVENT_OPENING = 6;

function readTuple(view: DataView, at: number): TupleBytes {
  const tuple = new Uint8Array(36);
  tuple.set(new Uint8Array(view.buffer, at + 32, 32), 0);
  tuple.set(new Uint8Array(view.buffer, at + 24, 4), 32);
  return tuple;
}

export function readApplication(view: DataView, at: number, id: number): UdpApplication {
  const tuple = readTuple(view, at);
  return {
    id,
    listener: view.getUint32(at + 28, true),
    worker: view.getUint8(at + 6),
    local: localEnd(tuple),
    remote: remoteEnd(tuple),
  };
}

export function readSegment(view: DataView, at: number, flow: number): Segment {
  const tuple = readTuple(view, at);
  const optionsSize = view.getUint8(at + 7);
  return {
    worker: view.getUint8(at + 6),
    flow,
    tuple,
    key: tupleKey(tuple),
    flags: view.getUint8(at + 5),
    seq: view.getUint32(at + 12, true),
    ack: view.getUint32(at + 16, true),
    options: new Uint8Array(view.buffer, at + RECORD_SIZE, optionsSize),
    payload: new Uint8Array(view.buffer, at + RECORD_SIZE + optionsSize, view.getUint32(at + 20, true)),
  };
}
