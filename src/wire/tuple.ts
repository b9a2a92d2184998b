/** Both ends of a flow as bytes, and as the key of a map. Pure. */
import { decodeAddress, encodeAddress } from './address.js';
import type { Endpoint } from './endpoint.js';

/** 36 bytes: local address, remote address (16 each, see address.ts), local port, remote port (little-endian). */
export type TupleBytes = Uint8Array;

const REMOTE_ADDRESS = 16;
const LOCAL_PORT = 32;
const REMOTE_PORT = 34;
export const TUPLE_SIZE = 36;

export function encodeTuple(local: Endpoint, remote: Endpoint): TupleBytes {
  const tuple = new Uint8Array(TUPLE_SIZE);
  tuple.set(encodeAddress(local.address), 0);
  tuple.set(encodeAddress(remote.address), REMOTE_ADDRESS);
  const view = new DataView(tuple.buffer);
  view.setUint16(LOCAL_PORT, local.port, true);
  view.setUint16(REMOTE_PORT, remote.port, true);
  return tuple;
}

export function localEnd(tuple: TupleBytes): Endpoint {
  return { address: decodeAddress(tuple.subarray(0, REMOTE_ADDRESS)), port: localPort(tuple) };
}

export function remoteEnd(tuple: TupleBytes): Endpoint {
  return { address: decodeAddress(tuple.subarray(REMOTE_ADDRESS, LOCAL_PORT)), port: portAt(tuple, REMOTE_PORT) };
}

export function localPort(tuple: TupleBytes): number {
  return portAt(tuple, LOCAL_PORT);
}

/** A tuple as a string: the same for equal tuples, and a fifth of the memory of the bytes. */
export function tupleKey(tuple: TupleBytes): string {
  return Buffer.from(tuple.buffer, tuple.byteOffset, tuple.byteLength).toString('latin1');
}

/** The tuple of a key. */
export function tupleOf(key: string): TupleBytes {
  return Buffer.from(key, 'latin1');
}

function portAt(tuple: TupleBytes, offset: number): number {
  return tuple[offset]! | (tuple[offset + 1]! << 8);
}
