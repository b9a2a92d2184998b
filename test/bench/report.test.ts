import t from 'tap';
import { CONTENDERS } from '../../bench/contenders.js';
import { judgedGoals, tables, type Report } from '../../bench/report/report.js';
import { Results } from '../../bench/results.js';
import { judge, median, quantile } from '../../bench/statistics.js';
import { TUNNEL } from '../../bench/tunnel.js';

/** Plain goodput of three rounds. */
function report(straight: readonly number[], guise: readonly number[]): Report {
  const results = new Results(3);
  for (const [contender, values] of [
    ['straight UDP', straight],
    ['guise', guise],
  ] as const) {
    values.forEach((value, round) => results.add({ profile: 'tso', figure: 'plain', contender, round, value }));
  }
  const machine = { processor: 'x', cores: 2, memoryGib: 1, kernel: 'k', distribution: 'd', node: 'v' };
  const contenders = CONTENDERS;
  return { race: TUNNEL, results, machine, seconds: 1, secondsEach: 1, stolen: 0, contenders, missing: [] };
}

t.test('ratios are taken within a round', async (t) => {
  // The machine was half as fast in the second round: the ratio does not care.
  const [table] = tables(report([2, 1, 2], [4, 2, 4]));
  t.equal(table?.rows.find(({ contender }) => contender === 'guise')?.ratio, 2);
  t.match(judgedGoals(report([2, 1, 2], [4, 2, 4]))[0], { median: 2, verdict: 'met' });
});

t.test('a goal inside the spread is unclear', async (t) => {
  t.equal(judge([0.8, 1, 1.2], 1, true), 'unclear');
  t.equal(judge([1.1, 1.2, 1.3], 1, true), 'met');
  t.equal(judge([0.7, 0.8, 0.9], 1, true), 'missed');
  t.equal(judge([0.7, 0.8, 0.9], 1, false), 'met');
  t.equal(judge([], 1, true), 'unclear');
});

t.test('missing rounds are left out of medians', async (t) => {
  t.equal(median([3, Number.NaN, 1]), 2);
  t.ok(Number.isNaN(quantile([], 0.5)));
});

t.test('charts are well-formed', async (t) => {
  const [chart] = TUNNEL.charts(report([2, 2, 2], [3, 3, 3]));
  t.match(chart?.svg, /^<svg [^]*guise[^]*<\/svg>\s*$/);
  t.notMatch(chart?.svg, /="[^"<]*"[^\s/>]/, 'no quote inside an attribute');
});
