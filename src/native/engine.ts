/**
 * The data plane as TypeScript sees it.
 *
 * Calls answer a value >= 0 or a negative errno; `Engine.lastSyscall` names what failed.
 */
import { encodeAddress } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { TupleBytes } from '../wire/tuple.js';
import { addon, type NativeEngine } from './addon.js';
import {
  EVENT_ATTACHED,
  EVENT_DATAGRAM,
  EVENT_DEVICE_GONE,
  EVENT_OPENING,
  EVENT_APPLICATION,
  EVENT_SEGMENT,
  readApplication,
  readSegment,
  RECORD_SIZE,
} from './records.js';
import type {
  EngineCounters,
  EngineEvents,
  EngineOptions,
  FlowCounters,
  FlowNumbers,
  FlowOptions,
  SynAckOptions,
} from './types.js';

// Layout of EngineCounters and FlowCounters in native/plane/counters.h, in 64-bit words.
const ENGINE_WORDS = 64;
const FLOW_WORDS = 16;
const DROPPED_WORDS = 32;

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

  /** Binds a UDP port, one socket a worker. The listener's id, or -errno. */
  listenUdp(local: Endpoint): number {
    return this.#native.listenUdp(encodeAddress(local.address), local.port);
  }

  /** The port that a listener is bound to. */
  udpPort(listener: number): number {
    return this.#native.udpPort(listener);
  }

  /** Closes a listener's sockets and forgets its peers. */
  closeUdp(listener: number): void {
    this.#native.closeUdp(listener);
  }

  /** Delivers a flow's datagrams as `datagram` from now on, those that are held first. */
  readFlow(flow: number): void {
    this.#native.readFlow(flow);
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

  /** Adds an established flow, which holds what comes, bounded, until it is read or spliced. Its id, or -ENFILE when there are as many as allowed. */
  openFlow(tuple: TupleBytes, options: FlowOptions): number {
    return this.#native.openFlow(tuple, options);
  }

  /** Forgets a flow, its UDP socket and its application. */
  closeFlow(flow: number): void {
    this.#native.closeFlow(flow);
  }

  /** Carries the datagrams of a waiting application on a flow, those that wait first. */
  spliceApplication(flow: number, application: number): number {
    return this.#native.spliceApplication(flow, application);
  }

  /** Takes the application of a flow away, which stays: what it sends waits, bounded, for the next flow. */
  unsplice(flow: number): void {
    this.#native.unsplice(flow);
  }

  /** Carries a flow's datagrams to a UDP endpoint from a socket of its own; `first` goes before all others. */
  spliceUdp(flow: number, remote: Endpoint, first: readonly Uint8Array[]): number {
    return this.#native.spliceUdp(flow, encodeAddress(remote.address), remote.port, first);
  }

  /** Forgets an application and what waits with it; its next datagram makes it new. */
  forgetApplication(application: number): void {
    this.#native.forgetApplication(application);
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
      case EVENT_APPLICATION:
        return this.#handlers.application(readApplication(view, at, id));
      case EVENT_ATTACHED:
        return this.#handlers.attached(id);
      case EVENT_DEVICE_GONE:
        return this.#handlers.deviceGone();
    }
  }
}
