/** The only module that loads the addon. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { guiseError } from '../errors.js';
import type { PACKET_PORT } from '../policy.js';
import type { TupleBytes } from '../wire/tuple.js';
import type { EngineOptions, FlowOptions, OpenTunResult } from './types.js';

/** The names of what both sides know. Numbers go with them in the addon only. */
export const EVENT_RECORD_FIELDS = [
  'size',
  'type',
  'flags',
  'worker',
  'optionsSize',
  'id',
  'seq',
  'ack',
  'payloadSize',
  'ports',
  'detail',
  'addresses',
  'way',
] as const;
export const EVENT_TYPES = [
  'segment',
  'datagram',
  'application',
  'attached',
  'deviceGone',
  'opening',
  'flowEnd',
  'applicationGone',
  'addresses',
  'largeSent',
  'answer',
  'recut',
  'icmpError',
  'refused',
  'unsent',
  'awake',
] as const;
export const OPENING_DETAIL = ['phantun', 'scaled', 'foreign', 'mssShift'] as const;
export const ENGINE_COUNTERS = [
  'dropped',
  'deviceReads',
  'deviceWrites',
  'segmentationFallbacks',
  'synsAnswered',
  'challenges',
  'waitingBytes',
  'fragmented',
] as const;
export const FLOW_COUNTERS = [
  'receivedDatagrams',
  'receivedBytes',
  'receivedBatches',
  'receivedDrops',
  'receivedSegments',
  'receiveNext',
  'peerAck',
  'sentDatagrams',
  'sentBytes',
  'sentBatches',
  'sentDrops',
  'sendNext',
  'generation',
] as const;
export const PORT_COUNTERS = [
  'received',
  'sent',
  'damaged',
  'refused',
  'segmentationFallbacks',
  'fragments',
  'reassembled',
  'lateFragments',
  'overlapping',
  'crowded',
  'overrun',
] as const;

interface Sized<Names extends readonly string[]> {
  readonly size: number;
  readonly fields: Readonly<Record<Names[number], number>>;
}

/** Where what is in the memory that both sides see: records in bytes, counters in 64-bit words. */
interface Layout {
  readonly eventRecord: Sized<typeof EVENT_RECORD_FIELDS>;
  readonly eventTypes: Readonly<Record<(typeof EVENT_TYPES)[number], number>>;
  /** What `detail` of an opening is made of: two bits, and where its MSS begins. */
  readonly openingDetail: Readonly<Record<(typeof OPENING_DETAIL)[number], number>>;
  readonly engineCounters: Sized<typeof ENGINE_COUNTERS>;
  readonly flowCounters: Sized<typeof FLOW_COUNTERS>;
  readonly dropReasons: readonly string[];
  /** The fields of the policy. */
  readonly policy: readonly string[];
  /** Words of the rows of a packet port, and of what it shares beside them. */
  readonly packetRow: Readonly<
    Record<'incoming' | 'outgoing' | 'kinds' | 'facts' | 'options' | 'state', Readonly<Record<string, number>>>
  >;
  readonly portCounters: Sized<typeof PORT_COUNTERS>;
}

/** Each answers -EBADF before `open` and after `close`. */
export interface NativeEngine {
  open(options: EngineOptions, wake: () => void): number;
  counters(): ArrayBuffer;
  events(worker: number): ArrayBuffer;
  /** `out`: where the events begin, and 1 when more wait already. */
  swapEvents(worker: number, out: Uint32Array): number;
  listenUdp(address: Uint8Array, port: number): number;
  udpPort(listener: number): number;
  closeUdp(listener: number): number;
  readFlow(flow: number): number;
  pass(ports: readonly number[], remotes: readonly (readonly [address: Uint8Array, port: number])[]): number;
  route(address: Uint8Array, port: number): { readonly source: Uint8Array; readonly mtu: number } | number;
  listen(
    port: number,
    guise4: Uint8Array,
    guise6: Uint8Array,
    phantun: Uint8Array,
    unscaled4: Uint8Array,
    unscaled6: Uint8Array,
    address: Uint8Array,
  ): number;
  unlisten(port: number, address: Uint8Array): number;
  countDrop(reason: number): number;
  openFlow(tuple: TupleBytes, options: FlowOptions): number;
  closeFlow(flow: number): number;
  spliceApplication(flow: number, application: number, datagrams: readonly Uint8Array[]): number;
  unsplice(flow: number): number;
  spliceUdp(flow: number, address: Uint8Array, port: number, datagrams: readonly Uint8Array[]): number;
  forgetApplication(application: number): number;
  sendSegment(
    worker: number,
    tuple: TupleBytes,
    way: bigint,
    seq: number,
    ack: number,
    flags: number,
    options: Uint8Array,
  ): number;
  sendControl(flow: number, flags: number, receiveNext: number | undefined): number;
  setPathLimit(flow: number, payload: number, fragments: boolean, watched: number | undefined): number;
  watchSending(flow: number): number;
  sendProbe(flow: number, token: number, size: number, span: number, fragment: boolean, pair: boolean): number;
  sendDatagrams(flow: number, datagrams: readonly Uint8Array[]): number;
  close(): void;
  readonly lastSyscall: string;
}

/** See packet_port.ts. Each call answers -EBADF before `open` and after `close`. */
export interface NativePacketPort {
  open(options: NativePortOptions): number;
  memory(): Readonly<Record<'incoming' | 'outgoing' | 'state' | 'counters', ArrayBuffer>>;
  watch(readable: () => void): number;
  reference(on: boolean): number;
  read(slab: Uint8Array, at: number): number;
  writeSegments(count: number): number;
  writeData(
    row: number,
    chunks: readonly Uint8Array[],
    first: number,
    offset: number,
    size: number,
    segmentSize: number,
  ): number;
  answer(inRow: number): number;
  attach(protocol: number, tuple: Uint8Array): number;
  attachRow(inRow: number): number;
  find(protocol: number, tuple: Uint8Array): number;
  detach(flow: number): number;
  hashRow(inRow: number, word: number): number;
  hashTuple(tuple: Uint8Array, word: number): number;
  /** `mtu` 0: the port's. */
  writeUdp(tuple: Uint8Array, payload: Uint8Array, mtu: number): number;
  writeUdpFlow(flow: number, payload: Uint8Array, mtu: number): number;
  writePacket(
    protocol: number,
    addresses: Uint8Array,
    payload: Uint8Array,
    hopLimit: number,
    checksumAt: number,
  ): number;
  refresh(): number;
  feed(packet: Uint8Array): number;
  take(): Uint8Array | undefined;
  close(): void;
  readonly lastSyscall: string;
}

export interface NativePortOptions extends Readonly<Record<keyof typeof PACKET_PORT, number>> {
  /** -1: memory. */
  readonly descriptor: number;
  readonly virtioHeader: boolean;
  readonly segmentation: boolean;
  /** 0: the interface's. */
  readonly mtu: number;
  readonly rows: number;
}

/** What the kernel has refused. */
export interface Refused {
  readonly errno: number;
  readonly syscall: string;
}

interface Addon {
  readonly Engine: new () => NativeEngine;
  readonly PacketPort: new () => NativePacketPort;
  readonly layout: Layout;
  readonly openTun: (name: string, queues: number, offload: boolean) => OpenTunResult | Refused;
  readonly openLinks: (workers: number, ipv6: boolean, mark: number, device: string) => number[][] | Refused;
  readonly findDeparture: (
    address: Uint8Array,
    port: number,
    mark: number,
    device: string,
  ) =>
    | {
        readonly interface: string;
        readonly nextHop: Uint8Array;
        readonly isGateway: boolean;
        readonly isSilent: boolean;
      }
    | Refused;
  readonly holdPort: (address: Uint8Array, port: number) => { fd: number; port: number } | Refused;
  readonly limitCapabilities: (mask: number) => number;
  readonly filterSystemCalls: () => number;
  readonly writeNow: (fd: number, bytes: Uint8Array, milliseconds: number) => number;
  readonly leave: (code: number) => never;
  readonly rulesetGeneration: () => number;
  readonly isSetUp: (name: string, mtu: number, peer: Uint8Array) => number;
}

function load(): Addon {
  // From src/native and from dist/src/native.
  const found = ['../../build/Release/guise.node', '../../../build/Release/guise.node']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(path));
  if (!found) throw guiseError('ERR_GUISE_ADDON_MISSING');
  return createRequire(import.meta.url)(found) as Addon;
}

export const addon = load();
