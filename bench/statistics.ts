/** Medians, spreads, and what may be concluded from them. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** By linear interpolation; NaN of nothing. */
export function quantile(values: readonly number[], p: number): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const place = p * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  if (low === undefined || high === undefined) return Number.NaN;
  return low + (high - low) * (place - Math.floor(place));
}

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Half of the distance between the quartiles, as a fraction of the median. */
  readonly spread: number;
}

export function summarize(values: readonly number[]): Summary {
  const middle = median(values);
  return {
    median: middle,
    least: Math.min(...values),
    most: Math.max(...values),
    spread: (quantile(values, 0.75) - quantile(values, 0.25)) / 2 / Math.abs(middle),
  };
}

export type Verdict = 'met' | 'missed' | 'unclear';

/**
 * Whether values reach a goal. Unclear when the goal lies between their quartiles: then the spread exceeds the
 * difference, and another run may say the opposite.
 */
export function judge(values: readonly number[], goal: number, atLeast: boolean): Verdict {
  const [low, high] = [quantile(values, 0.25), quantile(values, 0.75)];
  if (!Number.isFinite(low)) return 'unclear';
  if (atLeast ? low >= goal : high <= goal) return 'met';
  if (atLeast ? high < goal : low > goal) return 'missed';
  return 'unclear';
}
