/** TCP in IPv4 and IPv6, byte by byte: what a data plane does elsewhere, plainly. */
import { IncomingSegment, type OutgoingSegment } from '../../src/netstack/tcp/segment.js';

const TCP = 6;
const ICMP = 1;
const ICMP6 = 58;

/** Where a packet comes from and leads to. Addresses have 4 bytes or 16. */
export interface Tuple {
  readonly local: Uint8Array;
  readonly localPort: number;
  readonly remote: Uint8Array;
  readonly remotePort: number;
}

export const tupleKey = ({ local, localPort, remote, remotePort }: Tuple): string =>
  `${Buffer.from(local).toString('hex')}.${localPort}-${Buffer.from(remote).toString('hex')}.${remotePort}`;

/** What an ICMP error quotes: the tuple of the segment as we sent it, and its sequence number. */
export interface IcmpError {
  readonly tuple: Tuple;
  readonly seq: number;
  readonly type: number;
  readonly code: number;
  /** The MTU of "fragmentation needed" and "packet too big", 0 otherwise. */
  readonly mtu: number;
}

export type Packet =
  | { readonly kind: 'tcp'; readonly tuple: Tuple; readonly segment: IncomingSegment }
  | { readonly kind: 'icmp'; readonly error: IcmpError };

/** Reads a packet; undefined when it is damaged, or nothing that concerns TCP. */
export function parsePacket(bytes: Uint8Array): Packet | undefined {
  const view = viewOf(bytes);
  const isIpv6 = bytes[0]! >> 4 === 6;
  const header = isIpv6 ? 40 : (bytes[0]! & 15) * 4;
  const size = isIpv6 ? 40 + view.getUint16(4) : view.getUint16(2);
  if (size > bytes.length || size < header) return undefined;
  if (!isIpv6 && checksum([bytes.subarray(0, header)]) !== 0) return undefined;
  const from = isIpv6 ? bytes.subarray(8, 24) : bytes.subarray(12, 16);
  const to = isIpv6 ? bytes.subarray(24, 40) : bytes.subarray(16, 20);
  const protocol = isIpv6 ? bytes[6]! : bytes[9]!;
  const content = bytes.subarray(header, size);
  if (protocol === ICMP || protocol === ICMP6) return parseError(content, protocol);
  if (protocol !== TCP || checksum([pseudoHeader(from, to, content.length), content]) !== 0) return undefined;
  const ecn = isIpv6 ? (bytes[1]! >> 4) & 3 : bytes[1]! & 3;
  const { tuple, segment } = parseTcp(content, from, to, ecn);
  return { kind: 'tcp', tuple, segment };
}

function parseTcp(
  bytes: Uint8Array,
  from: Uint8Array,
  to: Uint8Array,
  ecn: number,
): { tuple: Tuple; segment: IncomingSegment } {
  const view = viewOf(bytes);
  const segment = new IncomingSegment();
  segment.seq = view.getInt32(4);
  segment.ack = view.getInt32(8);
  segment.flags = bytes[13]!;
  segment.window = view.getUint16(14);
  segment.ecn = ecn;
  const header = (bytes[12]! >> 4) * 4;
  parseOptions(bytes.subarray(20, header), segment);
  // The machine may keep a part of it.
  segment.slab = bytes.slice(header);
  segment.size = segment.slab.length;
  segment.segmentSize = segment.size;
  const tuple = { local: to, localPort: view.getUint16(2), remote: from, remotePort: view.getUint16(0) };
  return { tuple, segment };
}

function parseOptions(bytes: Uint8Array, segment: IncomingSegment): void {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]!;
    if (kind === 0) return;
    if (kind === 1) {
      at += 1;
      continue;
    }
    const size = bytes[at + 1] ?? 0;
    if (size < 2 || at + size > bytes.length) return;
    if (kind === 2) segment.mss = view.getUint16(at + 2);
    else if (kind === 3) segment.scale = bytes[at + 2]!;
    else if (kind === 4) segment.sackPermitted = true;
    else if (kind === 8) {
      segment.hasTimestamp = true;
      segment.timestamp = view.getInt32(at + 2);
      segment.timestampEcho = view.getInt32(at + 6);
    } else if (kind === 5) {
      segment.sackCount = (size - 2) / 8;
      for (let i = 0; i < segment.sackCount * 2; i++) segment.sack[i] = view.getInt32(at + 2 + i * 4);
    }
    at += size;
  }
}

function parseError(bytes: Uint8Array, protocol: number): Packet | undefined {
  const type = bytes[0]!;
  const isError = protocol === ICMP ? type === 3 : type >= 1 && type <= 4;
  if (!isError) return undefined;
  const quoted = bytes.subarray(8);
  const isIpv6 = quoted[0]! >> 4 === 6;
  const header = isIpv6 ? 40 : (quoted[0]! & 15) * 4;
  const ports = viewOf(quoted.subarray(header));
  const view = viewOf(bytes);
  const tooBig = protocol === ICMP ? type === 3 && bytes[1] === 4 : type === 2;
  const mtu = tooBig ? (protocol === ICMP ? view.getUint16(6) : view.getUint32(4)) : 0;
  const tuple = {
    local: isIpv6 ? quoted.subarray(8, 24) : quoted.subarray(12, 16),
    remote: isIpv6 ? quoted.subarray(24, 40) : quoted.subarray(16, 20),
    localPort: ports.getUint16(0),
    remotePort: ports.getUint16(2),
  };
  return { kind: 'icmp', error: { tuple, seq: ports.getInt32(4), type, code: bytes[1]!, mtu } };
}

/** What is written of a segment: one of those that `segment` is cut into. */
export interface Piece {
  readonly seq: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** A packet with a TCP segment; the options are in Linux's order. */
export function buildPacket(tuple: Tuple, segment: OutgoingSegment, { seq, flags, payload }: Piece): Uint8Array {
  const isIpv6 = tuple.local.length === 16;
  const options = buildOptions(segment);
  const ip = isIpv6 ? 40 : 20;
  const header = 20 + options.length;
  const bytes = new Uint8Array(ip + header + payload.length);
  const view = viewOf(bytes);
  if (isIpv6) {
    view.setUint32(0, 0x60000000 | (segment.ecn << 20));
    view.setUint16(4, bytes.length - 40);
    bytes.set([TCP, 64], 6);
    bytes.set(tuple.local, 8);
    bytes.set(tuple.remote, 24);
  } else {
    bytes.set([0x45, segment.ecn], 0);
    view.setUint16(2, bytes.length);
    bytes.set([0x40, 0, 64, TCP], 6); // do not fragment
    bytes.set(tuple.local, 12);
    bytes.set(tuple.remote, 16);
    view.setUint16(10, checksum([bytes.subarray(0, 20)]));
  }
  view.setUint16(ip, tuple.localPort);
  view.setUint16(ip + 2, tuple.remotePort);
  view.setInt32(ip + 4, seq);
  view.setInt32(ip + 8, segment.ack);
  bytes[ip + 12] = (header / 4) << 4;
  bytes[ip + 13] = flags;
  view.setUint16(ip + 14, segment.window);
  bytes.set(options, ip + 20);
  bytes.set(payload, ip + header);
  const content = bytes.subarray(ip);
  view.setUint16(ip + 16, checksum([pseudoHeader(tuple.local, tuple.remote, content.length), content]));
  return bytes;
}

function buildOptions(segment: OutgoingSegment): Uint8Array {
  const options: number[] = [];
  if (segment.mss > 0) options.push(2, 4, ...word16(segment.mss));
  if (segment.hasTimestamp) {
    // SACK permitted stands where two NOPs would.
    if (segment.sackPermitted) options.push(4, 2);
    else options.push(1, 1);
    options.push(8, 10, ...word32(segment.timestamp), ...word32(segment.timestampEcho));
  } else if (segment.sackPermitted) {
    options.push(1, 1, 4, 2);
  }
  if (segment.scale >= 0) options.push(1, 3, 3, segment.scale);
  if (segment.sackCount > 0) {
    options.push(1, 1, 5, 2 + 8 * segment.sackCount);
    for (let i = 0; i < 2 * segment.sackCount; i++) options.push(...word32(segment.sack[i]!));
  }
  return Uint8Array.from(options);
}

const word16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const word32 = (value: number): number[] => [...word16(value >>> 16), ...word16(value)];

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function pseudoHeader(from: Uint8Array, to: Uint8Array, size: number): Uint8Array {
  return Uint8Array.from([...from, ...to, ...word32(size), 0, 0, 0, TCP]);
}

/** The Internet checksum (RFC 1071) over parts of which all but the last have an even size. 0 when one is in it, and right. */
function checksum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 2) sum += (part[at]! << 8) | (part[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum ^ 0xffff;
}
