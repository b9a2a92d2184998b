/** A race: who takes part, what is run in turns, which figures come out of it, and how a run of it goes. */
import { SingleBar } from 'cli-progress';
import { readCpu, since } from './cpu.js';
import type { Goal } from './goal.js';
import { describeMachine } from './machine.js';
import type { Chart } from './report/charts.js';
import type { Report } from './report/report.js';
import { Results } from './results.js';

export interface Figure {
  readonly title: string;
  readonly unit: string;
  readonly higherIsBetter: boolean;
  readonly digits: number;
}

export function more(title: string, unit: string, digits: number): Figure {
  return { title, unit, digits, higherIsBetter: true };
}

export function less(title: string, unit: string, digits: number): Figure {
  return { title, unit, digits, higherIsBetter: false };
}

export interface Contender {
  readonly name: string;
  /** How it was tuned, for the report. */
  readonly tuning: string;
  /** Why it cannot compete here, or undefined. */
  missing(): string | undefined;
}

/** Curves of round trips, [p, µs], the last of each round. */
export type DrawCurve = (name: string, points: readonly (readonly [number, number])[]) => void;

export interface Heat<Track, Context> {
  readonly name: string;
  readonly profiles: readonly string[];
  /** On a track of its own, so that what it leaves behind is nobody's burden. */
  readonly fresh?: boolean;
  run(track: Track, context: Context): Promise<Readonly<Partial<Record<string, number>>>>;
}

export interface Entry<RacingContender, RacingHeat> {
  readonly profile: string;
  readonly heat: RacingHeat;
  readonly contender: RacingContender;
}

/** What the reports need to know of a race. */
export interface RaceFacts {
  /** For `--only`, before the names of its heats. */
  readonly name: string;
  readonly title: string;
  /** Who meets whom where, for the report. */
  readonly setting: string;
  readonly profiles: Readonly<Record<string, { readonly title: string }>>;
  readonly figures: Readonly<Record<string, Figure>>;
  readonly goals: readonly Goal[];
  readonly contenders: readonly Contender[];
  /** The contender that is ours. */
  readonly ours: string;
  /** The contender that the others are compared with, and the figure whose swing tells how noisy a run was. */
  readonly yardstick: { readonly name: string; readonly profile: string; readonly figure: string };
  /** Of the contenders' bars and lines; ours and the yardstick's have their own. */
  readonly colors: Readonly<Record<string, string>>;
  charts(report: Report): Chart[];
}

export interface Race<
  Track extends AsyncDisposable,
  Context,
  RacingContender extends Contender = Contender,
  RacingHeat extends Heat<Track, Context> = Heat<Track, Context>,
> extends RaceFacts {
  readonly contenders: readonly RacingContender[];
  readonly heats: readonly RacingHeat[];
  /** Whether a contender meets the others in this heat; in a hurry only what the goals compare. */
  takesPart(entry: Entry<RacingContender, RacingHeat>, quick: boolean): boolean;
  /** A track with the contender on it, where a load lasts so many seconds. */
  open(profile: string, contender: RacingContender, seconds: number): Promise<Track>;
  /** What the heats of one round share. */
  newRound(curve: DrawCurve): Context;
}

export interface Plan {
  readonly quick: boolean;
  readonly rounds: number;
  readonly seconds: number;
  /** Whether a heat of this name is run. */
  selects(heat: string): boolean;
}

/** Tracks that stay from heat to heat, and who is out of what. */
class Tracks<Track extends AsyncDisposable> implements AsyncDisposable {
  readonly #known = new Map<string, Track>();
  readonly #out = new Set<string>();

  isOut(key: string, heat: string): boolean {
    return this.#out.has(key) || this.#out.has(`${key} ${heat}`);
  }

  /** Out of the heat, or of all where it could not even be set up. */
  leave(key: string, heat: string): void {
    this.#out.add(this.#known.has(key) ? `${key} ${heat}` : key);
  }

  async get(key: string, open: () => Promise<Track>): Promise<Track> {
    const known = this.#known.get(key);
    if (known) return known;
    const track = await open();
    this.#known.set(key, track);
    return track;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#known.values()].map((track) => track[Symbol.asyncDispose]()));
  }
}

/** Everybody in turns, round by round. What a contender fails in, or cannot be set up for, it is out of, with the reason. */
export async function run<
  Track extends AsyncDisposable,
  Context,
  RacingContender extends Contender,
  RacingHeat extends Heat<Track, Context>,
>(race: Race<Track, Context, RacingContender, RacingHeat>, plan: Plan, signal: AbortSignal): Promise<Report> {
  const results = new Results(plan.rounds);
  const contenders = race.contenders.filter((each) => each.missing() === undefined);
  const heats = race.heats.filter(({ name }) => plan.selects(name));
  const entries = Object.keys(race.profiles)
    .flatMap((profile) =>
      heats
        .filter((heat) => heat.profiles.includes(profile))
        .flatMap((heat) => contenders.map((contender) => ({ profile, heat, contender }))),
    )
    .filter((entry) => race.takesPart(entry, plan.quick));
  await using tracks = new Tracks<Track>();

  const compete = async ({ profile, heat, contender }: (typeof entries)[0], round: number, context: Context) => {
    const key = `${profile} ${contender.name}`;
    if (tracks.isOut(key, heat.name)) return;
    const open = (): Promise<Track> => race.open(profile, contender, plan.seconds);
    try {
      await using own = heat.fresh ? await open() : undefined;
      const values = await heat.run(own ?? (await tracks.get(key, open)), context);
      for (const [figure, value] of Object.entries(values))
        results.add({ profile, figure, contender: contender.name, round, value: value! });
    } catch (error) {
      const reason = (error as Error).message.split('\n')[0]!;
      results.failures.push({ contender: contender.name, heat: heat.name, profile, reason });
      tracks.leave(key, heat.name);
    }
  };

  const before = readCpu();
  const began = Date.now();
  using progress = new Progress(entries.length * plan.rounds);
  for (let round = 0; round < plan.rounds; round++) {
    let drawing = '';
    const context = race.newRound((name, points) => results.addCurve({ name, contender: drawing, points }));
    for (const entry of entries) {
      signal.throwIfAborted();
      const { profile, heat, contender } = entry;
      drawing = contender.name;
      progress.next(`round ${round + 1}: ${drawing}, ${heat.name}, ${race.profiles[profile]!.title}`);
      await compete(entry, round, context);
    }
  }
  const seconds = (Date.now() - began) / 1000;
  return {
    race,
    results,
    machine: describeMachine(),
    seconds,
    secondsEach: plan.seconds,
    stolen: since(before).stolen / seconds,
    contenders,
    missing: race.contenders.flatMap((each) => {
      const reason = each.missing();
      return reason ? [{ name: each.name, reason }] : [];
    }),
  };
}

/** How far a run is, and how long it still takes. */
class Progress implements Disposable {
  readonly #bar: SingleBar;
  readonly #total: number;
  readonly #began = Date.now();
  #done = -1;

  constructor(total: number) {
    this.#total = total;
    this.#bar = new SingleBar({
      format: '{bar} {percentage} %, {left} left   {what}',
      clearOnComplete: true,
      hideCursor: true,
      noTTYOutput: true,
      notTTYSchedule: 15_000,
      stream: process.stderr,
    });
    this.#bar.start(total, 0, { left: '?', what: 'setting up' });
  }

  next(what: string): void {
    const done = ++this.#done;
    const minutesLeft = (((Date.now() - this.#began) / done) * (this.#total - done)) / 60_000;
    this.#bar.update(done, { left: done === 0 ? '?' : `${Math.ceil(minutesLeft)} min`, what });
  }

  [Symbol.dispose](): void {
    this.#bar.stop();
  }
}
