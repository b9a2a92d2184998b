/**
 * One bottleneck with a queue, and senders with endless or paced data that share it: a virtual clock, events in order,
 * chance from a seed. A sender has what a control needs around it: loss found by what was sent later, PRR (RFC 6937),
 * pacing, a time-out. Each segment is acknowledged by itself, whether or not one before it is missing.
 */
import { AckSample, type CongestionControl } from '../../../../src/netstack/tcp/congestion/control.js';
import { DeliveryRate, type RateStamp } from '../../../../src/netstack/tcp/congestion/delivery_rate.js';

export const MSS = 1448;

export interface Path {
  /** Bytes a millisecond. */
  readonly rate: number;
  /** Milliseconds there and back, without queue. */
  readonly rtt: number;
  /** Bytes. */
  readonly queue: number;
  /** Share of segments that are lost by chance. */
  readonly loss?: number;
  /** ACKs arrive only at multiples of so many milliseconds. */
  readonly ackGrid?: number;
  /** ACKs are late by chance, up to so many milliseconds: else two flows may meet the full queue in the same order forever. */
  readonly jitter?: number;
  readonly seed?: number;
}

/** Megabits a second in bytes a millisecond. */
export const mbit = (rate: number): number => (rate * 1e6) / 8 / 1000;

/** Bytes that a path holds without a queue. */
export const product = ({ rate, rtt }: Path): number => rate * rtt;

/** Numbers from 0 to 1 that are the same each time (mulberry32). */
export function chanceOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly happens: () => void;
}

/** Events in the order of their time, then of their making: a binary heap. */
class Agenda {
  readonly #events: Event[] = [];
  #made = 0;

  get next(): Event | undefined {
    return this.#events[0];
  }

  add(at: number, happens: () => void): void {
    const events = this.#events;
    const event = { at, order: this.#made++, happens };
    let place = events.push(event) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (!isEarlier(event, events[above]!)) break;
      events[place] = events[above]!;
      place = above;
    }
    events[place] = event;
  }

  take(): void {
    const events = this.#events;
    const last = events.pop()!;
    if (events.length === 0) return;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= events.length) break;
      if (below + 1 < events.length && isEarlier(events[below + 1]!, events[below]!)) below++;
      if (!isEarlier(events[below]!, last)) break;
      events[place] = events[below]!;
      place = below;
    }
    events[place] = last;
  }
}

const isEarlier = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class Simulation {
  /** May become another while it runs. */
  path: Path;
  readonly agenda = new Agenda();
  readonly chance: () => number;
  now = 0;
  /** Segments that the queue had no room for. */
  overflows = 0;
  #freeAt = 0;
  #queued = 0;
  #measured = 0;

  constructor(path: Path) {
    this.path = path;
    this.chance = chanceOf(path.seed ?? 1);
  }

  /** A sender that begins at a time. */
  add(control: CongestionControl, startAt = 0): Sender {
    const sender = new Sender(this, control);
    this.agenda.add(startAt, () => {
      sender.send();
    });
    return sender;
  }

  run(until: number): void {
    for (let next = this.agenda.next; next !== undefined && next.at <= until; next = this.agenda.next) {
      this.agenda.take();
      this.now = next.at;
      next.happens();
    }
    this.now = until;
  }

  /** Mean bytes in the queue that segments met since the last call. */
  meanQueue(): number {
    const mean = this.#queued / this.#measured;
    this.#queued = this.#measured = 0;
    return mean;
  }

  /** A segment enters the path; `acknowledged` when its ACK is back. */
  carry(size: number, acknowledged: () => void): void {
    const { rate, rtt, queue, loss = 0, ackGrid = 0, jitter = 0 } = this.path;
    if (this.chance() < loss) return;
    const waiting = Math.max(this.#freeAt - this.now, 0) * rate;
    this.#queued += waiting;
    this.#measured++;
    if (waiting + size > queue) {
      this.overflows++;
      return;
    }
    this.#freeAt = Math.max(this.#freeAt, this.now) + size / rate;
    const back = this.#freeAt + rtt + (jitter > 0 ? jitter * this.chance() : 0);
    this.agenda.add(ackGrid === 0 ? back : Math.ceil(back / ackGrid) * ackGrid, acknowledged);
  }
}

class Segment implements RateStamp {
  sentAt = 0;
  firstSentAt = 0;
  deliveredAt = 0;
  delivered = 0;
  isAppLimited = false;
  state: 'flying' | 'arrived' | 'lost' = 'flying';
  /** Counts what is sent; a segment that is sent again has another number. */
  readonly number: number;
  readonly place: number;

  constructor(number: number, place: number) {
    this.number = number;
    this.place = place;
  }
}

/** A segment is lost when one that was sent so many later has arrived. */
const REORDERING = 3;
const LEAST_RTO = 200;

export class Sender {
  readonly control: CongestionControl;
  readonly #sim: Simulation;
  readonly #sample = new AckSample();
  readonly #rate = new DeliveryRate();
  /** Called behind each ACK. */
  watch: (sample: AckSample) => void = () => {};
  timeouts = 0;
  recoveries = 0;

  #sent: Segment[] = [];
  #oldest = 0;
  #numbers = 0;
  readonly #resend: number[] = [];
  readonly #arrived = new Set<number>();
  #una = 0;
  #nextPlace = 0;
  #application = { rate: Infinity, since: 0, from: 0 };
  #inFlight = 0;
  #leastRtt = Infinity;
  #smoothedRtt = 0;

  #state: 'open' | 'recovery' | 'timeout' = 'open';
  #recoveryEnd = 0;
  #prr = { delivered: 0, out: 0, flight: 0 };
  #mayLeave = 0;
  #isWindowLimited = false;

  #paceAt = 0;
  #wakesAt = Infinity;
  #lastSentAt = 0;
  #rtoAt = 0;
  #rtoRuns = false;
  #backoff = 1;

  constructor(sim: Simulation, control: CongestionControl) {
    this.#sim = sim;
    this.control = control;
  }

  /** Bytes that have arrived. */
  get delivered(): number {
    return this.#rate.delivered;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** From now on the application gives so many bytes a millisecond. At first it has endless data. */
  limitTo(rate: number): void {
    this.#application = { rate, since: this.#sim.now, from: this.#nextPlace };
    this.send();
  }

  send(): void {
    const { control } = this;
    this.#isWindowLimited = false;
    for (;;) {
      const allowed =
        this.#state === 'recovery' && !control.ownsRecovery ? this.#inFlight + this.#mayLeave : control.window;
      if (this.#inFlight + MSS > allowed) {
        this.#isWindowLimited = true;
        return;
      }
      if (this.#resend.length === 0 && !this.#hasData()) {
        this.#rate.markAppLimited(this.#inFlight);
        const { rate, since, from } = this.#application;
        this.#wakeAt(since + ((this.#nextPlace + 1 - from) * MSS) / rate + 1e-6);
        return;
      }
      if (this.#paceAt > this.#sim.now) {
        this.#wakeAt(this.#paceAt);
        return;
      }
      this.#sendOne();
    }
  }

  #hasData(): boolean {
    const { rate, since, from } = this.#application;
    return rate === Infinity || (this.#nextPlace + 1 - from) * MSS <= (this.#sim.now - since) * rate;
  }

  #wakeAt(at: number): void {
    if (at >= this.#wakesAt) return;
    this.#wakesAt = at;
    this.#sim.agenda.add(at, () => {
      if (this.#wakesAt !== at) return;
      this.#wakesAt = Infinity;
      this.send();
    });
  }

  #sendOne(): void {
    const { now } = this.#sim;
    if (this.#inFlight === 0 && now - this.#lastSentAt > LEAST_RTO && this.#state === 'open')
      this.control.idleEnded(now);
    this.#lastSentAt = now;
    const place = this.#resend.shift() ?? this.#nextPlace++;
    const segment = new Segment(this.#numbers++, place);
    this.#rate.onSend(segment, now, this.#inFlight);
    this.#sent.push(segment);
    this.#inFlight += MSS;
    this.#prr.out += MSS;
    this.#mayLeave -= MSS;
    if (this.control.pacingRate !== Infinity)
      this.#paceAt = Math.max(now, this.#paceAt) + MSS / this.control.pacingRate;
    if (!this.#rtoRuns) this.#armRto();
    this.#sim.carry(MSS, () => {
      this.#acknowledge(segment);
    });
  }

  #acknowledge(segment: Segment): void {
    const { control } = this;
    const sample = this.#sample;
    const { now } = this.#sim;
    const priorInFlight = this.#inFlight;
    const wasWindowLimited = this.#isWindowLimited;
    const isNew = !this.#arrived.has(segment.place) && segment.place >= this.#una;
    if (segment.state === 'flying') this.#inFlight -= MSS;
    segment.state = 'arrived';
    if (isNew) {
      this.#arrived.add(segment.place);
      this.#rate.onDelivered(segment, MSS, now);
    }
    const una = this.#una;
    while (this.#arrived.delete(this.#una)) this.#una++;
    const rtt = now - segment.sentAt;
    this.#leastRtt = Math.min(this.#leastRtt, rtt);
    this.#smoothedRtt += this.#smoothedRtt === 0 ? rtt : (rtt - this.#smoothedRtt) / 8;
    const lost = this.#findLost(segment.number - REORDERING);
    if (lost > 0 && this.#state === 'open') {
      this.#state = 'recovery';
      this.recoveries++;
      this.#recoveryEnd = this.#nextPlace;
      this.#prr = { delivered: 0, out: 0, flight: priorInFlight };
      control.lossFound(priorInFlight, now);
    }
    if (this.#state !== 'open' && this.#una >= this.#recoveryEnd) {
      this.#state = 'open';
      control.recovered(now);
    }
    this.#rate.finish(sample, now, this.#leastRtt);
    sample.now = now;
    sample.lost = lost;
    sample.priorInFlight = priorInFlight;
    sample.inFlight = this.#inFlight;
    sample.rtt = rtt;
    sample.acknowledged = (this.#una - una) * MSS;
    sample.isWindowLimited = wasWindowLimited;
    sample.inRecovery = this.#state === 'recovery';
    control.acknowledged(sample);
    if (this.#state === 'recovery') this.#reduceRate(sample.delivered);
    this.#backoff = 1;
    this.#armRto();
    this.watch(sample);
    this.send();
  }

  /** Bytes lost of those that were sent up to `number`. */
  #findLost(number: number): number {
    let lost = 0;
    for (; this.#oldest < this.#sent.length && this.#sent[this.#oldest]!.number <= number; this.#oldest++) {
      const segment = this.#sent[this.#oldest]!;
      if (segment.state !== 'flying') continue;
      segment.state = 'lost';
      this.#inFlight -= MSS;
      lost += MSS;
      this.#resend.push(segment.place);
    }
    if (this.#oldest > 4096) {
      this.#sent = this.#sent.slice(this.#oldest);
      this.#oldest = 0;
    }
    return lost;
  }

  /** PRR with slow start as its bound (RFC 6937 §3.1). */
  #reduceRate(delivered: number): void {
    const prr = this.#prr;
    prr.delivered += delivered;
    const { threshold } = this.control;
    if (this.#inFlight > threshold) {
      this.#mayLeave = Math.ceil((prr.delivered * threshold) / prr.flight) - prr.out;
    } else {
      const limit = Math.max(prr.delivered - prr.out, delivered) + MSS;
      this.#mayLeave = Math.min(threshold - this.#inFlight, limit);
    }
    if (prr.out === 0) this.#mayLeave = Math.max(this.#mayLeave, MSS);
  }

  #armRto(): void {
    this.#rtoAt = this.#sim.now + Math.max(LEAST_RTO, 2 * this.#smoothedRtt) * this.#backoff;
    if (this.#rtoRuns) return;
    this.#rtoRuns = true;
    this.#sim.agenda.add(this.#rtoAt, () => {
      this.#checkRto();
    });
  }

  #checkRto(): void {
    this.#rtoRuns = false;
    if (this.#inFlight === 0 && this.#resend.length === 0) return;
    const { now } = this.#sim;
    if (now >= this.#rtoAt) {
      const flight = this.#inFlight;
      this.#findLost(Infinity);
      this.#state = 'timeout';
      this.timeouts++;
      this.#recoveryEnd = this.#nextPlace;
      this.control.timedOut(flight, now);
      this.#backoff *= 2;
      this.#armRto();
      this.send();
      return;
    }
    this.#rtoRuns = true;
    this.#sim.agenda.add(this.#rtoAt, () => {
      this.#checkRto();
    });
  }
}
