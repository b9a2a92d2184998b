/** What goes over the border between TypeScript and the data plane. */
import type { DATA_PLANE } from '../policy.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { PeerSyn } from '../wire/syn_options.js';
import type { TupleBytes } from '../wire/tuple.js';

export interface OpenTunResult {
  readonly name: string;
  readonly fds: number[];
  readonly virtioHeader: boolean;
  readonly segmentation: boolean;
}

/** What the data plane goes by; src/policy.ts says what each is. */
export type DataPlanePolicy = Readonly<Record<keyof typeof DATA_PLANE, number>>;

/** Descriptors that carry one packet a read and a write. */
export interface DescriptorDevice {
  /** One a worker, 1 to 64, each once. */
  readonly devices: readonly number[];
  /** A virtio_net_hdr precedes every packet. */
  readonly virtioHeader: boolean;
}

/** The links of the host. */
export interface LinkDevice {
  /** Those of each worker, 1 to 64, as `openLinks` gives them. */
  readonly links: readonly (readonly number[])[];
  /** Bytes of the kernel's rings for what they receive, of each family that is used. */
  readonly ringBytes: number;
}

/** The engine owns and closes the descriptors of its device, also when it cannot be opened. */
export type EngineOptions = EngineSettings & (DescriptorDevice | LinkDevice);

interface EngineSettings extends DataPlanePolicy {
  /** The device takes TCP super-segments. */
  readonly segmentation: boolean;
  /** UDP_GRO and UDP_SEGMENT on UDP sockets. */
  readonly offload: boolean;
  /** Connections at the same time, 1 to 2^24. */
  readonly maxFlows: number;
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
  readonly limitInitialWindow: boolean;
  /** Windows are scaled, in both directions; else no more than 48 KiB are in flight at any time. */
  readonly scaled: boolean;
  /** The peer acknowledges by bytes and by time. */
  readonly acknowledges: boolean;
  /** How its segments leave: as the peer's came, `Segment.way`. */
  readonly way: bigint;
}

/** A segment that the data plane left to the control plane. Views are valid during the callback only. */
export interface Segment {
  readonly worker: number;
  /** The flow that it belongs to, 0 for none. */
  readonly flow: number;
  readonly tuple: TupleBytes;
  readonly key: string;
  readonly flags: number;
  /** What is left of the TTL of a segment of no flow that the data plane does not answer; else it says nothing. */
  readonly hopLimit: number;
  /** Its window is none that guise or phantun sends; of no flow only. */
  readonly foreign: boolean;
  readonly seq: number;
  readonly ack: number;
  readonly options: Uint8Array;
  /** How it came: link and neighbour. 0 on a device without links, and where it is not known. */
  readonly way: bigint;
  readonly payload: Uint8Array;
}

/** An ICMP error that quotes a segment (RFC 792, RFC 4443). */
export interface IcmpError {
  readonly kind: 'tooBig' | 'unreachable';
  /** The flow that the segment is of, 0 for none. */
  readonly flow: number;
  /** The tuple of the segment, as `tupleKey` makes it. */
  readonly key: string;
  /** The segment's number. */
  readonly seq: number;
  /** Of `unreachable`: why, in the words of the family that `from` is of (RFC 1812 §5.2.7.1, RFC 4443 §3.1). */
  readonly code: number;
  /** Of `tooBig`: bytes of the largest packet that fits; 0 where the router does not say. */
  readonly mtu: number;
  /** Who says it. */
  readonly from: string;
}

/** How datagrams of a flow leave that are larger than what its path carries in one packet. */
export interface PathLimit {
  /** Bytes of the largest datagram that leaves in one packet, 8 at least. */
  readonly payload: number;
  /** Larger ones leave in fragments, which only IPv4 has; else they are dropped. */
  readonly fragments: boolean;
  /** `largeSent` tells of the next that is larger than this; undefined for none. */
  readonly watched: number | undefined;
}

/** A segment, or two, that a guise answers and whose data nobody gets, with numbers that the peer has acknowledged. */
export interface PathProbe {
  /** Comes back with the answer; of a pair the second has the next. 0 to 2^32-1. */
  readonly token: number;
  /** Bytes of its payload, 24 at least. */
  readonly size: number;
  /**
   * How far before what is not acknowledged it begins, as far as it reaches at least: boxes that take segments from
   * before the connection for damage treat all probes of one span alike.
   */
  readonly span: number;
  /** It leaves as datagrams do that are larger than the path limit; never a pair. */
  readonly fragment?: boolean;
  /** Two of them, one behind the other, as datagrams that come at once leave. */
  readonly pair?: boolean;
}

/** A UDP application that has sent its first datagram. */
export interface UdpApplication {
  readonly id: number;
  /** The UDP listener that it sends to. */
  readonly listener: number;
  readonly worker: number;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/**
 * TCP options of a SYN-ACK, by whose SYN it answers and the family; `unscaled` to guise's without a window scale. Multiples
 * of 4 bytes, 40 at most.
 */
export interface SynAckOptions {
  readonly guise4: Uint8Array;
  readonly guise6: Uint8Array;
  readonly phantun: Uint8Array;
  readonly unscaled4: Uint8Array;
  readonly unscaled6: Uint8Array;
}

/**
 * What the data plane tells. Datagrams, openings and segments of no flow are dropped and counted when JavaScript is too
 * slow for them; everything else always arrives, behind the datagrams that came before it. What a handler throws reaches
 * `uncaughtException`; every other event is delivered all the same.
 */
export interface EngineEvents {
  /**
   * Of an established flow: a RST that is valid, or a FIN; without payload, `seq` is that of the RST or FIN itself. Of
   * none: whatever the data plane does not answer itself.
   */
  segment(segment: Segment): void;
  /** The ACK, or data behind it, that completes a handshake which `listen` has the data plane answer. */
  opening(segment: Segment, syn: PeerSyn): void;
  /** `payload` is the receiver's to keep. */
  datagram(flow: number, payload: Uint8Array): void;
  application(application: UdpApplication): void;
  /** The owner has the flow in its table: no later segment of it comes as unknown. */
  attached(flow: number): void;
  /** The application that a flow was spliced to is gone: what comes on the flow is dropped and counted from now on. */
  applicationGone(flow: number): void;
  /** A datagram of `size` bytes left, larger than `PathLimit.watched`. Once, until that is set again. */
  largeSent(flow: number, size: number): void;
  /** The peer has had the probe of this token, `size` bytes of payload in one segment. */
  answer(flow: number, token: number, size: number): void;
  /** Segments of a flow are cut or joined on the way: a probe of the peer's came in another size than it left. Once. */
  recut(flow: number): void;
  /** A router or a host has not passed on a segment of ours. Of a flow it quotes one that is under way. */
  icmpError(error: IcmpError): void;
  /**
   * The UDP side of a flow takes no datagrams: a negative errno says why; or it is heard again: 0. Once each time; when
   * it is lost, the next datagram tells.
   */
  refused(flow: number, errno: number): void;
  /** A datagram has left on a flow, the first since `watchSending`. */
  awake(flow: number): void;
  /** A segment of no flow has not left this host; the tuple as `tupleKey` makes it, and a negative errno. */
  unsent(key: string, errno: number): void;
  /** The host has got addresses, or lost some. Where the device has addresses of its own it never comes. */
  addresses(): void;
  /** The device of a worker is gone: nothing can be sent or received through it any more. */
  deviceGone(): void;
}

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
  /** Datagrams that left in fragments, because they are larger than what the path carries. */
  fragmented: number;
}
