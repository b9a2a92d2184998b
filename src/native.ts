/**
 * The data plane as TypeScript sees it, and the only module that loads the addon.
 *
 * Calls answer a value >= 0 or a negative errno; `Engine.lastSyscall` names what failed.
 */
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeAddress, encodeAddress } from './address_bytes.js';
import type { Endpoint } from './endpoint.js';

/** TCP flags (RFC 9293 §3.1). */
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;

/** Both ends of a flow, as the border carries them: 36 bytes, see native/addon.cc. */
export type TupleBytes = Uint8Array;

export interface OpenTunResult {
  readonly name: string;
  readonly fds: number[];
  readonly virtioHeader: boolean;
  readonly segmentation: boolean;
}

export interface EngineOptions {
  /** One descriptor a worker; the engine owns and closes them. */
  readonly devices: readonly number[];
  /** A virtio_net_hdr precedes every packet. */
  readonly virtioHeader: boolean;
  /** The device takes TCP super-segments. */
  readonly segmentation: boolean;
  /** UDP_GRO and UDP_SEGMENT on UDP sockets. */
  readonly offload: boolean;
  readonly maxFlows: number;
  /** UDP peers per worker. */
  readonly maxPeers: number;
  /** Bytes received before a pure ACK is sent. */
  readonly ackBytes: number;
  /** Milliseconds before a pure ACK is sent for less than that. */
  readonly ackInterval: number;
  /** Bytes that may leave before the peer's first scaled window is seen. */
  readonly initialWindow: number;
  /** Bytes that wait per UDP peer and per flow in set-up. */
  readonly queueBytes: number;
  /** Bytes that wait in all of these queues together. */
  readonly allQueuesBytes: number;
  /** Bytes that JavaScript may be ahead of the worker, per flow. */
  readonly sendQueueBytes: number;
}

export interface FlowOptions {
  /** The worker that owns the flow. */
  readonly worker: number;
  readonly sendNext: number;
  readonly receiveNext: number;
  /** Bytes of the largest datagram. */
  readonly maxPayload: number;
  /** PSH on the last segment of a batch. */
  readonly push: boolean;
  /** Keep to the initial window until the peer's first segment. */
  readonly guard: boolean;
  /** Deliver datagrams as events; otherwise they are held until the flow is spliced. */
  readonly javascript: boolean;
}

/** A segment that the data plane left to the control plane. Views are valid during the callback only. */
export interface Segment {
  readonly worker: number;
  /** The flow that it belongs to, 0 for none. */
  readonly flow: number;
  readonly tuple: TupleBytes;
  readonly key: string;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

/** A UDP application that has sent its first datagram. */
export interface UdpPeer {
  readonly id: number;
  readonly worker: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/** TCP options of a SYN-ACK, by whose SYN it answers and the family. Multiples of 4 bytes, 40 at most. */
export interface SynAckOptions {
  readonly guise4: Uint8Array;
  readonly guise6: Uint8Array;
  readonly phantun: Uint8Array;
}

export interface EngineEvents {
  /** Of an established flow: a RST that is valid, or a FIN. Of none: whatever the data plane does not answer itself. */
  segment(segment: Segment): void;
  /** The ACK, or data behind it, that completes a handshake which `listen` has the data plane answer. */
  opening(segment: Segment, phantun: boolean): void;
  /** `payload` is the receiver's to keep. */
  datagram(flow: number, payload: Uint8Array): void;
  peer(peer: UdpPeer): void;
  /** The owner has the flow in its table: no later segment of it comes as unknown. */
  attached(flow: number): void;
  /** The device of a worker is gone: nothing can be sent or received through it any more. */
  deviceGone(): void;
}

interface NativeEngine {
  counters(): ArrayBuffer;
  events(worker: number): ArrayBuffer;
  swapEvents(worker: number, offset: Uint32Array): number;
  listenUdp(address: Uint8Array, port: number): number;
  listen(port: number, guise4: Uint8Array, guise6: Uint8Array, phantun: Uint8Array): number;
  unlisten(port: number): number;
  countDrop(reason: number): number;
  openFlow(tuple: TupleBytes, options: FlowOptions): number;
  closeFlow(flow: number): number;
  splicePeer(flow: number, peer: number): number;
  unsplicePeer(flow: number): number;
  spliceUdp(flow: number, address: Uint8Array, port: number, datagrams: readonly Uint8Array[]): number;
  removePeer(peer: number): number;
  sendSegment(
    worker: number, tuple: TupleBytes, seq: number, ack: number, flags: number, options: Uint8Array,
  ): number;
  sendControl(flow: number, flags: number, receiveNext: number): number;
  sendDatagrams(flow: number, datagrams: readonly Uint8Array[]): number;
  close(): void;
  readonly lastSyscall: string;
}

interface Addon {
  readonly Engine: new (options: EngineOptions, wake: () => void) => NativeEngine;
  readonly dropReasons: readonly string[];
  openTun(name: string, queues: number, offload: boolean): OpenTunResult | { errno: number; syscall: string };
  limitCapabilities(mask: number): number;
  filterSystemCalls(): number;
  rulesetGeneration(): number;
}

function load(): Addon {
  // From dist/src as from src, two and one levels up.
  const found = ['../build/Release/guise.node', '../../build/Release/guise.node']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path));
  if (!found) throw new Error('The native addon is not built: run `npm run build` (it needs g++, make and python3).');
  return createRequire(import.meta.url)(found) as Addon;
}

const addon = load();

/** Opens the queues of a TUN interface; an errno and the failed call when the kernel refuses. */
export const openTun = addon.openTun;

/**
 * Leaves every thread of this process, for good, no capability but those of a mask: bit n is capability n of
 * linux/capability.h, 0 to 31. What is left of it, or -errno.
 */
export const limitCapabilities = addon.limitCapabilities;

/** no_new_privs, and a filter of system calls for this process and what it starts, for good: 0, or -errno. */
export const filterSystemCalls = addon.filterSystemCalls;

/** A number that every change of the nftables ruleset changes, or -errno; needs CAP_NET_ADMIN. */
export const rulesetGeneration = addon.rulesetGeneration;

// Layout of EngineCounters and FlowCounters in native/counters.h, in 64-bit words.
const ENGINE_WORDS = 64;
const FLOW_WORDS = 16;
const DROPPED_WORDS = 32;

/** Of one flow, in datagrams and bytes unless said. */
export interface FlowCounters {
  receivedDatagrams: number;
  receivedBytes: number;
  /** Reads of the device that they came in: merged segments count once. */
  receivedBatches: number;
  receivedDrops: number;
  /** Segments of any kind with data or not. */
  receivedSegments: number;
  sentDatagrams: number;
  sentBytes: number;
  /** Writes to the device that they left in. */
  sentBatches: number;
  sentDrops: number;
}

/** SND.NXT, RCV.NXT and the last SEG.ACK of RFC 9293 §3.3.1. */
export interface FlowNumbers {
  sendNext: number;
  receiveNext: number;
  peerAck: number;
}

export interface EngineCounters {
  /** Datagrams and packets that were not passed on, by reason; reasons that never occurred are left out. */
  dropped: Record<string, number>;
  deviceReads: number;
  deviceWrites: number;
  /** Offloads turned off because the kernel refused them. */
  segmentationFallbacks: number;
  synsAnswered: number;
  /** ACKs that answered keepalives, and segments with numbers that the peer would not send (RFC 5961). */
  challenges: number;
  /** Bytes that wait now for a connection, or for a reader. */
  waitingBytes: number;
}

// Offsets of EventRecord in native/event_queue.h.
const RECORD_SIZE = 64;
const EVENT_SEGMENT = 1;
const EVENT_DATAGRAM = 2;
const EVENT_PEER = 3;
const EVENT_ATTACHED = 4;
const EVENT_DEVICE_GONE = 5;
const EVENT_OPENING = 6;

export function encodeTuple(local: Endpoint, remote: Endpoint): TupleBytes {
  const tuple = new Uint8Array(36);
  tuple.set(encodeAddress(local.address), 0);
  tuple.set(encodeAddress(remote.address), 16);
  const view = new DataView(tuple.buffer);
  view.setUint16(32, local.port, true);
  view.setUint16(34, remote.port, true);
  return tuple;
}

export function localEnd(tuple: TupleBytes): Endpoint {
  return { address: decodeAddress(tuple.subarray(0, 16)), port: localPort(tuple) };
}

export function remoteEnd(tuple: TupleBytes): Endpoint {
  return { address: decodeAddress(tuple.subarray(16, 32)), port: tuple[34]! | (tuple[35]! << 8) };
}

export function localPort(tuple: TupleBytes): number {
  return tuple[32]! | (tuple[33]! << 8);
}

/** A tuple as a string: the same for equal tuples, and a fifth of the memory of the bytes. */
export function tupleKey(tuple: TupleBytes): string {
  return Buffer.from(tuple.buffer, tuple.byteOffset, tuple.byteLength).toString('latin1');
}

/** The tuple of a key. */
export function tupleOf(key: string): TupleBytes {
  return Buffer.from(key, 'latin1');
}

export class Engine {
  readonly workers: number;
  readonly #native: NativeEngine;
  readonly #events: readonly DataView[];
  /** The counters as halves of their 64-bit words: reading them makes no BigInt. */
  readonly #halves: Uint32Array;
  readonly #offset = new Uint32Array(1);
  readonly #signs = { received: 0, sent: 0, acknowledged: false };
  readonly #handlers: EngineEvents;
  #closed = false;

  constructor(options: EngineOptions, handlers: EngineEvents) {
    this.#handlers = handlers;
    this.#native = new addon.Engine(options, () => this.#drain());
    this.workers = options.devices.length;
    this.#events = options.devices.map((_, worker) => new DataView(this.#native.events(worker)));
    this.#halves = new Uint32Array(this.#native.counters());
  }

  /** The call that the last negative answer came from. */
  get lastSyscall(): string {
    return this.#native.lastSyscall;
  }

  /** Binds a UDP port, one socket a worker. The port, or -errno. */
  listenUdp(local: Endpoint): number {
    return this.#native.listenUdp(encodeAddress(local.address), local.port);
  }

  /** Answers SYNs to a TCP port; connections come as `opening`. */
  listen(port: number, { guise4, guise6, phantun }: SynAckOptions): void {
    this.#native.listen(port, guise4, guise6, phantun);
  }

  unlisten(port: number): void {
    this.#native.unlisten(port);
  }

  /** Counts what JavaScript does not pass on, among the drops of the data plane. */
  countDrop(reason: 'flowsFull' | 'sourceFull'): void {
    this.#native.countDrop(addon.dropReasons.indexOf(reason));
  }

  /** Adds an established flow. Its id, or -ENFILE when there are as many as allowed. */
  openFlow(tuple: TupleBytes, options: FlowOptions): number {
    return this.#native.openFlow(tuple, options);
  }

  /** Forgets a flow, its UDP socket and its UDP peer. */
  closeFlow(flow: number): void {
    this.#native.closeFlow(flow);
  }

  /** Carries the datagrams of a waiting UDP peer on a flow, those that wait first. */
  splicePeer(flow: number, peer: number): number {
    return this.#native.splicePeer(flow, peer);
  }

  /** Takes the UDP peer of a flow away, which stays: what it sends waits, bounded, for the next flow. */
  unsplicePeer(flow: number): void {
    this.#native.unsplicePeer(flow);
  }

  /** Carries a flow's datagrams to a UDP endpoint from a socket of its own; `first` goes before all others. */
  spliceUdp(flow: number, remote: Endpoint, first: readonly Uint8Array[]): number {
    return this.#native.spliceUdp(flow, encodeAddress(remote.address), remote.port, first);
  }

  /** Forgets a UDP peer and what waits with it; its next datagram makes it new. */
  removePeer(peer: number): void {
    this.#native.removePeer(peer);
  }

  /** Sends a segment that belongs to no flow through a worker's queue. */
  sendSegment(
    worker: number,
    tuple: TupleBytes,
    { seq, ack, flags, options }: { seq: number; ack: number; flags: number; options: Uint8Array },
  ): void {
    this.#native.sendSegment(worker, tuple, seq, ack, flags, options);
  }

  /** Sends an empty segment with the flow's numbers; FIN takes one. `receiveNext` replaces RCV.NXT first. */
  sendControl(flow: number, flags: number, receiveNext = -1): void {
    this.#native.sendControl(flow, flags, receiveNext);
  }

  /** Sends datagrams from JavaScript. They are copied. */
  sendDatagrams(flow: number, datagrams: readonly Uint8Array[]): void {
    this.#native.sendDatagrams(flow, datagrams);
  }

  counters(): EngineCounters {
    const dropped: Record<string, number> = {};
    addon.dropReasons.forEach((reason, index) => {
      const times = this.#read(index);
      if (times > 0) dropped[reason] = times;
    });
    return {
      dropped,
      deviceReads: this.#read(DROPPED_WORDS),
      deviceWrites: this.#read(DROPPED_WORDS + 1),
      segmentationFallbacks: this.#read(DROPPED_WORDS + 2),
      synsAnswered: this.#read(DROPPED_WORDS + 3),
      challenges: this.#read(DROPPED_WORDS + 4),
      waitingBytes: this.#read(DROPPED_WORDS + 5),
    };
  }

  flowCounters(flow: number): FlowCounters {
    const word = (index: number): number => this.#word(flow, index);
    return {
      receivedDatagrams: word(0),
      receivedBytes: word(1),
      receivedBatches: word(2),
      receivedDrops: word(6),
      receivedSegments: word(7),
      sentDatagrams: word(8),
      sentBytes: word(9),
      sentBatches: word(10),
      sentDrops: word(12),
    };
  }

  /** Datagrams in both directions: changes while the flow is in use. */
  flowActivity(flow: number): number {
    return this.#word(flow, 0) + this.#word(flow, 8);
  }

  /**
   * Segments received, datagrams sent, and whether the peer has acknowledged all of them; good until the next call, so
   * that looking at many flows makes no garbage.
   */
  flowSigns(flow: number): { readonly received: number; readonly sent: number; readonly acknowledged: boolean } {
    this.#signs.received = this.#word(flow, 7);
    this.#signs.sent = this.#word(flow, 8);
    this.#signs.acknowledged = this.#word(flow, 5) === this.#word(flow, 11);
    return this.#signs;
  }

  flowNumbers(flow: number): FlowNumbers {
    return { sendNext: this.#word(flow, 11), receiveNext: this.#word(flow, 3), peerAck: this.#word(flow, 5) };
  }

  /** Ends the workers and closes every descriptor. Further calls do nothing. */
  close(): void {
    this.#closed = true;
    this.#native.close();
  }

  #word(flow: number, index: number): number {
    return this.#read(ENGINE_WORDS + flow * FLOW_WORDS + index);
  }

  #read(word: number): number {
    return this.#halves[2 * word]! + this.#halves[2 * word + 1]! * 2 ** 32;
  }

  #drain(): void {
    for (let worker = 0; worker < this.workers && !this.#closed; worker++) {
      const view = this.#events[worker]!;
      const size = this.#native.swapEvents(worker, this.#offset);
      const begin = this.#offset[0]!;
      for (let at = begin; at < begin + size && !this.#closed; at += view.getUint32(at, true)) {
        this.#dispatch(view, at);
      }
    }
  }

  #dispatch(view: DataView, at: number): void {
    const type = view.getUint8(at + 4);
    const id = view.getUint32(at + 8, true);
    const detail = view.getUint32(at + 28, true);
    const ofFlow = type === EVENT_SEGMENT || type === EVENT_DATAGRAM || type === EVENT_ATTACHED;
    // It waited until its flow had ended and another had got the id.
    if (ofFlow && detail !== this.#word(id, 13)) return;
    switch (type) {
      case EVENT_SEGMENT:
        return this.#handlers.segment(readSegment(view, at, id));
      case EVENT_OPENING:
        return this.#handlers.opening(readSegment(view, at, id), detail === 1);
      case EVENT_DATAGRAM: {
        const begin = at + RECORD_SIZE + view.getUint8(at + 7);
        const payload = new Uint8Array(view.buffer.slice(begin, begin + view.getUint32(at + 20, true)));
        return this.#handlers.datagram(id, payload);
      }
      case EVENT_PEER:
        return this.#handlers.peer(readPeer(view, at, id));
      case EVENT_ATTACHED:
        return this.#handlers.attached(id);
      case EVENT_DEVICE_GONE:
        return this.#handlers.deviceGone();
    }
  }
}

function readTuple(view: DataView, at: number): TupleBytes {
  const tuple = new Uint8Array(36);
  tuple.set(new Uint8Array(view.buffer, at + 32, 32), 0);
  tuple.set(new Uint8Array(view.buffer, at + 24, 4), 32);
  return tuple;
}

function readPeer(view: DataView, at: number, id: number): UdpPeer {
  const tuple = readTuple(view, at);
  return { id, worker: view.getUint8(at + 6), local: localEnd(tuple), remote: remoteEnd(tuple) };
}

function readSegment(view: DataView, at: number, flow: number): Segment {
  const tuple = readTuple(view, at);
  const optionsSize = view.getUint8(at + 7);
  return {
    worker: view.getUint8(at + 6),
    flow,
    tuple,
    key: tupleKey(tuple),
    flags: view.getUint8(at + 5),
    seq: view.getUint32(at + 12, true),
    ack: view.getUint32(at + 16, true),
    options: new Uint8Array(view.buffer, at + RECORD_SIZE, optionsSize),
    payload: new Uint8Array(view.buffer, at + RECORD_SIZE + optionsSize, view.getUint32(at + 20, true)),
  };
}
