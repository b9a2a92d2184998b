/** Everything that a run has measured, by profile, figure and contender. */

export interface Sample {
  readonly profile: string;
  readonly figure: string;
  readonly contender: string;
  readonly round: number;
  readonly value: number;
}

export interface Failure {
  readonly contender: string;
  readonly heat: string;
  readonly profile: string;
  readonly reason: string;
}

export interface Curve {
  readonly name: string;
  readonly contender: string;
  /** [p, µs]. */
  readonly points: readonly (readonly [number, number])[];
}

export class Results {
  readonly rounds: number;
  readonly failures: Failure[] = [];
  readonly samples: Sample[] = [];
  readonly #values = new Map<string, number[]>();
  readonly #curves = new Map<string, Curve>();

  constructor(rounds: number) {
    this.rounds = rounds;
  }

  add(sample: Sample): void {
    this.samples.push(sample);
    const key = `${sample.profile} ${sample.figure} ${sample.contender}`;
    const values = this.#values.get(key) ?? new Array<number>(this.rounds).fill(Number.NaN);
    values[sample.round] = sample.value;
    this.#values.set(key, values);
  }

  /** The last curve of a name stands. */
  addCurve(curve: Curve): void {
    this.#curves.set(`${curve.name} ${curve.contender}`, curve);
  }

  curves(name: string): Curve[] {
    return [...this.#curves.values()].filter((curve) => curve.name === name);
  }

  /** One value a round, NaN where it is missing. */
  values(profile: string, figure: string, contender: string): number[] {
    return this.#values.get(`${profile} ${figure} ${contender}`) ?? new Array<number>(this.rounds).fill(Number.NaN);
  }

  /** Those that were measured. */
  measured(profile: string, figure: string, contender: string): number[] {
    return this.values(profile, figure, contender).filter((value) => !Number.isNaN(value));
  }
}
