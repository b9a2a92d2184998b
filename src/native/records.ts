/** Event records, as the addon lays them out. */
import { localEnd, remoteEnd, tupleKey, type TupleBytes } from '../wire/tuple.js';
import type { PeerSyn } from '../wire/syn_options.js';
import { addon } from './addon.js';
import { decodeAddress } from '../wire/address.js';
import type { IcmpError, Segment, UdpApplication } from './types.js';

const { size: RECORD_SIZE, fields: AT } = addon.layout.eventRecord;
const OPENING = addon.layout.openingDetail;
const ADDRESSES_SIZE = 32;

function readTuple(view: DataView, at: number): TupleBytes {
  const tuple = new Uint8Array(ADDRESSES_SIZE + 4);
  tuple.set(new Uint8Array(view.buffer, at + AT.addresses, ADDRESSES_SIZE), 0);
  tuple.set(new Uint8Array(view.buffer, at + AT.ports, 4), ADDRESSES_SIZE);
  return tuple;
}

/** Bytes from this record to the next. */
export function readSize(view: DataView, at: number): number {
  return view.getUint32(at + AT.size, true);
}

export function readType(view: DataView, at: number): number {
  return view.getUint8(at + AT.type);
}

export function readId(view: DataView, at: number): number {
  return view.getUint32(at + AT.id, true);
}

export function readDetail(view: DataView, at: number): number {
  return view.getUint32(at + AT.detail, true);
}

/** Of an opening: what the SYN said that its cookie was made for. */
export function readSyn(view: DataView, at: number): PeerSyn {
  const detail = readDetail(view, at);
  const mss = detail >>> OPENING.mssShift;
  return {
    profile: detail & OPENING.phantun ? 'phantun' : 'guise',
    scaled: (detail & OPENING.scaled) !== 0,
    mss: mss === 0 ? undefined : mss,
  };
}

/** The number and the acknowledgment in it, whatever they stand for. */
export function readNumbers(view: DataView, at: number): { readonly seq: number; readonly ack: number } {
  return { seq: view.getUint32(at + AT.seq, true), ack: view.getUint32(at + AT.ack, true) };
}

/** Kinds of errors, as native/wire/icmp.h numbers them. */
const TOO_BIG = 1;

export function readIcmpError(view: DataView, at: number): IcmpError {
  const payload = readPayload(view, at);
  const { seq, ack } = readNumbers(view, at);
  return {
    kind: view.getUint8(at + AT.flags) === TOO_BIG ? 'tooBig' : 'unreachable',
    flow: readId(view, at),
    key: readKey(view, at),
    seq,
    mtu: ack,
    code: payload[0]!,
    from: decodeAddress(payload.subarray(1)),
  };
}

/** Its tuple, as `tupleKey` makes it. */
export function readKey(view: DataView, at: number): string {
  return tupleKey(readTuple(view, at));
}

export function readApplication(view: DataView, at: number): UdpApplication {
  const tuple = readTuple(view, at);
  return {
    id: readId(view, at),
    listener: readDetail(view, at),
    worker: view.getUint8(at + AT.worker),
    local: localEnd(tuple),
    remote: remoteEnd(tuple),
  };
}

/** Where the payload is; valid during the callback only. */
export function readPayload(view: DataView, at: number): Uint8Array {
  const begin = at + RECORD_SIZE + view.getUint8(at + AT.optionsSize);
  return new Uint8Array(view.buffer, begin, view.getUint32(at + AT.payloadSize, true));
}

export function readSegment(view: DataView, at: number, flow: number): Segment {
  const tuple = readTuple(view, at);
  return {
    worker: view.getUint8(at + AT.worker),
    flow,
    tuple,
    key: tupleKey(tuple),
    flags: view.getUint8(at + AT.flags),
    hopLimit: flow === 0 ? readDetail(view, at) & 0xff : 0,
    foreign: flow === 0 && (readDetail(view, at) & OPENING.foreign) !== 0,
    ...readNumbers(view, at),
    options: new Uint8Array(view.buffer, at + RECORD_SIZE, view.getUint8(at + AT.optionsSize)),
    way: view.getBigUint64(at + AT.way, true),
    payload: readPayload(view, at),
  };
}
