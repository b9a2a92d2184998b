/**
 * What is known of a connection: its Transmission Control Block (RFC 9293 §3.3.1). The files of this folder read and
 * change it; from outside it is a `Connection`.
 */
import type { Application, Carrier, Failure } from './application.js';
import type { CongestionControl } from './congestion/control.js';
import { DeliveryRate } from './congestion/delivery_rate.js';
import type { ConnectionOptions } from './options.js';
import type { ProportionalRate } from './prr.js';
import { Rack } from './rack.js';
import type { Reassembly } from './reassembly.js';
import { RoundTrip } from './round_trip.js';
import { Scoreboard } from './scoreboard.js';
import { SendBuffer } from './send_buffer.js';
import { atOrAfter, isAfter } from './sequence.js';
import { MODE, RESEND, STATE } from './states.js';

/** ACKs that do not wait: at first, and behind a gap. The kernel's TCP_MAX_QUICKACKS (net/ipv4/tcp_input.c). */
export const QUICK_ACKS = 16;

export class ControlBlock {
  /** The carrier's own number of it. */
  flow = -1;
  application: Application | undefined;
  readonly carrier: Carrier<ControlBlock>;
  readonly options: ConnectionOptions;
  /** One of `STATE`. */
  state: number = STATE.closed;
  /** The handshake is done: data may leave. */
  isOpen = false;
  /** When `tick` wants to be called; Infinity: never. */
  deadline = Infinity;

  // What was agreed on with the SYNs.
  timestamps: boolean;
  sackPermitted: boolean;
  ecn = false;
  /** Windows are scaled in both directions (RFC 7323 §2). */
  scaled: boolean;
  sendScale = 0;
  receiveScale = 0;
  peerMss = 536;

  // Sending (RFC 9293 §3.3.1).
  readonly iss: number;
  una: number;
  nxt: number;
  /** Bytes behind `una` that the peer takes, and the most that it ever took. */
  sendWindow = 0;
  mostWindow = 0;
  windowSeq = 0;
  windowAck = 0;
  readonly queue = new SendBuffer();
  sendLimit: number;
  finQueued = false;
  finSent = false;
  noDelay: boolean;
  /** End of the last segment that was not full (Minshall's change to Nagle's rule, as in kernels). */
  smallEnd: number;
  // Whether the congestion window holds the sender: of a flight, which ends at `usageEnd`, that and the most under way.
  isLimited = false;
  mostFlight = 0;
  usageEnd: number;
  pathMtu: number;
  /** When a lowered path MTU is tried again; 0: it is not lowered. */
  raiseMtuAt = 0;
  segmentSize = 536;

  // What is under way, and what became of it.
  readonly board = new Scoreboard();
  readonly rack = new Rack();
  readonly roundTrip = new RoundTrip();
  readonly rate = new DeliveryRate();
  readonly congestion: CongestionControl;
  prr: ProportionalRate | undefined;
  /** One of `MODE`. */
  mode: number = MODE.open;
  /** SND.UNA when the loss was found; recovery ends when `recoverAt` is acknowledged. */
  lossAt: number;
  recoverAt: number;
  /** In recovery, what PRR allows. */
  recoveryWindow = 0;
  /** Duplicate ACKs of a peer without SACK, and the bytes that they stand for. */
  duplicates = 0;
  assumedSacked = 0;
  /** Time stamp of the first retransmission of this recovery; whether there was one. */
  resentStamp = 0;
  hasResent = false;
  /** Bytes that were sent again and that no D-SACK has named. */
  resentBytes = 0;
  /** A tail loss probe is under way: what it ends with. */
  probing = false;
  probeEnd = 0;
  /** ECN: the next data tells that the window was reduced. */
  tellReduced = false;
  reducedAt: number;

  // Receiving.
  irs = 0;
  rcvNxt = 0;
  /** Right edge of the window that was announced. */
  edge = 0;
  lastAckSent = 0;
  receiveLimit: number;
  /** Bytes that the application was given and has not had, and those that wait for an application. */
  unread = 0;
  early: Uint8Array[] | undefined;
  reassembly: Reassembly | undefined;
  /** The peer's FIN came, maybe before what precedes it. */
  hasFin = false;
  finSeq = 0;
  tsRecent = 0;
  tsRecentAt = 0;
  /** Bytes of the peer's full segments, as far as they were seen. */
  peerSegment = 536;
  unacknowledged = 0;
  ackNow = false;
  /** ACKs that leave at once: a peer's slow start lives on them. */
  quickAcks = QUICK_ACKS;
  /** A D-SACK block to be told (RFC 2883). */
  hasDuplicate = false;
  duplicateStart = 0;
  duplicateEnd = 0;
  echoCongestion = false;
  // Growth of the receive buffer: what the reader has had since when, and where the round ends.
  growAt = 0;
  growBytes = 0;
  granted = 0;

  // Times; 0: not set.
  resendAt = 0;
  /** One of `RESEND`. */
  resendKind: number = RESEND.none;
  rtoFrom = 0;
  /** The last ACK that moved `una`, or new data: a probe for loss counts from there. */
  probeFrom = 0;
  backoff = 0;
  persistAt = 0;
  persistBackoff = 0;
  ackAt = 0;
  keepAliveAt = 0;
  /** Probes, of the window or of the peer, since it was last heard. */
  unanswered = 0;
  paceAt = 0;
  /** The next burst of a paced connection may leave then. */
  nextBurst = 0;
  closeAt = 0;
  keepAliveTime: number;
  keepAliveInterval: number;
  keepAliveMost: number;
  userTimeout: number;
  /** When the oldest unacknowledged byte was first sent. */
  waitingSince = 0;
  lastHeard = 0;
  lastSent = 0;
  /** When payload left last. */
  lastData = 0;
  synTries = 0;
  passive = false;
  /** Its user has gone: what comes is answered with RST (RFC 9293 §3.6.1, RFC 1122 §4.2.2.13). */
  left = false;

  /** Calls of the carrier with payload: each has its number. */
  transmissions = 0;
  /** Bytes a millisecond, of the latest sample. */
  deliveryRate = 0;
  bytesSent = 0;
  bytesReceived = 0;
  bytesResent = 0;
  timeouts = 0;
  recoveries = 0;
  spurious = 0;

  constructor(
    carrier: Carrier<ControlBlock>,
    application: Application | undefined,
    options: ConnectionOptions,
    congestion: CongestionControl,
  ) {
    this.carrier = carrier;
    this.application = application;
    this.options = options;
    this.congestion = congestion;
    const { isn } = options;
    this.iss =
      this.una =
      this.nxt =
      this.smallEnd =
      this.usageEnd =
      this.recoverAt =
      this.lossAt =
      this.reducedAt =
        isn;
    this.timestamps = options.timestamps;
    this.sackPermitted = options.sack;
    this.scaled = options.windowScaling;
    this.noDelay = options.noDelay;
    this.sendLimit = options.sendBuffer;
    this.receiveLimit = options.receiveBuffer;
    this.pathMtu = options.mtu;
    this.keepAliveTime = options.keepAliveTime;
    this.keepAliveInterval = options.keepAliveInterval;
    this.keepAliveMost = options.keepAliveProbes;
    this.userTimeout = options.userTimeout;
  }

  /** Bytes in flight: RFC 6675's pipe. */
  get inFlight(): number {
    const { board } = this;
    return Math.max(0, ((this.nxt - this.una) | 0) - board.sacked - board.lost - this.assumedSacked);
  }

  /** RFC 5927 §4: an ICMP error that quotes a number that is not under way is none of ours. */
  isUnderWay(seq: number): boolean {
    return atOrAfter(seq, this.una) && isAfter(this.nxt, seq);
  }

  /** Time stamp of a moment (RFC 7323 §5.4). */
  stamp(now: number): number {
    return (Math.floor(now) + this.options.timestampOffset) | 0;
  }

  /** Leaves the machine. */
  finish(failure: Failure | undefined): void {
    if (this.state === STATE.closed) return;
    const { application } = this;
    this.state = STATE.closed;
    this.settle();
    this.carrier.released(this);
    this.application = undefined;
    application?.closed(failure);
  }

  /** Nothing is due any more. */
  settle(): void {
    this.resendAt = this.persistAt = this.ackAt = this.keepAliveAt = this.paceAt = this.closeAt = 0;
    this.resendKind = RESEND.none;
    this.ackNow = false;
    this.deadline = Infinity;
    if (this.granted > 0) this.carrier.giveBack(this.granted);
    this.granted = 0;
    this.reassembly = this.early = undefined;
  }
}
