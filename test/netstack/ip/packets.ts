/** IP packets as bytes, made and read: what a stack's peer sends and gets. */
import { isIPv6 } from 'node:net';
import { decodeAddress, encodeAddress } from '../../../src/wire/address.js';
import type { Endpoint } from '../../../src/wire/endpoint.js';

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMP6 = 58;

export interface Packet {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly hopLimit: number;
  readonly payload: Buffer;
}

/** An IP packet without options. */
export function makePacket(source: string, destination: string, protocol: number, payload: Uint8Array): Buffer {
  if (isIPv6(source)) {
    const header = Buffer.alloc(40);
    header[0] = 0x60;
    header.writeUInt16BE(payload.length, 4);
    header[6] = protocol;
    header[7] = 64;
    header.set(encodeAddress(source), 8);
    header.set(encodeAddress(destination), 24);
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header[8] = 64;
  header[9] = protocol;
  header.set(encodeAddress(source).subarray(12), 12);
  header.set(encodeAddress(destination).subarray(12), 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function makeUdp(source: Endpoint, destination: Endpoint, data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  const datagram = Buffer.alloc(8 + bytes.length);
  datagram.writeUInt16BE(source.port, 0);
  datagram.writeUInt16BE(destination.port, 2);
  datagram.writeUInt16BE(datagram.length, 4);
  datagram.set(bytes, 8);
  datagram.writeUInt16BE(checksum(pseudo(source.address, destination.address, UDP, datagram)) || 0xffff, 6);
  return makePacket(source.address, destination.address, UDP, datagram);
}

/** An ICMP packet, of the family of the addresses. The message's checksum is made. */
export function makeIcmp(source: string, destination: string, message: Uint8Array): Buffer {
  const bytes = Buffer.from(message);
  bytes.writeUInt16BE(0, 2);
  const isV6 = isIPv6(source);
  bytes.writeUInt16BE(checksum(isV6 ? pseudo(source, destination, ICMP6, bytes) : bytes), 2);
  return makePacket(source, destination, isV6 ? ICMP6 : ICMP, bytes);
}

/** The fragments of a packet, of at most `size` bytes of payload each (a multiple of 8). */
export function fragments(packet: Buffer, size: number, identification = 1): Buffer[] {
  const isV6 = packet[0]! >> 4 === 6;
  const payload = packet.subarray(isV6 ? 40 : 20);
  const pieces: Buffer[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const data = payload.subarray(at, at + size);
    const more = at + size < payload.length ? 1 : 0;
    pieces.push(
      isV6 ? fragment6(packet, data, at | more, identification) : fragment4(packet, data, at, more, identification),
    );
  }
  return pieces;
}

function fragment4(packet: Buffer, data: Buffer, at: number, more: number, identification: number): Buffer {
  const header = Buffer.from(packet.subarray(0, 20));
  header.writeUInt16BE(20 + data.length, 2);
  header.writeUInt16BE(identification, 4);
  header.writeUInt16BE((more << 13) | (at >> 3), 6);
  header.writeUInt16BE(0, 10);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, data]);
}

function fragment6(packet: Buffer, data: Buffer, place: number, identification: number): Buffer {
  const header = Buffer.from(packet.subarray(0, 40));
  const extension = Buffer.alloc(8);
  extension[0] = header[6]!;
  extension.writeUInt16BE(place, 2);
  extension.writeUInt32BE(identification, 4);
  header[6] = 44;
  header.writeUInt16BE(8 + data.length, 4);
  return Buffer.concat([header, extension, data]);
}

/** Reads a packet without options, and checks the checksums of its header, of UDP and of ICMP. */
export function readPacket(bytes: Uint8Array): Packet {
  const packet = Buffer.from(bytes);
  const isV6 = packet[0]! >> 4 === 6;
  const header = packet.subarray(0, isV6 ? 40 : 20);
  const read = {
    source: isV6 ? decodeAddress(header.subarray(8, 24)) : [...header.subarray(12, 16)].join('.'),
    destination: isV6 ? decodeAddress(header.subarray(24, 40)) : [...header.subarray(16, 20)].join('.'),
    protocol: header[isV6 ? 6 : 9]!,
    hopLimit: header[isV6 ? 7 : 8]!,
    payload: packet.subarray(header.length),
  };
  if (!isV6 && checksum(header) !== 0) throw new Error('The checksum of the header is wrong.');
  const hasPseudo = read.protocol === UDP || read.protocol === ICMP6;
  const isFragment = !isV6 && (header.readUInt16BE(6) & 0x3fff) !== 0;
  if (isFragment || (!hasPseudo && read.protocol !== ICMP)) return read;
  const { source, destination, protocol, payload } = read;
  const sum = checksum(hasPseudo ? pseudo(source, destination, protocol, payload) : payload);
  if (sum !== 0) throw new Error(`The checksum of protocol ${protocol} is wrong.`);
  return read;
}

export interface ReadDatagram {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly data: Buffer;
}

export function readUdp(bytes: Uint8Array): ReadDatagram {
  const { source, destination, protocol, payload } = readPacket(bytes);
  if (protocol !== UDP) throw new Error(`Protocol ${protocol} is not UDP.`);
  return {
    source: { address: source, port: payload.readUInt16BE(0) },
    destination: { address: destination, port: payload.readUInt16BE(2) },
    data: payload.subarray(8),
  };
}

/** RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** A datagram behind the pseudo header of its family (RFC 768, RFC 8200 §8.1); the sum of both forms is the same. */
function pseudo(source: string, destination: string, protocol: number, datagram: Uint8Array): Buffer {
  const isV6 = isIPv6(source);
  const address = (text: string): Uint8Array => encodeAddress(text).subarray(isV6 ? 0 : 12);
  const tail = Buffer.alloc(8);
  tail.writeUInt32BE(datagram.length, 0);
  tail.writeUInt32BE(protocol, 4);
  return Buffer.concat([address(source), address(destination), tail, datagram]);
}
