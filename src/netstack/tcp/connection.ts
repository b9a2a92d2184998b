/**
 * One TCP connection: its state, and what its user and its carrier may call. No clock, no randomness: times are
 * milliseconds of the caller's monotonic clock, and what is to be guessed by nobody comes with the options.
 *
 * Who wants to know …             looks into
 * how it opens, and how it closes handshake.ts, closing.ts
 * what a segment does             arrival.ts
 * what an ACK does                acknowledgment.ts, then recovery.ts
 * what payload does               receiving.ts
 * what leaves, and when           sending.ts
 * when something is sent again    timers.ts (the time-out itself: round_trip.ts)
 * when that is                    schedule.ts
 * how much may be under way       congestion/
 * what is known of a connection   control_block.ts
 */
import type { Application, Carrier, Failure } from './application.js';
import { arrive } from './arrival.js';
import { FIN_TIMEOUT } from './closing.js';
import { chooseCongestion } from './congestion/choose.js';
import { ControlBlock } from './control_block.js';
import { agree, begin, scaleFor, synArrived } from './handshake.js';
import { describe } from './info.js';
import type { ConnectionInfo, ConnectionOptions, SynFacts } from './options.js';
import { chooseSegmentSize, largestMss, tooBig } from './path_mtu.js';
import { consumed } from './receive_window.js';
import { giveEarly } from './receiving.js';
import { updateDeadline } from './schedule.js';
import { CWR, ECE, type IncomingSegment } from './segment.js';
import { flush, sendReset } from './sending.js';
import { STATE } from './states.js';
import { tick } from './timers.js';

export class Connection extends ControlBlock {
  constructor(carrier: Carrier<Connection>, application: Application | undefined, options: ConnectionOptions) {
    const make = chooseCongestion(options.congestion);
    super(carrier, application, options, make(largestMss(options), options.isn));
    if (options.windowScaling) this.receiveScale = scaleFor(options.receiveBufferMost);
    chooseSegmentSize(this);
  }

  /** Who uses the connection from now on: is told at once what came before. */
  use(application: Application): void {
    this.application = application;
    giveEarly(this);
  }

  /** Active open. */
  connect(now: number): void {
    this.ecn = this.options.ecn === 'ask';
    this.state = STATE.synSent;
    begin(this, now);
  }

  /** Passive open: answers a SYN. */
  accept(syn: IncomingSegment, now: number): void {
    this.passive = true;
    agree(this, syn);
    this.ecn = this.options.ecn !== 'off' && (syn.flags & (ECE | CWR)) === (ECE | CWR);
    synArrived(this, syn, now);
    this.state = STATE.synReceived;
    begin(this, now);
  }

  /** What a SYN cookie kept of a SYN whose SYN-ACK is acknowledged: the caller lets that ACK arrive next. */
  resume(syn: SynFacts, ack: IncomingSegment, now: number): void {
    this.passive = true;
    agree(this, syn);
    this.irs = (ack.seq - 1) | 0;
    this.rcvNxt = this.lastAckSent = ack.seq;
    this.edge = (ack.seq + Math.min(65_535, this.receiveLimit)) | 0;
    if (ack.hasTimestamp) this.tsRecent = ack.timestamp;
    this.tsRecentAt = this.lastHeard = this.waitingSince = now;
    this.nxt = (this.iss + 1) | 0;
    this.state = STATE.synReceived;
  }

  /**
   * A segment has come.
   *
   * @returns false: it is a SYN that may use the tuple again, which the connection has given up: it is for whoever listens
   */
  arrive(segment: IncomingSegment, now: number): boolean {
    const mine = arrive(this, segment, now);
    updateDeadline(this);
    this.carrier.changed(this);
    return mine;
  }

  /** `deadline` has come. */
  tick(now: number): void {
    tick(this, now);
    updateDeadline(this);
    this.carrier.changed(this);
  }

  /** Data and ACKs that are due leave: once behind a batch of arrivals and calls. */
  flush(now: number): void {
    flush(this, now);
    updateDeadline(this);
  }

  /**
   * Queues bytes, which must stay as they are until they are acknowledged. Behind `end` they are ignored.
   *
   * @returns false: more waits than the send buffer is for; `acknowledged` tells of room
   */
  write(chunk: Uint8Array, now: number): boolean {
    if (this.finQueued || this.state === STATE.closed) return false;
    if (this.queue.size === 0) this.waitingSince = now;
    this.queue.push(chunk);
    this.carrier.changed(this);
    return this.queue.cost < this.sendLimit;
  }

  /** Ends our stream: a FIN behind what is queued. */
  end(now: number): void {
    if (this.finQueued) return;
    if (this.state === STATE.synSent || this.state === STATE.closed) {
      if (this.queue.size === 0 && this.state === STATE.synSent) this.finish(undefined);
      else this.finQueued = true;
      return;
    }
    this.finQueued = true;
    if (this.queue.size === 0) this.waitingSince = now;
    if (this.state === STATE.closeWait) this.state = STATE.lastAck;
    else if (this.state === STATE.established || this.state === STATE.synReceived) this.state = STATE.finWait1;
    this.carrier.changed(this);
  }

  /** The user has gone: our stream ends, and payload that comes from now on is answered with RST. */
  leave(now: number): void {
    if (this.unread > 0 || this.early || (this.reassembly && !this.reassembly.isEmpty)) {
      this.abort(now);
      return;
    }
    this.left = true;
    this.application = undefined;
    this.end(now);
    if (this.state === STATE.finWait2) this.closeAt = now + FIN_TIMEOUT;
    updateDeadline(this);
  }

  /** Ends both streams at once, with RST. `closed` is not called. */
  abort(now: number): void {
    this.application = undefined;
    const { state } = this;
    if (state >= STATE.synReceived && state !== STATE.timeWait) sendReset(this, now);
    this.finish(undefined);
  }

  /** The reader has had so many bytes of what it received. */
  consumed(bytes: number, now: number): void {
    consumed(this, bytes, now);
  }

  /** ICMP says that a segment of ours, with the number `seq`, is larger than the `mtu` of a link (RFC 1191, RFC 8201). */
  tooBig(mtu: number, seq: number, now: number): void {
    if (this.isUnderWay(seq)) tooBig(this, mtu, now);
    this.carrier.changed(this);
  }

  /** Another ICMP error that quotes a segment of ours: before the connection is established, it ends it (RFC 5927 §4). */
  unreachable(failure: Failure, seq: number): void {
    if (this.state === STATE.synSent && this.isUnderWay(seq)) this.finish(failure);
  }

  setNoDelay(on: boolean): void {
    this.noDelay = on;
    this.carrier.changed(this);
  }

  /** Milliseconds of silence before the first probe, 0 for none; and between the others. */
  setKeepAlive(time: number, interval: number, probes: number, now: number): void {
    this.keepAliveTime = time;
    this.keepAliveInterval = interval;
    this.keepAliveMost = probes;
    this.unanswered = 0;
    this.keepAliveAt = time > 0 ? Math.max(now, this.lastHeard) + time : 0;
    updateDeadline(this);
    this.carrier.changed(this);
  }

  /** 0: none. It counts from when what waits was written, or from the last ACK that brought something. */
  setUserTimeout(milliseconds: number): void {
    this.userTimeout = milliseconds;
    updateDeadline(this);
    this.carrier.changed(this);
  }

  info(): ConnectionInfo {
    return describe(this);
  }
}
