/**
 * Addresses of packets as strings, and strings as the 16 bytes that the packet port takes (IPv4 mapped, RFC 4291
 * §2.5.5.2). What was translated once is remembered, within bounds: few addresses make most of the packets.
 */
import { checkAddress } from '../../kit/arguments.js';
import { NETSTACK_ADDRESSES } from '../../policy.js';
import { decodeAddress, encodeAddress, normalAddress } from '../../wire/address.js';
import type { Endpoint } from '../../wire/endpoint.js';
import { TUPLE_SIZE } from '../../wire/tuple.js';

/** Bytes of an address. */
export const ADDRESS_SIZE = 16;
/** The word of a mapped IPv4 address in front of its own 32 bits. */
const MAPPED = 0xffff;

/** Where a header has its addresses: RFC 791 §3.1, RFC 8200 §3. */
const SOURCE4 = 12;
const DESTINATION4 = 16;
const SOURCE6 = 8;
const DESTINATION6 = 24;

/** The four words of an address, of a packet's header or of 16 bytes. One is filled again and again. */
export class AddressWords {
  a = 0;
  b = 0;
  c = 0;
  d = 0;

  /** @param packet where the IP header begins in `slab` */
  readSource(slab: Uint8Array, packet: number, isIpv6: boolean): this {
    return isIpv6 ? this.read6(slab, packet + SOURCE6) : this.read4(slab, packet + SOURCE4);
  }

  readDestination(slab: Uint8Array, packet: number, isIpv6: boolean): this {
    return isIpv6 ? this.read6(slab, packet + DESTINATION6) : this.read4(slab, packet + DESTINATION4);
  }

  read4(slab: Uint8Array, at: number): this {
    this.a = this.b = 0;
    this.c = MAPPED;
    this.d = wordAt(slab, at);
    return this;
  }

  read6(slab: Uint8Array, at: number): this {
    this.a = wordAt(slab, at);
    this.b = wordAt(slab, at + 4);
    this.c = wordAt(slab, at + 8);
    this.d = wordAt(slab, at + 12);
    return this;
  }

  /** An address of IPv4: the port lets no IPv6 packet pass that has one. */
  get isMapped(): boolean {
    return this.a === 0 && this.b === 0 && this.c === MAPPED;
  }

  /** A number of 32 bits, signed, that spreads addresses over the slots of a table. */
  get hash(): number {
    const high = Math.imul(this.a ^ Math.imul(this.b, 0x9e3779b1), 0x85ebca6b);
    const low = Math.imul(this.c ^ Math.imul(this.d, 0xc2b2ae35), 0x27d4eb2f);
    const mixed = Math.imul(high ^ low ^ ((high ^ low) >>> 16), 0x45d9f3b5);
    return mixed ^ (mixed >>> 16);
  }

  write(bytes: Uint8Array, at: number): void {
    setWord(bytes, at, this.a);
    setWord(bytes, at + 4, this.b);
    setWord(bytes, at + 8, this.c);
    setWord(bytes, at + 12, this.d);
  }

  toString(): string {
    if (this.isMapped) return `${this.d >>> 24}.${(this.d >>> 16) & 255}.${(this.d >>> 8) & 255}.${this.d & 255}`;
    const bytes = new Uint8Array(ADDRESS_SIZE);
    this.write(bytes, 0);
    return decodeAddress(bytes);
  }
}

/** Spellings of the addresses that packets have, and the bytes of those that users write. */
export class AddressBook {
  readonly #words = new Int32Array(4 * NETSTACK_ADDRESSES.names);
  readonly #names = new Array<string | undefined>(NETSTACK_ADDRESSES.names).fill(undefined);
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #found = new AddressWords();

  /** The source of a packet, in the kernel's spelling. */
  source(slab: Uint8Array, packet: number, isIpv6: boolean): string {
    return this.name(this.#found.readSource(slab, packet, isIpv6));
  }

  destination(slab: Uint8Array, packet: number, isIpv6: boolean): string {
    return this.name(this.#found.readDestination(slab, packet, isIpv6));
  }

  name(address: AddressWords): string {
    const slot = address.hash & (NETSTACK_ADDRESSES.names - 1);
    const words = this.#words;
    const at = 4 * slot;
    const known = this.#names[slot];
    if (
      known !== undefined &&
      words[at + 3] === address.d &&
      words[at + 2] === address.c &&
      words[at + 1] === address.b &&
      words[at] === address.a
    )
      return known;
    words[at] = address.a;
    words[at + 1] = address.b;
    words[at + 2] = address.c;
    words[at + 3] = address.d;
    return (this.#names[slot] = address.toString());
  }

  /**
   * An address that a user has given, in the kernel's spelling.
   *
   * @throws {GuiseError} ERR_GUISE_ARGUMENT: `name` is no address
   */
  check(name: string, given: unknown): string {
    if (typeof given === 'string' && this.#bytes.has(given)) return given;
    const address = normalAddress(checkAddress(name, given));
    this.bytes(address);
    return address;
  }

  /** The 16 bytes of an address, for reading only. */
  bytes(address: string): Uint8Array {
    const known = this.#bytes.get(address);
    if (known) return known;
    const bytes = encodeAddress(address);
    if (decodeAddress(bytes) !== address) return bytes;
    if (this.#bytes.size === NETSTACK_ADDRESSES.bytes) this.#bytes.clear();
    this.#bytes.set(address, bytes);
    return bytes;
  }

  /** Fills a tuple of the packet port: 36 bytes, ports big-endian. */
  setTuple(tuple: Uint8Array, local: Endpoint, remote: Endpoint): void {
    tuple.set(this.bytes(local.address), 0);
    tuple.set(this.bytes(remote.address), ADDRESS_SIZE);
    setPorts(tuple, local.port, remote.port);
  }

  /** The ends of a tuple of the packet port. */
  ends(tuple: Uint8Array): { readonly local: Endpoint; readonly remote: Endpoint } {
    const local = this.name(this.#found.read6(tuple, 0));
    const remote = this.name(this.#found.read6(tuple, ADDRESS_SIZE));
    return {
      local: { address: local, port: portAt(tuple, LOCAL_PORT) },
      remote: { address: remote, port: portAt(tuple, REMOTE_PORT) },
    };
  }
}

const LOCAL_PORT = 2 * ADDRESS_SIZE;
const REMOTE_PORT = LOCAL_PORT + 2;

const scratch = new AddressWords();

/**
 * The tuple of a packet that has come (its destination is the local end), or with `isOurs` of one that we have sent.
 *
 * @param sourcePort with `destinationPort` 0 where the protocol has no ports
 */
export function tupleOfPacket(
  slab: Uint8Array,
  packet: number,
  isIpv6: boolean,
  { sourcePort, destinationPort, isOurs }: { sourcePort: number; destinationPort: number; isOurs: boolean },
): Uint8Array {
  const tuple = new Uint8Array(TUPLE_SIZE);
  scratch.readSource(slab, packet, isIpv6).write(tuple, isOurs ? 0 : ADDRESS_SIZE);
  scratch.readDestination(slab, packet, isIpv6).write(tuple, isOurs ? ADDRESS_SIZE : 0);
  setPorts(tuple, isOurs ? sourcePort : destinationPort, isOurs ? destinationPort : sourcePort);
  return tuple;
}

/** Fills the 32 bytes of both addresses for the answer to a packet: from its destination to its source. */
export function setAnswerAddresses(addresses: Uint8Array, slab: Uint8Array, packet: number, isIpv6: boolean): void {
  scratch.readDestination(slab, packet, isIpv6).write(addresses, 0);
  scratch.readSource(slab, packet, isIpv6).write(addresses, ADDRESS_SIZE);
}

function setPorts(tuple: Uint8Array, local: number, remote: number): void {
  tuple[LOCAL_PORT] = local >>> 8;
  tuple[LOCAL_PORT + 1] = local;
  tuple[REMOTE_PORT] = remote >>> 8;
  tuple[REMOTE_PORT + 1] = remote;
}

function portAt(tuple: Uint8Array, at: number): number {
  return (tuple[at]! << 8) | tuple[at + 1]!;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function setWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}
