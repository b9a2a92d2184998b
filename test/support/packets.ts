/** Small IP packets by hand, for tests of what reads them: IPv4 or IPv6 by the addresses, checksums right. */
import { encodeAddress } from '../../src/wire/address.js';

export const TCP_PROTOCOL = 6;
export const UDP_PROTOCOL = 17;

export interface Ends {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** The Internet checksum (RFC 1071) of parts of an even size, but the last. */
function checksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** A packet with what an upper layer has made; its checksum is filled in at an offset. */
export function ipPacket(
  { source, destination }: Ends,
  protocol: number,
  upper: Uint8Array,
  checksumAt: number,
): Buffer {
  const addresses = Buffer.concat([encodeAddress(source), encodeAddress(destination)]);
  const v4 = !source.includes(':');
  const header = Buffer.alloc(v4 ? 20 : 40);
  if (v4) {
    header[0] = 0x45;
    header.writeUInt16BE(20 + upper.length, 2);
    header[8] = 64;
    header[9] = protocol;
    addresses.copy(header, 12, 12, 16);
    addresses.copy(header, 16, 28, 32);
    header.writeUInt16BE(checksum(header), 10);
  } else {
    header[0] = 0x60;
    header.writeUInt16BE(upper.length, 4);
    header[6] = protocol;
    header[7] = 64;
    addresses.copy(header, 8);
  }
  const pseudo = Buffer.from([0, protocol, upper.length >> 8, upper.length & 0xff]);
  const filled = Buffer.from(upper);
  filled.writeUInt16BE(0, checksumAt);
  filled.writeUInt16BE(checksum(header.subarray(v4 ? 12 : 8), pseudo, filled), checksumAt);
  return Buffer.concat([header, filled]);
}

export interface TcpFields {
  readonly seq?: number;
  readonly ack?: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: readonly number[];
  readonly payload?: Uint8Array;
}

export function tcpPacket(
  ends: Ends,
  { seq = 0, ack = 0, flags, window = 65_535, options = [], payload }: TcpFields,
): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(ends.sourcePort, 0);
  header.writeUInt16BE(ends.destinationPort, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header[12] = (5 + options.length / 4) << 4;
  header[13] = flags;
  header.writeUInt16BE(window, 14);
  const CHECKSUM = 16;
  return ipPacket(
    ends,
    TCP_PROTOCOL,
    Buffer.concat([header, Buffer.from(options), payload ?? Buffer.alloc(0)]),
    CHECKSUM,
  );
}

export function udpPacket(ends: Ends, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(ends.sourcePort, 0);
  header.writeUInt16BE(ends.destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  const CHECKSUM = 6;
  return ipPacket(ends, UDP_PROTOCOL, Buffer.concat([header, payload]), CHECKSUM);
}
