/** Runs faults under load and judges what becomes of the datagrams. */
import { setTimeout as delay } from 'node:timers/promises';
import { faultsOn, type Device, type Fault, type Undo } from '../net/faults.js';
import type { Corrupted } from './load.js';
import { ProcessUse, type Use } from './process_use.js';
import { SoakScene } from './scene.js';
import type { Turn } from './schedule.js';
import { LATE, type Gap } from './stream.js';

/** Milliseconds in which a fault has to be survived. */
const LIMIT = 30_000;
/** Milliseconds without a lost or late datagram after which a fault has been survived. */
const CALM = 1000;
/** Milliseconds before a fault from which datagrams may still be on their way. */
const IN_FLIGHT = 100;

export interface FaultResult {
  readonly name: string;
  readonly injected: number;
  /** Seconds from the fault, or from its end if it lasts, until all flows go both ways again; one of each survived. */
  readonly recoveries: readonly number[];
}

export interface SoakReport {
  readonly seconds: number;
  readonly faults: readonly FaultResult[];
  readonly sent: number;
  readonly lostInGaps: number;
  readonly lostBeyond: number;
  readonly corrupted: number;
  readonly misdelivered: number;
  readonly duplicated: number;
  readonly reordered: number;
  readonly uses: readonly Use[];
  /** What must not have happened, a sentence each. */
  readonly problems: readonly string[];
}

export interface SoakOptions {
  readonly device: Device;
  readonly turns: Iterable<Turn>;
  /** Ends the run; the fault that it is at does not count. */
  readonly signal: AbortSignal;
  readonly onTurn?: (turn: Turn) => void;
}

/** @throws when the tunnel does not work to begin with */
export async function soak({ device, turns, signal, onTurn }: SoakOptions): Promise<SoakReport> {
  await using scene = await SoakScene.create(device);
  const began = performance.now();
  const run = new Run(scene, faultsOn(device), signal);
  const works = await run.recovers(began, began);
  signal.throwIfAborted();
  if (works === undefined) throw new Error(`The tunnel does not work without a fault:\n${run.logs()}`);
  for (const turn of turns) {
    onTurn?.(turn);
    await delay(turn.quiet, undefined, { signal }).catch(() => {});
    if (signal.aborted || !(await run.take(turn))) break;
  }
  scene.load.stop();
  await delay(CALM);
  return run.report((performance.now() - began) / 1000);
}

interface Occurrence extends Gap {
  readonly name: string;
}

class Run {
  readonly #scene: SoakScene;
  readonly #results = new Map<string, { name: string; injected: number; recoveries: number[] }>();
  readonly #occurrences: Occurrence[] = [];
  readonly #uses: readonly ProcessUse[];
  readonly #problems: string[] = [];
  readonly #signal: AbortSignal;

  constructor(scene: SoakScene, faults: readonly Fault[], signal: AbortSignal) {
    this.#scene = scene;
    for (const { name } of faults) this.#results.set(name, { name, injected: 0, recoveries: [] });
    this.#signal = signal;
    // An interrupt from a terminal ends client and server too.
    const name = 'the interruption';
    signal.addEventListener('abort', () => {
      this.#occurrences.push({ name, from: performance.now() - IN_FLIGHT, to: Infinity });
    });
    this.#uses = (['client', 'server'] as const).map((part) => new ProcessUse(part));
  }

  /** Whether the tunnel works afterwards. */
  async take({ fault, lasts }: Turn): Promise<boolean> {
    const { name } = fault;
    const result = this.#results.get(name)!;
    const from = performance.now() - IN_FLIGHT;
    let counted = performance.now();
    let undo = (await fault.inject(this.#scene)) as Undo | undefined;
    let over = performance.now();
    if (fault.lasts) {
      await delay(lasts, undefined, { signal: this.#signal }).catch(() => {});
      await undo?.();
      undo = undefined;
      counted = over = performance.now();
    }
    let to = await this.recovers(from, over);
    if (!this.#signal.aborted) {
      result.injected++;
      if (to !== undefined) result.recoveries.push(Math.max(0, to - counted) / 1000);
      else this.#problems.push(`${name}: not survived within ${LIMIT / 1000} s.\n${this.logs()}`);
      await undo?.();
      to ??= await this.recovers(from, over);
    }
    this.#occurrences.push({ name, from, to: to ?? Infinity });
    return to !== undefined;
  }

  /**
   * When all was well again after what happened since then and was over at last; undefined when it is not within the
   * limit, or aborted. Calm counts from `over` on: on a busy machine a fault may take its time to happen.
   */
  async recovers(since: number, over: number): Promise<number | undefined> {
    const { streams } = this.#scene.load;
    const limit = performance.now() + LIMIT;
    for (let now = performance.now(); now < limit && !this.#signal.aborted; now = performance.now()) {
      const calmSince = Math.max(now - LATE - CALM, over);
      if (now - LATE - calmSince >= CALM && streams.every((stream) => stream.calm(calmSince, now - LATE))) {
        for (const use of this.#uses) use.sample(this.#scene.program(use.part));
        return Math.max(since, ...streams.map((stream) => stream.gap(since, now - LATE)?.to ?? since));
      }
      await delay(50);
    }
    return undefined;
  }

  /** The ends of what client and server said. */
  logs(): string {
    const tail = (part: 'client' | 'server'): string =>
      this.#scene
        .program(part)
        .output.split('\n')
        .slice(-15)
        .map((line) => `  ${part}: ${line}`)
        .join('\n');
    return `${tail('client')}\n${tail('server')}`;
  }

  report(seconds: number): SoakReport {
    const { load } = this.#scene;
    const { streams, corrupted, misdelivered } = load;
    const total = (count: (stream: (typeof streams)[number]) => number): number =>
      streams.reduce((sum, stream) => sum + count(stream), 0);
    const lost = streams.flatMap((stream) => [...stream.lost()]);
    const beyond = lost.filter((sent) => !this.#occurrences.some(({ from, to }) => from <= sent && sent <= to));
    const problems = [...this.#problems, ...this.#beyondGaps(beyond)];
    problems.push(...corrupted.map((each) => this.#corruption(each)));
    if (misdelivered > 0) problems.push(`${misdelivered} datagrams were misdelivered.`);
    return {
      seconds,
      faults: [...this.#results.values()],
      sent: total(({ sent }) => sent),
      lostInGaps: lost.length - beyond.length,
      lostBeyond: beyond.length,
      corrupted: corrupted.length,
      misdelivered,
      duplicated: total(({ duplicated }) => duplicated),
      reordered: total(({ reordered }) => reordered),
      uses: this.#uses.map((use) => use.result()),
      problems,
    };
  }

  #corruption({ direction, at, bytes }: Corrupted): string {
    const last = this.#occurrences.findLast(({ from }) => from <= at);
    const since = ((at - (last?.from ?? 0)) / 1000).toFixed(3);
    const head = bytes.subarray(0, 40).toString('hex');
    return `${bytes.length} bytes ${direction} that were never sent, ${since} s after ${last?.name ?? 'the start'}: ${head}`;
  }

  /** A sentence for each fault behind whose gap datagrams were lost. */
  #beyondGaps(lost: readonly number[]): string[] {
    const behind = new Map<string, number[]>();
    for (const sent of lost) {
      const last = this.#occurrences.findLast(({ to }) => to <= sent);
      const name = last?.name ?? 'the start';
      behind.set(name, [...(behind.get(name) ?? []), (sent - (last?.to ?? 0)) / 1000]);
    }
    return Array.from(behind, ([name, times]) => {
      const [first, last] = [Math.min(...times), Math.max(...times)].map((time) => time.toFixed(2));
      return `${times.length} datagrams were lost beyond a gap: ${first} to ${last} s after that of ${name}.`;
    });
  }
}
