/** Which fault comes when. */
import type { Fault } from '../net/faults.js';
import { Random } from './random.js';

export interface Turn {
  readonly fault: Fault;
  /** Milliseconds of quiet before it, and that it lasts. */
  readonly quiet: number;
  readonly lasts: number;
  /** How much of the schedule is done when it begins: 0 to 1. */
  readonly done: number;
}

/** Each fault `rounds` times in turn, for as long as is measured. */
export function* measured(faults: readonly Fault[], rounds: number): Generator<Turn> {
  const turns = rounds * faults.length;
  for (let turn = 0; turn < turns; turn++) {
    const fault = faults[turn % faults.length]!;
    yield { fault, quiet: 1000, lasts: (fault.lasts?.measured ?? 0) * 1000, done: turn / turns };
  }
}

/** All faults once in random order, then any of them until so many milliseconds have passed. */
export function* random(faults: readonly Fault[], seed: number, milliseconds: number): Generator<Turn> {
  const dice = new Random(seed);
  const began = performance.now();
  const first = dice.shuffled(faults);
  for (let turn = 0; ; turn++) {
    const passed = performance.now() - began;
    if (turn >= first.length && passed >= milliseconds) return;
    const fault = first[turn] ?? dice.one(faults);
    const [least, most] = fault.lasts?.random ?? [0, 0];
    const done = Math.min(passed / milliseconds, 1);
    yield { fault, quiet: dice.between(200, 3000), lasts: dice.between(least, most) * 1000, done };
  }
}
