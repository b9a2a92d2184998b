/** Numbers of protocols in IP headers (IANA), and the way to them through IPv6's extension headers. */

export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMP6 = 58;

/** Bytes of a header without options: RFC 791 §3.1, RFC 8200 §3. */
export const HEADER4 = 20;
export const HEADER6 = 40;

/** Extension headers (RFC 8200 §4, RFC 4302 §2). */
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
export const NO_NEXT_HEADER = 59;
const DESTINATION_OPTIONS = 60;

/** Where a header says what it carries: RFC 791 §3.1, RFC 8200 §3. */
const PROTOCOL = 9;
const NEXT_HEADER = 6;
/** Bits of a fragment's offset: IPv4's in words of 8 bytes, IPv6's in bytes with three other bits below. */
const OFFSET4 = 0x1fff;
const OFFSET6 = 0xfff8;

/** What an IP packet carries. */
export interface Carried {
  readonly protocol: number;
  /** Where it begins, from the IP header's first byte; behind the end of a packet that is cut short. */
  readonly payload: number;
  /** It does not begin with what is carried: it is a fragment, and not the first. */
  readonly isLaterFragment: boolean;
}

/** What the bytes of an IP packet carry, of which the end may be missing; undefined when that is in the missing part. */
export function carriedBy(packet: Uint8Array, isIpv6: boolean): Carried | undefined {
  return isIpv6 ? carriedBy6(packet) : carriedBy4(packet);
}

function carriedBy4(packet: Uint8Array): Carried | undefined {
  if (packet.length < HEADER4) return undefined;
  const payload = 4 * (packet[0]! & 15);
  if (payload < HEADER4) return undefined;
  const isLaterFragment = (word16(packet, 6) & OFFSET4) !== 0;
  return { protocol: packet[PROTOCOL]!, payload, isLaterFragment };
}

function carriedBy6(packet: Uint8Array): Carried | undefined {
  if (packet.length < HEADER6) return undefined;
  let protocol = packet[NEXT_HEADER]!;
  let payload = HEADER6;
  for (;;) {
    const isExtension =
      protocol === HOP_BY_HOP ||
      protocol === ROUTING ||
      protocol === DESTINATION_OPTIONS ||
      protocol === FRAGMENT ||
      protocol === AUTHENTICATION;
    if (!isExtension) return { protocol, payload, isLaterFragment: false };
    // Each has its length or its offset in the first four bytes, and is 8 bytes at least.
    if (payload + 4 > packet.length) return undefined;
    const next = packet[payload]!;
    const size = packet[payload + 1]!;
    if (protocol === FRAGMENT) {
      if ((word16(packet, payload + 2) & OFFSET6) !== 0)
        return { protocol: next, payload: payload + 8, isLaterFragment: true };
      payload += 8;
    } else payload += protocol === AUTHENTICATION ? 4 * (size + 2) : 8 * (size + 1);
    protocol = next;
  }
}

/** 16 bits, big-endian. */
export function word16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** 32 bits, big-endian, signed. */
export function word32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
