/** The rows of a packet port: what its 32-bit words are. native/netstack/row.h has the same numbers. */

/** 32-bit words of a row. */
export const ROW = 32;

/** Words of a row of `incoming`. Those from `seq` on are TCP's, but for what KIND says. */
export const IN = {
  /** One of KIND. */
  kind: 0,
  /** The attached flow that the packet is of, -1 for none. */
  flow: 1,
  /** The IP packet: offset in the slab, and bytes. */
  packet: 2,
  packetSize: 3,
  /** Offset in the slab, and bytes: payload of TCP and UDP, the ICMP message, or what is behind all IP headers. */
  payload: 4,
  payloadSize: 5,
  /** Payload of each segment that the packet was merged from, but the last; else payloadSize. */
  segmentSize: 6,
  /** local << 16 | remote, of TCP and UDP. Local is the packet's destination. */
  ports: 7,
  /** Bits of FACT. */
  facts: 8,
  /** TCP's 8 bits. Of the other kinds: the number of the protocol (IANA "Protocol Numbers"). */
  flags: 9,
  seq: 10,
  ack: 11,
  /** As it stands in the header. */
  window: 12,
  /** Bits of OPTION, and the number of SACK blocks. */
  options: 13,
  /** MSS in the low 16 bits, window scale in bits 16 to 23. */
  mss: 14,
  timestamp: 15,
  timestampEcho: 16,
  /** Start and end of up to 4 SACK blocks. */
  sack: 17,
  /** The urgent pointer, which says something with URG. */
  urgent: 25,
} as const;

/** What a packet is. */
export const KIND = {
  tcp: 1,
  udp: 2,
  /** ICMP of IPv4, or ICMPv6. */
  icmp: 3,
  /** Any other protocol; `seq`: offset in the packet of the byte that names it (RFC 4443 §3.4, code 1). */
  other: 4,
  /**
   * An IPv6 packet that goes no further and whose sender wants to hear of it (RFC 8200 §4.2, §4.4): `flags` is the code
   * of the Parameter Problem (RFC 4443 §3.4), `seq` the offset in the packet of what is wrong.
   */
  problem: 5,
} as const;

/** Of the word `facts`. */
export const FACT = {
  /** ECN field of the IP header (RFC 3168 §5). */
  ecnMask: 3,
  ipv6: 4,
  /** The packet came in fragments. */
  reassembled: 8,
  /** Where the hop limit begins, of 8 bits. */
  hopLimitShift: 8,
} as const;

/** Words of a row of `outgoing`; they mean what they mean in `incoming`. */
export const OUT = {
  flow: 0,
  seq: 1,
  ack: 2,
  /** TCP's 8 bits, and the ECN field of the IP header in bits 16 and 17. */
  flags: 3,
  window: 4,
  options: 5,
  mss: 6,
  timestamp: 7,
  timestampEcho: 8,
  sack: 9,
} as const;

/** Bits of both `options` words; the number of SACK blocks, 0 to 4, is in bits 8 to 11. */
export const OPTION = { mss: 1, scale: 2, sackPermitted: 4, timestamps: 8 } as const;
export const SACK_COUNT_SHIFT = 8;
