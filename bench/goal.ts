/** What has to be reached, as ratios or differences of the same round. */
import type { Results } from './results.js';

export interface Goal {
  readonly title: string;
  readonly goal: number;
  readonly atLeast: boolean;
  readonly digits: number;
  /** One value a round, NaN where a part of it is missing. */
  values(results: Results): number[];
}

/** A figure of one contender. */
export interface Term {
  readonly figure: string;
  readonly of: string;
  readonly profile: string;
}

/** Two figures of each round as one value. */
export function pairs(results: Results, a: Term, b: Term, combine: (a: number, b: number) => number): number[] {
  const [left, right] = [a, b].map((term) => results.values(term.profile, term.figure, term.of));
  return left!.map((value, round) => combine(value, right![round] ?? Number.NaN));
}

export function ratio(title: string, a: Term, b: Term, goal: number, atLeast = true): Goal {
  return { title, goal, atLeast, digits: 2, values: (results) => pairs(results, a, b, (x, y) => x / y) };
}
