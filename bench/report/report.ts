/** What the reports of a run have in common: its facts, and the sentences about it. */
import type { Goal } from '../goal.js';
import type { Machine } from '../machine.js';
import type { Contender, RaceFacts } from '../race.js';
import type { Results } from '../results.js';
import { judge, median, summarize, type Summary, type Verdict } from '../statistics.js';

export interface Report {
  readonly race: RaceFacts;
  readonly results: Results;
  readonly machine: Machine;
  readonly seconds: number;
  readonly secondsEach: number;
  /** Processors that the hypervisor gave to others, on average. */
  readonly stolen: number;
  readonly contenders: readonly Contender[];
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

export interface Row extends Summary {
  readonly contender: string;
  /** Against the yardstick, median of the rounds' ratios; undefined for itself. */
  readonly ratio: number | undefined;
}

export interface Table {
  readonly profile: string;
  readonly figure: string;
  /** What is measured, and on which path. */
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly rows: readonly Row[];
}

/** One table a figure, of those that were measured. */
export function tables({ race, results, contenders }: Report): Table[] {
  const { figures, profiles, yardstick } = race;
  return Object.keys(profiles).flatMap((profile) =>
    Object.entries(figures).flatMap(([figure, { title, unit, digits }]) => {
      const reference = results.values(profile, figure, yardstick.name);
      const rows = contenders.flatMap(({ name }) => {
        const measured = results.measured(profile, figure, name);
        if (measured.length === 0) return [];
        const ratios = results.values(profile, figure, name).map((value, round) => value / reference[round]!);
        const ratio = name === yardstick.name ? Number.NaN : median(ratios.filter(Number.isFinite));
        return [{ contender: name, ...summarize(measured), ratio: Number.isNaN(ratio) ? undefined : ratio }];
      });
      const titled = `${title} (${profiles[profile]!.title})`;
      return rows.length > 0 ? [{ profile, figure, title: titled, unit, digits, rows }] : [];
    }),
  );
}

export interface JudgedGoal {
  readonly goal: Goal;
  readonly median: number;
  readonly spread: readonly [number, number];
  readonly verdict: Verdict;
}

/** The goals for which this run has figures. */
export function judgedGoals({ race, results }: Report): JudgedGoal[] {
  return race.goals.flatMap((goal) => {
    const values = goal.values(results).filter((value) => !Number.isNaN(value));
    if (values.length === 0) return [];
    const verdict = judge(values, goal.goal, goal.atLeast);
    return [{ goal, median: median(values), spread: [Math.min(...values), Math.max(...values)], verdict }];
  });
}

/** How far figures of this run can be trusted. */
export function noise({ race, results, stolen }: Report): string {
  const { name, profile, figure } = race.yardstick;
  const measured = results.measured(profile, figure, name);
  const swing = measured.length > 1 ? (Math.max(...measured) / Math.min(...measured) - 1) * 100 : Number.NaN;
  const stolenText = `${(stolen * 100).toFixed(1)} % of a core went to other guests`;
  return `noise: ${name} swung by ${swing.toFixed(0)} % over the rounds, ${stolenText}`;
}

export function subject({ race, machine, results, secondsEach }: Report): string {
  return (
    `${results.rounds} interleaved rounds of ${secondsEach} s each on ${machine.cores} cores (${machine.processor}), ` +
    `Linux ${machine.kernel}, ${machine.distribution}, Node ${machine.node}; ` +
    race.setting
  );
}
