/** What the reports of a run have in common: its facts, and the sentences about it. */
import { STRAIGHT_UDP, type Contender } from '../contenders.js';
import { GOALS, type Goal } from '../goals.js';
import { FIGURES, PROFILES, type FigureId, type Profile } from '../heats.js';
import type { Machine } from '../machine.js';
import type { Results } from '../results.js';
import { judge, median, summarize, type Summary, type Verdict } from '../statistics.js';

export interface Report {
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
  /** Against straight UDP, median of the rounds' ratios; undefined for itself. */
  readonly ratio: number | undefined;
}

export interface Table {
  readonly profile: Profile;
  readonly figure: FigureId;
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  readonly rows: readonly Row[];
}

/** One table a figure, of those that were measured. */
export function tables({ results, contenders }: Report): Table[] {
  const profiles = Object.keys(PROFILES) as Profile[];
  const figures = Object.keys(FIGURES) as FigureId[];
  return profiles.flatMap((profile) =>
    figures.flatMap((figure) => {
      const { title, unit, digits } = FIGURES[figure];
      const reference = results.values(profile, figure, STRAIGHT_UDP);
      const rows = contenders.flatMap(({ name }) => {
        const measured = results.measured(profile, figure, name);
        if (measured.length === 0) return [];
        const ratios = results.values(profile, figure, name).map((value, round) => value / reference[round]!);
        const ratio = name === STRAIGHT_UDP ? Number.NaN : median(ratios.filter(Number.isFinite));
        return [{ contender: name, ...summarize(measured), ratio: Number.isNaN(ratio) ? undefined : ratio }];
      });
      return rows.length > 0 ? [{ profile, figure, title, unit, digits, rows }] : [];
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
export function judgedGoals({ results }: Report): JudgedGoal[] {
  return GOALS.flatMap((goal) => {
    const values = goal.values(results).filter((value) => !Number.isNaN(value));
    if (values.length === 0) return [];
    const verdict = judge(values, goal.goal, goal.atLeast);
    return [{ goal, median: median(values), spread: [Math.min(...values), Math.max(...values)], verdict }];
  });
}

/** How far figures of this run can be trusted. */
export function noise({ results, stolen }: Report): string {
  const straight = results.measured('tso', 'plain', STRAIGHT_UDP);
  const swing = straight.length > 1 ? (Math.max(...straight) / Math.min(...straight) - 1) * 100 : Number.NaN;
  const stolenText = `${(stolen * 100).toFixed(1)} % of a core went to other guests`;
  return `noise: straight UDP swung by ${swing.toFixed(0)} % over the rounds, ${stolenText}`;
}

export function subject({ machine, results, secondsEach }: Report): string {
  return (
    `${results.rounds} interleaved rounds of ${secondsEach} s each on ${machine.cores} cores (${machine.processor}), ` +
    `Linux ${machine.kernel}, ${machine.distribution}, Node ${machine.node}; ` +
    'client, NAT router and server in namespaces on the same cores, 1400 bytes unless said'
  );
}
