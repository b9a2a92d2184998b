/** IPv4 TCP segments for tests, built and read apart from the code under test. */

export interface TestSegment {
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly seq: number;
  readonly ack: number;
  readonly flags: number;
  readonly window?: number;
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
}

export function build(segment: TestSegment): Buffer {
  const { options = new Uint8Array(0), payload = new Uint8Array(0) } = segment;
  const tcp = Buffer.alloc(20 + options.length + payload.length);
  tcp.writeUInt16BE(segment.sourcePort, 0);
  tcp.writeUInt16BE(segment.destinationPort, 2);
  tcp.writeUInt32BE(segment.seq >>> 0, 4);
  tcp.writeUInt32BE(segment.ack >>> 0, 8);
  tcp[12] = (20 + options.length) << 2;
  tcp[13] = segment.flags;
  tcp.writeUInt16BE(segment.window ?? 0xffff, 14);
  tcp.set(options, 20);
  tcp.set(payload, 20 + options.length);
  const ip = Buffer.alloc(20);
  ip[0] = 0x45;
  ip.writeUInt16BE(20 + tcp.length, 2);
  ip.writeUInt16BE(0x4000, 6);
  ip[8] = 64;
  ip[9] = 6;
  ip.set(segment.source.split('.').map(Number), 12);
  ip.set(segment.destination.split('.').map(Number), 16);
  ip.writeUInt16BE(checksum(ip), 10);
  const pseudo = Buffer.concat([ip.subarray(12, 20), Buffer.from([0, 6, tcp.length >> 8, tcp.length & 0xff]), tcp]);
  tcp.writeUInt16BE(checksum(pseudo), 16);
  return Buffer.concat([ip, tcp]);
}

export function read(packet: Buffer): Required<TestSegment> & { readonly checksumGood: boolean } {
  const tcp = packet.subarray(20, packet.readUInt16BE(2));
  const header = (tcp[12]! >> 4) * 4;
  const pseudo = Buffer.concat([packet.subarray(12, 20), Buffer.from([0, 6, tcp.length >> 8, tcp.length & 0xff]), tcp]);
  return {
    source: packet.subarray(12, 16).join('.'),
    destination: packet.subarray(16, 20).join('.'),
    sourcePort: tcp.readUInt16BE(0),
    destinationPort: tcp.readUInt16BE(2),
    seq: tcp.readUInt32BE(4),
    ack: tcp.readUInt32BE(8),
    flags: tcp[13]!,
    window: tcp.readUInt16BE(14),
    options: tcp.subarray(20, header),
    payload: tcp.subarray(header),
    checksumGood: checksum(packet.subarray(0, 20)) === 0 && checksum(pseudo) === 0,
  };
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
