/**
 * The packet port: what a stack in TypeScript has of a device. It reads packets into a slab and says what each of them is
 * in a row of 32-bit words (packet_row.ts); it writes segments by rows of the same kind, and other packets by their
 * bytes. One thread, and no packet is an object.
 *
 * Calls answer a value >= 0 or a negative errno; only misuse throws.
 */
import { systemError } from '../errors.js';
import { PACKET_PORT } from '../policy.js';
import { addon, PORT_COUNTERS, type NativePacketPort } from './addon.js';

export * from './packet_row.js';

/** Rows of `outgoing`. */
export const OUTGOING_ROWS = 128;

/** Bytes that a slab has to have behind the place that is read at, for each packet: the largest, and what precedes it. */
export const READ_ROOM = 65_600;

/** Words of the state that the port shares. */
export const STATE = { used: 0, mtu: 1, fed: 2, written: 3 } as const;

/** Bytes of a tuple: local address, remote address (16 each, IPv4 mapped), local port, remote port (big-endian). */
export const PORT_TUPLE = 36;

export const TCP = 6;
export const UDP = 17;

/** Packets, unless said. */
export type PortCounters = Readonly<Record<(typeof PORT_COUNTERS)[number], number>>;

export type PortDevice =
  | {
      /** Carries one IP packet a read and a write: a queue of a TUN, or an end of a socketpair. The port closes it. */
      readonly descriptor: number;
      /** A virtio_net_hdr precedes every packet. */
      readonly virtioHeader: boolean;
      /** The kernel takes super-segments. */
      readonly segmentation: boolean;
      /** Bytes of the largest packet to write, 68 to 65 535. Default: the interface's; 1500 where there is none. */
      readonly mtu?: number | undefined;
    }
  /** No device: packets are fed and taken. */
  | { readonly memory: true; readonly mtu: number };

export interface PortOptions {
  /** Rows of a batch, 1 to 1024. Default 64. */
  readonly rows?: number | undefined;
}

export interface PacketPort extends Disposable {
  /** rows × ROW words, filled by `read`. */
  readonly incoming: Int32Array;
  /** OUTGOING_ROWS × ROW words, filled by the caller. */
  readonly outgoing: Int32Array;
  /** Bytes of the largest packet that is written in one piece. */
  readonly mtu: number;

  /**
   * Calls `readable` from the event loop while packets wait, and once when the device is gone. Once a port.
   *
   * @throws {GuiseError} with the system's code where the descriptor cannot be watched
   */
  watch(readable: () => void): void;
  /** Whether watching keeps the process alive; it does at first. */
  ref(): void;
  unref(): void;

  /**
   * Reads what waits: as many packets as there are rows, and as fit into `slab` from `at` on (READ_ROOM each). The rows
   * that it filled, or -errno when the device is gone. Packets that are damaged, and fragments, give no row.
   *
   * Of an ACK without payload that is of a flow no bytes are kept: its `packet` says nothing.
   */
  read(slab: Uint8Array, at: number): number;
  /** Where the next packet may go into the slab of the last `read`. */
  readonly used: number;

  /** Writes segments without payload by the first `count` rows of `outgoing`. Those that did not leave. */
  writeSegments(count: number): number;
  /**
   * Writes payload of a flow: `size` bytes that begin `offset` bytes into `chunks[first]`, cut every `segmentSize` bytes,
   * with headers by a row of `outgoing`. FIN and PSH go with the last segment, CWR with the first, options with each. The
   * bytes that left, which may be less than all, or -errno when none did: EINVAL where the chunks have less, EBADF where
   * the row's flow is none, EMSGSIZE where no packet holds a segment, or what the device says.
   */
  writeData(
    row: number,
    chunks: readonly Uint8Array[],
    first: number,
    offset: number,
    size: number,
    segmentSize: number,
  ): number;
  /** Answers a TCP segment of the batch that was read last by row 0 of `outgoing`, whose flow does not matter. */
  answer(inRow: number): number;

  /**
   * Makes a flow, TCP or UDP. Its id, 0 at least; -1 when the tuple has one. Packets of the batch that was read last have
   * it in their rows from then on.
   */
  attach(protocol: number, tuple: Uint8Array): number;
  /** The same for the tuple of a packet of the batch that was read last. */
  attachRow(inRow: number): number;
  /** The flow of a tuple, -1 for none. */
  find(protocol: number, tuple: Uint8Array): number;
  /** Ends a flow. Packets of the batch that was read last are of none from then on. */
  detach(flow: number): void;

  /** A keyed hash (SipHash) of a tuple and a word: 32 bits, signed. The key is the port's, and random. */
  hashRow(inRow: number, word: number): number;
  hashTuple(tuple: Uint8Array, word: number): number;

  /**
   * Writes a datagram, in fragments where it is larger than `mtu`: 68 to 65 535, the port's unless given. 0 or -errno:
   * EMSGSIZE beyond 65 507 bytes over IPv4, 65 527 over IPv6.
   */
  writeUdp(tuple: Uint8Array, payload: Uint8Array, mtu?: number): number;
  /** The same on a flow. */
  writeUdpFlow(flow: number, payload: Uint8Array, mtu?: number): number;
  /**
   * Writes a packet, in fragments where it is larger than the port's MTU. 0 or -errno.
   *
   * @param addresses 32 bytes: local, remote (IPv4 mapped)
   * @param checksumAt where in the payload an Internet checksum goes, -1 for none; that of TCP, UDP and ICMPv6 has the
   *   pseudo header in it
   */
  writePacket(
    protocol: number,
    addresses: Uint8Array,
    payload: Uint8Array,
    hopLimit: number,
    checksumAt: number,
  ): number;

  /** Asks the interface for its MTU again. */
  refresh(): void;
  counters(): PortCounters;
  close(): void;

  /** Memory devices only: a packet in; it is dropped and counted where too much waits. */
  feed(packet: Uint8Array): void;
  /** … a packet that was written. */
  take(): Uint8Array | undefined;
  /** … calls `written` at the end of a turn in which packets were written. */
  onWritten(written: () => void): void;
}

/**
 * Opens a port.
 *
 * @throws {GuiseError} with the system's code and the call that failed; the descriptor is closed then
 */
export function openPort(device: PortDevice, options: PortOptions = {}): PacketPort {
  return new NativePort(device, options);
}

class NativePort implements PacketPort {
  readonly incoming: Int32Array;
  readonly outgoing: Int32Array;
  readonly #native: NativePacketPort;
  /** What the port says beside answers: see STATE. */
  readonly #state: Int32Array;
  /** The counters as halves of their 64-bit words. */
  readonly #halves: Uint32Array;
  readonly #memory: boolean;
  #readable: (() => void) | undefined;
  #written: (() => void) | undefined;
  #turn: NodeJS.Immediate | undefined;
  #referenced = true;
  #tells = false;
  #closed = false;

  constructor(device: PortDevice, { rows = 64 }: PortOptions) {
    this.#memory = 'memory' in device;
    this.#native = new addon.PacketPort();
    const error = this.#native.open(
      'memory' in device
        ? { descriptor: -1, virtioHeader: false, segmentation: false, mtu: device.mtu, rows, ...PACKET_PORT }
        : { ...device, mtu: device.mtu ?? 0, rows, ...PACKET_PORT },
    );
    if (error < 0) throw systemError(error, this.#native.lastSyscall);
    const { incoming, outgoing, state, counters } = this.#native.memory();
    this.incoming = new Int32Array(incoming);
    this.outgoing = new Int32Array(outgoing);
    this.#state = new Int32Array(state);
    this.#halves = new Uint32Array(counters);
  }

  get mtu(): number {
    return this.#state[STATE.mtu]!;
  }

  get used(): number {
    return this.#state[STATE.used]!;
  }

  watch(readable: () => void): void {
    this.#readable = readable;
    if (this.#memory) return this.#wake();
    const error = this.#native.watch(readable);
    if (error < 0) throw systemError(error, this.#native.lastSyscall);
  }

  ref(): void {
    this.#reference(true);
  }

  unref(): void {
    this.#reference(false);
  }

  read(slab: Uint8Array, at: number): number {
    return this.#native.read(slab, at);
  }

  writeSegments(count: number): number {
    const refused = this.#native.writeSegments(count);
    if (this.#memory) this.#tell();
    return refused;
  }

  writeData(
    row: number,
    chunks: readonly Uint8Array[],
    first: number,
    offset: number,
    size: number,
    segmentSize: number,
  ): number {
    const left = this.#native.writeData(row, chunks, first, offset, size, segmentSize);
    if (this.#memory) this.#tell();
    return left;
  }

  answer(inRow: number): number {
    return this.#told(this.#native.answer(inRow));
  }

  attach(protocol: number, tuple: Uint8Array): number {
    return this.#native.attach(protocol, tuple);
  }

  attachRow(inRow: number): number {
    return this.#native.attachRow(inRow);
  }

  find(protocol: number, tuple: Uint8Array): number {
    return this.#native.find(protocol, tuple);
  }

  detach(flow: number): void {
    this.#native.detach(flow);
  }

  hashRow(inRow: number, word: number): number {
    return this.#native.hashRow(inRow, word);
  }

  hashTuple(tuple: Uint8Array, word: number): number {
    return this.#native.hashTuple(tuple, word);
  }

  writeUdp(tuple: Uint8Array, payload: Uint8Array, mtu = 0): number {
    return this.#told(this.#native.writeUdp(tuple, payload, mtu));
  }

  writeUdpFlow(flow: number, payload: Uint8Array, mtu = 0): number {
    return this.#told(this.#native.writeUdpFlow(flow, payload, mtu));
  }

  writePacket(
    protocol: number,
    addresses: Uint8Array,
    payload: Uint8Array,
    hopLimit: number,
    checksumAt: number,
  ): number {
    return this.#told(this.#native.writePacket(protocol, addresses, payload, hopLimit, checksumAt));
  }

  refresh(): void {
    this.#native.refresh();
  }

  counters(): PortCounters {
    const { fields } = addon.layout.portCounters;
    const of = (name: (typeof PORT_COUNTERS)[number]): number =>
      this.#halves[2 * fields[name]]! + this.#halves[2 * fields[name] + 1]! * 2 ** 32;
    return Object.fromEntries(PORT_COUNTERS.map((name) => [name, of(name)])) as PortCounters;
  }

  close(): void {
    this.#closed = true;
    this.#native.close();
    clearImmediate(this.#turn);
    this.#turn = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  feed(packet: Uint8Array): void {
    this.#native.feed(packet);
    this.#wake();
  }

  take(): Uint8Array | undefined {
    return this.#native.take();
  }

  onWritten(written: () => void): void {
    this.#written = written;
    this.#tell();
  }

  #told(answer: number): number {
    if (this.#memory) this.#tell();
    return answer;
  }

  /** Says once a turn that packets wait to be taken. */
  #tell(): void {
    if (this.#tells || !this.#written || this.#state[STATE.written] === 0) return;
    this.#tells = true;
    queueMicrotask(() => {
      this.#tells = false;
      if (!this.#closed && this.#state[STATE.written] !== 0) this.#written?.();
    });
  }

  /** Calls `readable` in the next turn of the event loop, and again while packets wait. */
  #wake(): void {
    if (this.#turn ?? this.#closed) return;
    if (!this.#readable || this.#state[STATE.fed] === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      try {
        if (this.#state[STATE.fed] !== 0) this.#readable?.();
      } finally {
        this.#wake();
      }
    });
    if (!this.#referenced) this.#turn.unref();
  }

  #reference(on: boolean): void {
    this.#referenced = on;
    if (this.#memory) this.#turn?.[on ? 'ref' : 'unref']();
    else this.#native.reference(on);
  }
}
