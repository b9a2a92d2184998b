/**
 * BBR, version 1, as Linux has it (net/ipv4/tcp_bbr.c; draft-cardwell-iccrg-bbr-congestion-control-00). It models the
 * path by two numbers, the most bandwidth and the least RTT, and keeps their product in flight. Loss is no sign to it.
 * Left out: the detection of policers ("long-term bandwidth").
 */
import { AckAggregation } from './ack_aggregation.js';
import type { AckSample, CongestionControl } from './control.js';
import { sendQuantum } from './pacing.js';
import { initialWindow, MOST_WINDOW } from './window.js';
import { WindowedMax } from './windowed_max.js';

/** What it is doing: finding the bandwidth, emptying the queue that this made, holding it, or finding the least RTT. */
export const BBR_MODE = { startup: 0, drain: 1, probeBandwidth: 2, probeRtt: 3 } as const;

/** The least gain that doubles the rate each round: 2 / ln 2. */
const HIGH_GAIN = 2 / Math.LN2;
/** Pacing gains of the phases of `probeBandwidth`, each about the least RTT long. */
const CYCLE = [1.25, 0.75, 1, 1, 1, 1, 1, 1] as const;
const PROBE_PHASE = 0;
/** Of the bandwidth's and RTT's product: room for ACKs that are late or merged. */
const WINDOW_GAIN = 2;
/** Rounds for which a bandwidth counts. */
const BANDWIDTH_ROUNDS = CYCLE.length + 2;
/** The pipe is full when so many rounds have not brought a quarter more. */
const FULL_ROUNDS = 3;
const FULL_GROWTH = 1.25;
/** Milliseconds for which a least RTT counts, and for how long another is looked for. */
const LEAST_RTT_AGE = 10_000;
const PROBE_RTT_TIME = 200;
/** Paced so much below the bandwidth that no queue grows. */
const PACING_SHARE = 0.99;
/** Segments: enough for a receiver that acknowledges every second one. */
const LEAST_SEGMENTS = 4;
/** Milliseconds taken for the RTT before one was measured. */
const NOMINAL_RTT = 1;

export class Bbr implements CongestionControl {
  readonly name = 'bbr';
  readonly ownsRecovery = true;
  window: number;
  threshold = Infinity;
  pacingRate: number;
  mode: number = BBR_MODE.startup;

  private segmentSize: number;
  /** Bytes that leave at once at this pacing rate. */
  private quantum: number;
  private chance: number;

  private readonly bandwidths = new WindowedMax(BANDWIDTH_ROUNDS);
  /** Bytes a millisecond: the most of the last rounds. */
  private bandwidth = 0;
  /** Milliseconds, and when it was measured. */
  private leastRtt = Infinity;
  private leastRttAt = 0;
  private readonly aggregation = new AckAggregation();

  private rounds = 0;
  private beginsRound = false;
  /** The round ends when something is acknowledged that was sent behind so many delivered bytes. */
  private roundEnd = 0;
  private totalDelivered = 0;

  private pacingGain = HIGH_GAIN;
  private windowGain = HIGH_GAIN;
  private phase = 0;
  private phaseAt = 0;

  private fullBandwidth = 0;
  private fullRounds = 0;
  private isFull = false;

  /** When the window has been small for long enough to have seen the least RTT; 0: it is not small yet. */
  private probeRttUntil = 0;
  private probeRttHadRound = false;
  /** What was sent behind the first and up to the second of these delivered bytes, was held back by `probeRtt`. */
  private heldBackFrom = Infinity;
  private heldBackUntil = 0;
  private behindIdle = false;

  private inRecovery = false;
  /** The next ACK is the first of recovery. */
  private beginsRecovery = false;
  /** The first round of recovery: what leaves is what arrives. */
  private isConserving = false;
  /** Window before recovery or `probeRtt`. */
  private priorWindow = 0;

  /**
   * `segmentSize`: bytes of payload of a full segment. `chance`: any 32-bit number; in which phase connections begin is
   * taken from it, so that those that share a path do not probe together.
   */
  constructor(segmentSize: number, chance: number) {
    this.segmentSize = segmentSize;
    this.chance = chance;
    this.window = initialWindow(segmentSize);
    this.pacingRate = (HIGH_GAIN * this.window) / NOMINAL_RTT;
    this.quantum = sendQuantum(this.pacingRate, segmentSize);
  }

  setSegmentSize(bytes: number): void {
    const isFresh = this.totalDelivered === 0 && this.window === initialWindow(this.segmentSize);
    this.segmentSize = bytes;
    this.window = isFresh ? initialWindow(bytes) : Math.max(this.window, bytes);
    this.paceAt(isFresh ? (HIGH_GAIN * this.window) / NOMINAL_RTT : this.pacingRate);
  }

  acknowledged(sample: AckSample): void {
    this.totalDelivered = sample.totalDelivered;
    const isLimited = sample.isAppLimited || this.isHeldBack(sample.priorDelivered);
    this.followRound(sample);
    this.followBandwidth(sample, isLimited);
    this.aggregation.acknowledged(sample, this.beginsRound, this.bandwidth, this.window, this.segmentSize);
    if (this.mode === BBR_MODE.probeBandwidth && this.isPhaseOver(sample)) this.nextPhase(sample.now);
    this.checkFull(isLimited);
    this.checkDrained(sample);
    this.followRtt(sample);
    this.setGains();
    this.setPacingRate();
    this.setWindow(sample);
  }

  lossFound(inFlight: number): void {
    this.saveWindow();
    this.inRecovery = this.beginsRecovery = this.isConserving = true;
    this.window = Math.max(inFlight, 0) + this.segmentSize;
  }

  recovered(): void {
    if (this.inRecovery) this.window = Math.max(this.window, this.priorWindow);
    this.inRecovery = this.beginsRecovery = this.isConserving = false;
    this.boundWindow();
  }

  timedOut(): void {
    this.saveWindow();
    this.inRecovery = true;
    this.beginsRecovery = this.isConserving = false;
    // The path may be another now: whether it is full is asked again if it was not answered yet.
    this.fullBandwidth = 0;
    this.window = this.segmentSize;
  }

  undo(): void {
    this.fullBandwidth = 0;
    this.fullRounds = 0;
    this.recovered();
  }

  /** The window holds over silence: pacing at the bandwidth, and no faster, refills the path without a burst. */
  idleEnded(now: number): void {
    this.behindIdle = true;
    this.aggregation.restart(now);
    if (this.mode === BBR_MODE.probeRtt) this.checkProbeRttDone(now);
    else if (this.mode === BBR_MODE.probeBandwidth) {
      this.pacingGain = 1;
      this.setPacingRate();
    }
  }

  private followRound(sample: AckSample): void {
    this.beginsRound = sample.delivered > 0 && sample.priorDelivered >= this.roundEnd;
    if (!this.beginsRound) return;
    this.roundEnd = sample.totalDelivered;
    this.rounds++;
    // The ACK that begins recovery may begin a round, too; what is conserved is the round behind it.
    if (!this.beginsRecovery) this.isConserving = false;
  }

  private followBandwidth(sample: AckSample, isLimited: boolean): void {
    if (sample.rate <= 0) return;
    // What the application held back tells only when it was fast all the same.
    if (isLimited && sample.rate < this.bandwidth) return;
    this.bandwidths.add(sample.rate, this.rounds);
    this.bandwidth = this.bandwidths.value;
  }

  private isPhaseOver(sample: AckSample): boolean {
    const isLongEnough = sample.now - this.phaseAt > this.leastRtt;
    if (this.pacingGain === 1) return isLongEnough;
    // Probing goes on until the flight is as large as it is meant to be, or something is lost for it.
    if (this.pacingGain > 1) {
      return isLongEnough && (sample.lost > 0 || sample.priorInFlight >= this.flight(this.pacingGain));
    }
    // And its queue is gone as soon as the flight is what the path holds.
    return isLongEnough || sample.priorInFlight <= this.flight(1);
  }

  private nextPhase(now: number): void {
    this.phase = (this.phase + 1) % CYCLE.length;
    this.phaseAt = now;
  }

  private checkFull(isLimited: boolean): void {
    if (this.isFull || !this.beginsRound || isLimited) return;
    if (this.bandwidth >= this.fullBandwidth * FULL_GROWTH) {
      this.fullBandwidth = this.bandwidth;
      this.fullRounds = 0;
      return;
    }
    this.isFull = ++this.fullRounds >= FULL_ROUNDS;
  }

  private checkDrained(sample: AckSample): void {
    if (this.mode === BBR_MODE.startup && this.isFull) {
      this.mode = BBR_MODE.drain;
      this.threshold = this.flight(1);
    }
    if (this.mode === BBR_MODE.drain && sample.inFlight <= this.flight(1)) this.probeBandwidth(sample.now);
  }

  /** Begins in any phase but the one that drains what none has filled. */
  private probeBandwidth(now: number): void {
    this.mode = BBR_MODE.probeBandwidth;
    this.chance = (Math.imul(this.chance, 1_664_525) + 1_013_904_223) >>> 0;
    this.phase = CYCLE.length - 1 - Math.floor((this.chance / 2 ** 32) * (CYCLE.length - 1));
    this.nextPhase(now);
  }

  private followRtt(sample: AckSample): void {
    const { rtt, now } = sample;
    const isOld = now > this.leastRttAt + LEAST_RTT_AGE && this.leastRtt !== Infinity;
    if (rtt > 0 && (rtt < this.leastRtt || isOld)) {
      if (this.leastRtt === Infinity) this.paceAt((HIGH_GAIN * this.window) / rtt);
      this.leastRtt = rtt;
      this.leastRttAt = now;
    }
    if (isOld && !this.behindIdle && this.mode !== BBR_MODE.probeRtt) {
      this.saveWindow();
      this.mode = BBR_MODE.probeRtt;
      this.probeRttUntil = 0;
      this.heldBackFrom = sample.totalDelivered;
    }
    if (this.mode === BBR_MODE.probeRtt) this.probeRtt(sample);
    if (sample.delivered > 0) this.behindIdle = false;
  }

  private probeRtt(sample: AckSample): void {
    this.heldBackUntil = sample.totalDelivered + sample.inFlight;
    if (this.probeRttUntil > 0) {
      if (this.beginsRound) this.probeRttHadRound = true;
      if (this.probeRttHadRound) this.checkProbeRttDone(sample.now);
    } else if (sample.inFlight <= this.leastWindow()) {
      this.probeRttUntil = sample.now + PROBE_RTT_TIME;
      this.probeRttHadRound = false;
      this.roundEnd = sample.totalDelivered;
    }
  }

  private checkProbeRttDone(now: number): void {
    if (this.probeRttUntil === 0 || now <= this.probeRttUntil) return;
    this.leastRttAt = now;
    this.window = Math.max(this.window, this.priorWindow);
    if (this.isFull) this.probeBandwidth(now);
    else this.mode = BBR_MODE.startup;
  }

  private isHeldBack(priorDelivered: number): boolean {
    return priorDelivered >= this.heldBackFrom && priorDelivered <= this.heldBackUntil;
  }

  private setGains(): void {
    if (this.mode === BBR_MODE.startup) this.pacingGain = this.windowGain = HIGH_GAIN;
    else if (this.mode === BBR_MODE.probeRtt) this.pacingGain = this.windowGain = 1;
    else if (this.mode === BBR_MODE.drain) {
      this.pacingGain = 1 / HIGH_GAIN;
      this.windowGain = HIGH_GAIN;
    } else {
      this.pacingGain = CYCLE[this.phase]!;
      this.windowGain = WINDOW_GAIN;
    }
  }

  private setPacingRate(): void {
    const rate = this.bandwidth * this.pacingGain * PACING_SHARE;
    // While the pipe fills, a lower sample is one of an application that gave less.
    if (rate > 0 && (this.isFull || rate > this.pacingRate)) this.paceAt(rate);
  }

  private paceAt(rate: number): void {
    this.pacingRate = rate;
    this.quantum = sendQuantum(rate, this.segmentSize);
  }

  private setWindow(sample: AckSample): void {
    const { delivered, inFlight } = sample;
    if (sample.lost > 0) this.window = Math.max(this.window - sample.lost, this.segmentSize);
    if (this.beginsRecovery) {
      this.window = inFlight + delivered;
      this.roundEnd = sample.totalDelivered;
      this.beginsRecovery = false;
    }
    if (this.isConserving) {
      this.window = Math.max(this.window, inFlight + delivered);
    } else if (delivered > 0) {
      const extra = this.isFull ? this.aggregation.extra(this.bandwidth) : 0;
      const target = this.withQuanta(this.product(this.windowGain) + extra);
      if (this.isFull) this.window = Math.min(this.window + delivered, target);
      else if (this.window < target || sample.totalDelivered < initialWindow(this.segmentSize))
        this.window += delivered;
      this.window = Math.max(this.window, this.leastWindow());
    }
    this.boundWindow();
  }

  private boundWindow(): void {
    const most = this.mode === BBR_MODE.probeRtt ? this.leastWindow() : MOST_WINDOW;
    this.window = Math.max(Math.min(this.window, most), this.segmentSize);
  }

  private saveWindow(): void {
    const keeps = this.inRecovery || this.mode === BBR_MODE.probeRtt;
    this.priorWindow = keeps ? Math.max(this.priorWindow, this.window) : this.window;
  }

  private leastWindow(): number {
    return LEAST_SEGMENTS * this.segmentSize;
  }

  /** Bytes in flight when the path is filled `gain` times. */
  private flight(gain: number): number {
    return this.withQuanta(this.product(gain));
  }

  /** Bandwidth and least RTT: bytes that the path holds without a queue, `gain` times. */
  private product(gain: number): number {
    if (this.leastRtt === Infinity) return initialWindow(this.segmentSize);
    return this.bandwidth * this.leastRtt * gain;
  }

  /**
   * Room for what waits whole in the host: a quantum each at the sender, at the receiver, and on the way between. Even
   * segments, since many receivers acknowledge every second one; while probing two more, that a short path notices it.
   */
  private withQuanta(bytes: number): number {
    const pair = 2 * this.segmentSize;
    const room = Math.ceil((bytes + 3 * this.quantum) / pair) * pair;
    return this.mode === BBR_MODE.probeBandwidth && this.phase === PROBE_PHASE ? room + pair : room;
  }
}
