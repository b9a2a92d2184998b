/**
 * The data plane as TypeScript sees it.
 *
 * Calls answer a value >= 0 or a negative errno; `Engine.lastSyscall` names what failed.
 */
import { systemError } from '../errors.js';
import { decodeAddress, encodeAddress } from '../wire/address.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { TupleBytes } from '../wire/tuple.js';
import { addon, type ENGINE_COUNTERS, type FLOW_COUNTERS, type NativeEngine } from './addon.js';
import {
  readApplication,
  readDetail,
  readIcmpError,
  readId,
  readKey,
  readNumbers,
  readPayload,
  readSegment,
  readSize,
  readSyn,
  readType,
} from './records.js';
import type {
  EngineCounters,
  EngineEvents,
  EngineOptions,
  FlowCounters,
  FlowNumbers,
  FlowOptions,
  PathLimit,
  PathProbe,
  SynAckOptions,
} from './types.js';

const { eventTypes: EVENT, engineCounters: ENGINE, flowCounters: FLOW, dropReasons: DROP_REASONS } = addon.layout;
/** Not known: the host's routes say. */
export const NO_WAY = 0n;
/** Events of a flow; the others are of none. */
const OF_FLOW: readonly number[] = [
  EVENT.flowEnd,
  EVENT.datagram,
  EVENT.attached,
  EVENT.applicationGone,
  EVENT.largeSent,
  EVENT.answer,
  EVENT.recut,
  EVENT.icmpError,
  EVENT.refused,
  EVENT.awake,
];

export class Engine {
  readonly workers: number;
  readonly #native: NativeEngine;
  readonly #events: readonly DataView[];
  /** The counters as halves of their 64-bit words: reading them makes no BigInt. */
  readonly #halves: Uint32Array;
  /** Of `swapEvents`. */
  readonly #swapped = new Uint32Array(2);
  readonly #signs = { received: 0, sent: 0, acknowledged: false };
  readonly #handlers: EngineEvents;
  #closed = false;

  /**
   * Starts the workers.
   *
   * @throws {GuiseError} with the system's code and the call that failed, EMFILE of epoll_create1 and the like, EPERM of
   *   epoll_ctl for a descriptor that cannot be watched; every descriptor is closed then
   */
  constructor(options: EngineOptions, handlers: EngineEvents) {
    this.#handlers = handlers;
    this.#native = new addon.Engine();
    const error = this.#native.open(options, () => this.#drain());
    if (error < 0) throw systemError(error, this.#native.lastSyscall);
    this.workers = ('links' in options ? options.links : options.devices).length;
    this.#events = Array.from({ length: this.workers }, (_, worker) => new DataView(this.#native.events(worker)));
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

  /**
   * Closes a listener's sockets and forgets its applications. A flow that is spliced to one of them hears of it by
   * `applicationGone`.
   */
  closeUdp(listener: number): void {
    this.#native.closeUdp(listener);
  }

  /** Delivers a flow's datagrams as `datagram` from now on, those that are held first. */
  readFlow(flow: number): void {
    this.#native.readFlow(flow);
  }

  /**
   * Which segments are ours, where others come too: those to ports of ours, and those from remotes. 0, or -errno.
   */
  pass(ports: readonly number[], remotes: readonly Endpoint[]): number {
    return this.#native.pass(
      ports,
      remotes.map(({ address, port }) => [encodeAddress(address), port]),
    );
  }

  /**
   * How the host's routes lead to `remote`: the address that a connection would have, and the bytes of the largest
   * packet that they carry; or -errno.
   */
  route(remote: Endpoint): { readonly source: string; readonly mtu: number } | number {
    const found = this.#native.route(encodeAddress(remote.address), remote.port);
    return typeof found === 'number' ? found : { source: decodeAddress(found.source), mtu: found.mtu };
  }

  /** Answers SYNs to a TCP port of an address, or of all (`::`, of IPv4 `0.0.0.0`); connections come as `opening`. */
  listen({ address, port }: Endpoint, { guise4, guise6, phantun, unscaled4, unscaled6 }: SynAckOptions): void {
    this.#native.listen(port, guise4, guise6, phantun, unscaled4, unscaled6, encodeAddress(address));
  }

  unlisten({ address, port }: Endpoint): void {
    this.#native.unlisten(port, encodeAddress(address));
  }

  /** Counts what JavaScript does not pass on, among the drops of the data plane. */
  countDrop(reason: 'flowsFull' | 'sourceFull'): void {
    this.#native.countDrop(DROP_REASONS.indexOf(reason));
  }

  /** Adds an established flow, which holds what comes, bounded, until it is read or spliced. Its id, or -ENFILE when there are as many as allowed. */
  openFlow(tuple: TupleBytes, options: FlowOptions): number {
    return this.#native.openFlow(tuple, options);
  }

  /** Forgets a flow, its UDP socket and its application. */
  closeFlow(flow: number): void {
    this.#native.closeFlow(flow);
  }

  /**
   * Carries the datagrams of a waiting application on a flow, those that wait first. 0; -ENOENT when the application is
   * gone, -EISCONN when the flow was spliced before, -EXDEV when the two have different workers. One that goes a moment
   * later is said by `applicationGone`.
   */
  spliceApplication(flow: number, application: number, first: readonly Uint8Array[]): number {
    return this.#native.spliceApplication(flow, application, first);
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

  /** Sends a segment that belongs to no flow, by the host's routes where `way` does not say how. */
  sendSegment(
    worker: number,
    tuple: TupleBytes,
    { seq, ack, flags, options }: { seq: number; ack: number; flags: number; options: Uint8Array },
    way = NO_WAY,
  ): void {
    this.#native.sendSegment(worker, tuple, way, seq, ack, flags, options);
  }

  /** Sends an empty segment with the flow's numbers; FIN takes one. `receiveNext` replaces RCV.NXT first. */
  sendControl(flow: number, flags: number, receiveNext?: number): void {
    this.#native.sendControl(flow, flags, receiveNext);
  }

  setPathLimit(flow: number, { payload, fragments, watched }: PathLimit): void {
    this.#native.setPathLimit(flow, payload, fragments, watched);
  }

  /** `awake` is to tell of the next datagram that leaves; one that leaves at the same moment may be missed. */
  watchSending(flow: number): void {
    this.#native.watchSending(flow);
  }

  /** Sends a probe, unless nothing has been heard of the peer yet. */
  sendProbe(flow: number, { token, size, span, fragment = false, pair = false }: PathProbe): void {
    this.#native.sendProbe(flow, token, size, span, fragment, pair);
  }

  /** Sends datagrams from JavaScript. They are copied. */
  sendDatagrams(flow: number, datagrams: readonly Uint8Array[]): void {
    this.#native.sendDatagrams(flow, datagrams);
  }

  counters(): EngineCounters {
    const dropped: Record<string, number> = {};
    DROP_REASONS.forEach((reason, index) => {
      const times = this.#read(ENGINE.fields.dropped + index);
      if (times > 0) dropped[reason] = times;
    });
    const of = (name: (typeof ENGINE_COUNTERS)[number]): number => this.#read(ENGINE.fields[name]);
    return {
      dropped,
      deviceReads: of('deviceReads'),
      deviceWrites: of('deviceWrites'),
      segmentationFallbacks: of('segmentationFallbacks'),
      synsAnswered: of('synsAnswered'),
      challenges: of('challenges'),
      waitingBytes: of('waitingBytes'),
      fragmented: of('fragmented'),
    };
  }

  flowCounters(flow: number): FlowCounters {
    const of = (name: (typeof FLOW_COUNTERS)[number]): number => this.#of(flow, name);
    return {
      receivedDatagrams: of('receivedDatagrams'),
      receivedBytes: of('receivedBytes'),
      receivedBatches: of('receivedBatches'),
      receivedDrops: of('receivedDrops'),
      receivedSegments: of('receivedSegments'),
      sentDatagrams: of('sentDatagrams'),
      sentBytes: of('sentBytes'),
      sentBatches: of('sentBatches'),
      sentDrops: of('sentDrops'),
    };
  }

  /** Datagrams in both directions: changes while the flow is in use. */
  flowActivity(flow: number): number {
    return this.#of(flow, 'receivedDatagrams') + this.#of(flow, 'sentDatagrams');
  }

  /**
   * Segments received, datagrams sent, and whether the peer has acknowledged all of them; good until the next call, so
   * that reading those of many flows makes no garbage.
   */
  flowSigns(flow: number): { readonly received: number; readonly sent: number; readonly acknowledged: boolean } {
    this.#signs.received = this.#of(flow, 'receivedSegments');
    this.#signs.sent = this.#of(flow, 'sentDatagrams');
    this.#signs.acknowledged = this.#of(flow, 'peerAck') === this.#of(flow, 'sendNext');
    return this.#signs;
  }

  flowNumbers(flow: number): FlowNumbers {
    return {
      sendNext: this.#of(flow, 'sendNext'),
      receiveNext: this.#of(flow, 'receiveNext'),
      peerAck: this.#of(flow, 'peerAck'),
    };
  }

  /** Ends the workers and closes every descriptor. Further calls do nothing. */
  close(): void {
    this.#closed = true;
    this.#native.close();
  }

  #of(flow: number, name: (typeof FLOW_COUNTERS)[number]): number {
    return this.#read(ENGINE.size + flow * FLOW.size + FLOW.fields[name]);
  }

  #read(word: number): number {
    return this.#halves[2 * word]! + this.#halves[2 * word + 1]! * 2 ** 32;
  }

  #drain(): void {
    let more = false;
    for (let worker = 0; worker < this.workers && !this.#closed; worker++) {
      more = this.#drainWorker(worker) || more;
    }
    // What waits behind a full buffer is nobody's to announce; let others have their turn first.
    if (more) setImmediate(() => this.#drain());
  }

  /** Whether more waits already. */
  #drainWorker(worker: number): boolean {
    const view = this.#events[worker]!;
    const size = this.#native.swapEvents(worker, this.#swapped);
    const [begin, more] = this.#swapped as unknown as [number, number];
    for (let at = begin; at < begin + size && !this.#closed; at += readSize(view, at)) {
      try {
        this.#dispatch(view, at);
      } catch (error) {
        // One handler's mistake must not cost the events of the others: it is thrown when all have had theirs.
        process.nextTick(rethrow, error);
      }
    }
    return more === 1;
  }

  #dispatch(view: DataView, at: number): void {
    const type = readType(view, at);
    const id = readId(view, at);
    // It waited until its flow had ended and another had got the id.
    if (id !== 0 && OF_FLOW.includes(type) && readDetail(view, at) !== this.#of(id, 'generation')) return;
    switch (type) {
      case EVENT.segment:
      case EVENT.flowEnd:
        return this.#handlers.segment(readSegment(view, at, id));
      case EVENT.opening:
        return this.#handlers.opening(readSegment(view, at, id), readSyn(view, at));
      case EVENT.datagram:
        return this.#handlers.datagram(id, readPayload(view, at).slice());
      case EVENT.application:
        return this.#handlers.application(readApplication(view, at));
      case EVENT.attached:
        return this.#handlers.attached(id);
      case EVENT.applicationGone:
        return this.#handlers.applicationGone(id);
      case EVENT.largeSent:
        return this.#handlers.largeSent(id, readNumbers(view, at).seq);
      case EVENT.answer: {
        const { seq, ack } = readNumbers(view, at);
        return this.#handlers.answer(id, seq, ack);
      }
      case EVENT.recut:
        return this.#handlers.recut(id);
      case EVENT.icmpError:
        return this.#handlers.icmpError(readIcmpError(view, at));
      case EVENT.awake:
        return this.#handlers.awake(id);
      case EVENT.refused:
        return this.#handlers.refused(id, 0 - readNumbers(view, at).seq);
      case EVENT.unsent:
        return this.#handlers.unsent(readKey(view, at), 0 - readNumbers(view, at).seq);
      case EVENT.addresses:
        return this.#handlers.addresses();
      case EVENT.deviceGone:
        return this.#handlers.deviceGone();
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}
