/**
 * Messages of ICMP (RFC 792, RFC 1122 §3.2.2) and ICMPv6 (RFC 4443): read and made. Pure. Whoever sends one fills in its
 * checksum, which is at `CHECKSUM_AT`.
 */
import { tupleOfPacket } from './addresses.js';
import { isMulticast, isUnicast } from './filter.js';
import { carriedBy, HEADER4, HEADER6, ICMP, ICMP6, TCP, UDP, word16, word32 } from './protocols.js';

/** What an error says. */
export type IcmpErrorKind =
  'net' | 'host' | 'protocol' | 'port' | 'prohibited' | 'tooBig' | 'timeExceeded' | 'parameterProblem';

/** The packet of ours that an error is about, as far as it is quoted. */
export interface Quote {
  readonly protocol: number;
  /** Both ends, 36 bytes: ours is the local one. Ports are 0 where the protocol has none. */
  readonly tuple: Uint8Array;
  /** TCP's sequence number, signed; 0 of other protocols. */
  readonly seq: number;
  /** Of an echo request: identifier << 16 | sequence number, not signed; -1 of anything else. */
  readonly echo: number;
}

export interface IcmpError {
  readonly type: 'error';
  readonly kind: IcmpErrorKind;
  /** Bytes of the largest packet that passes, with `tooBig`; else 0. */
  readonly mtu: number;
  /** Undefined when too little is quoted to know whose packet it was. */
  readonly quote: Quote | undefined;
}

export interface Echo {
  readonly type: 'echo' | 'echoReply';
  /** identifier << 16 | sequence number, not signed. */
  readonly id: number;
}

/** Bytes of the header of each message that is made here. */
export const ICMP_HEADER = 8;
/** Where the checksum is in any message. */
export const CHECKSUM_AT = 2;

const ECHO_REPLY4 = 0;
const UNREACHABLE4 = 3;
const ECHO4 = 8;
const TIME_EXCEEDED4 = 11;
const PARAMETER_PROBLEM4 = 12;
/** Source quench, redirect and the three above (RFC 1122 §3.2.2): none is answered with an error. */
const ERRORS4 = [UNREACHABLE4, 4, 5, TIME_EXCEEDED4, PARAMETER_PROBLEM4];

const UNREACHABLE6 = 1;
const TOO_BIG6 = 2;
const TIME_EXCEEDED6 = 3;
const PARAMETER_PROBLEM6 = 4;
const ECHO6 = 128;
const ECHO_REPLY6 = 129;
/** Types below are errors (RFC 4443 §2.1); a redirect is treated like one (§2.4 e.2). */
const FIRST_INFORMATION6 = 128;
const REDIRECT6 = 137;

/** By the code of "destination unreachable" (RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1). */
const KINDS4: readonly IcmpErrorKind[] = [
  'net',
  'host',
  'protocol',
  'port',
  'tooBig',
  'host', // source route failed
  'net', // unknown
  'host', // unknown
  'host', // isolated
  'prohibited',
  'prohibited',
  'net', // for this type of service
  'host', // for this type of service
  'prohibited',
  'prohibited', // host precedence violation
  'prohibited', // precedence cutoff
];

/** By the code of ICMPv6's (RFC 4443 §3.1). */
const KINDS6: readonly IcmpErrorKind[] = ['net', 'prohibited', 'net', 'host', 'port', 'prohibited', 'prohibited'];

/** Type and code of what is made. ICMPv6 calls an unknown protocol a parameter problem (RFC 4443 §3.4). */
const CODES4: Readonly<Record<IcmpErrorKind, readonly [number, number]>> = {
  net: [UNREACHABLE4, 0],
  host: [UNREACHABLE4, 1],
  protocol: [UNREACHABLE4, 2],
  port: [UNREACHABLE4, 3],
  tooBig: [UNREACHABLE4, 4],
  prohibited: [UNREACHABLE4, 13],
  timeExceeded: [TIME_EXCEEDED4, 0],
  parameterProblem: [PARAMETER_PROBLEM4, 0],
};
const CODES6: Readonly<Record<IcmpErrorKind, readonly [number, number]>> = {
  net: [UNREACHABLE6, 0],
  prohibited: [UNREACHABLE6, 1],
  host: [UNREACHABLE6, 3],
  port: [UNREACHABLE6, 4],
  tooBig: [TOO_BIG6, 0],
  timeExceeded: [TIME_EXCEEDED6, 0],
  parameterProblem: [PARAMETER_PROBLEM6, 0],
  protocol: [PARAMETER_PROBLEM6, 1],
};

/** Bytes of the largest packet with an error in it: RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c). */
const MOST4 = 576;
const MOST6 = 1280;

/** MTUs of links (RFC 1191 §7.1): for routers that say that a packet was too big, and not what is not. */
const PLATEAUS = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/** Reads a message; undefined: one that nobody here wants. */
export function parseIcmp(message: Uint8Array, isIpv6: boolean): Echo | IcmpError | undefined {
  if (message.length < ICMP_HEADER) return undefined;
  const type = message[0]!;
  if (type === (isIpv6 ? ECHO6 : ECHO4)) return { type: 'echo', id: word32(message, 4) >>> 0 };
  if (type === (isIpv6 ? ECHO_REPLY6 : ECHO_REPLY4)) return { type: 'echoReply', id: word32(message, 4) >>> 0 };
  const kind = isIpv6 ? kindOf6(type, message[1]!) : kindOf4(type, message[1]!);
  if (!kind) return undefined;
  const quoted = message.subarray(ICMP_HEADER);
  const mtu = kind === 'tooBig' ? mtuOf(message, quoted, isIpv6) : 0;
  return { type: 'error', kind, mtu, quote: quoteOf(quoted, isIpv6) };
}

function kindOf4(type: number, code: number): IcmpErrorKind | undefined {
  if (type === UNREACHABLE4) return KINDS4[code];
  if (type === TIME_EXCEEDED4) return 'timeExceeded';
  return type === PARAMETER_PROBLEM4 ? 'parameterProblem' : undefined;
}

function kindOf6(type: number, code: number): IcmpErrorKind | undefined {
  if (type === UNREACHABLE6) return KINDS6[code];
  if (type === TOO_BIG6) return 'tooBig';
  if (type === TIME_EXCEEDED6) return 'timeExceeded';
  if (type !== PARAMETER_PROBLEM6) return undefined;
  return code === CODES6.protocol[1] ? 'protocol' : 'parameterProblem';
}

function mtuOf(message: Uint8Array, quoted: Uint8Array, isIpv6: boolean): number {
  if (isIpv6) return word32(message, 4) >>> 0;
  const mtu = word16(message, 6);
  if (mtu !== 0 || quoted.length < HEADER4) return mtu;
  // A router from before RFC 1191: the next link that is smaller than the packet was (§5).
  const size = word16(quoted, 2);
  return PLATEAUS.find((plateau) => plateau < size) ?? 0;
}

function quoteOf(quoted: Uint8Array, isIpv6: boolean): Quote | undefined {
  const carried = carriedBy(quoted, isIpv6);
  // 64 bits of what it carried are quoted at least (RFC 792), and tell ports and sequence number.
  if (!carried || carried.isLaterFragment || carried.payload + 8 > quoted.length) return undefined;
  const { protocol, payload } = carried;
  const hasPorts = protocol === TCP || protocol === UDP;
  const isEcho = isIpv6
    ? protocol === ICMP6 && quoted[payload] === ECHO6
    : protocol === ICMP && quoted[payload] === ECHO4;
  const sourcePort = hasPorts ? word16(quoted, payload) : 0;
  const destinationPort = hasPorts ? word16(quoted, payload + 2) : 0;
  return {
    protocol,
    tuple: tupleOfPacket(quoted, 0, isIpv6, { sourcePort, destinationPort, isOurs: true }),
    seq: protocol === TCP ? word32(quoted, payload + 4) : 0,
    echo: isEcho ? word32(quoted, payload + 4) >>> 0 : -1,
  };
}

/** An echo request. `id` is identifier << 16 | sequence number. */
export function makeEcho(id: number, data: Uint8Array, isIpv6: boolean): Uint8Array {
  const message = new Uint8Array(ICMP_HEADER + data.length);
  message[0] = isIpv6 ? ECHO6 : ECHO4;
  set32(message, 4, id);
  message.set(data, ICMP_HEADER);
  return message;
}

/** The reply to an echo request: the same with another type. The request is left as it is. */
export function makeEchoReply(request: Uint8Array, isIpv6: boolean): Uint8Array {
  const message = request.slice();
  message[0] = isIpv6 ? ECHO_REPLY6 : ECHO_REPLY4;
  message[1] = message[CHECKSUM_AT] = message[CHECKSUM_AT + 1] = 0;
  return message;
}

/**
 * An error about a packet, which is quoted as far as it fits.
 *
 * @param detail with `tooBig`, bytes of the largest packet that passes; with `protocol` over IPv6, which byte of the packet
 *   names the protocol
 */
export function makeIcmpError(kind: IcmpErrorKind, packet: Uint8Array, isIpv6: boolean, detail = 0): Uint8Array {
  const [type, code] = (isIpv6 ? CODES6 : CODES4)[kind];
  return makeError(type, code, packet, isIpv6, detail);
}

/**
 * A parameter problem of ICMPv6 (RFC 4443 §3.4).
 *
 * @param pointer which byte of the packet is wrong
 */
export function makeParameterProblem(code: number, packet: Uint8Array, pointer: number): Uint8Array {
  return makeError(PARAMETER_PROBLEM6, code, packet, true, pointer);
}

function makeError(type: number, code: number, packet: Uint8Array, isIpv6: boolean, detail: number): Uint8Array {
  const most = isIpv6 ? MOST6 - HEADER6 : MOST4 - HEADER4;
  const quoted = packet.subarray(0, most - ICMP_HEADER);
  const message = new Uint8Array(ICMP_HEADER + quoted.length);
  message[0] = type;
  message[1] = code;
  // IPv4 has an MTU in the low half (RFC 1191 §4), and nothing else that is said here.
  set32(message, 4, detail);
  message.set(quoted, ICMP_HEADER);
  return message;
}

/**
 * Whether a packet may be answered with an error: not one that is an error itself, a fragment but the first, or for or
 * from many (RFC 1122 §3.2.2, RFC 4443 §2.4 e).
 *
 * @param source in the kernel's spelling, as `destination`
 */
export function mayAnswerWithError(packet: Uint8Array, source: string, destination: string, isIpv6: boolean): boolean {
  if (!isUnicast(source) || isMulticast(destination) || destination === '255.255.255.255') return false;
  if (!isIpv6 && Number.parseInt(source, 10) >= 240) return false; // class E
  const carried = carriedBy(packet, isIpv6);
  if (!carried || carried.isLaterFragment) return false;
  const type = packet[carried.payload];
  if (!isIpv6) return carried.protocol !== ICMP || (type !== undefined && !ERRORS4.includes(type));
  if (carried.protocol !== ICMP6) return true;
  return type !== undefined && type >= FIRST_INFORMATION6 && type !== REDIRECT6;
}

/** The code of node:net and node:dgram for what an error says. */
export function codeOf(kind: IcmpErrorKind): 'ECONNREFUSED' | 'EHOSTUNREACH' | 'ENETUNREACH' | 'EMSGSIZE' | 'EPROTO' {
  return CODES[kind];
}

const CODES = {
  port: 'ECONNREFUSED',
  protocol: 'ECONNREFUSED',
  host: 'EHOSTUNREACH',
  prohibited: 'EHOSTUNREACH',
  timeExceeded: 'EHOSTUNREACH',
  net: 'ENETUNREACH',
  tooBig: 'EMSGSIZE',
  parameterProblem: 'EPROTO',
} as const satisfies Record<IcmpErrorKind, string>;

function set32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
