import t from 'tap';
import { countInstructions, noCallgrind, readBaseline, toolchain } from '../../bench/micro/count.js';

/** Fraction by which a step may grow before somebody has to look. */
const TOLERANCE = 0.05;

const baseline = readBaseline();
const { architecture, compiler } = toolchain();
const same = architecture === baseline.architecture && compiler === baseline.compiler;
const skip =
  noCallgrind() ??
  (same ? false : `the baseline was counted with g++ ${baseline.compiler} on ${baseline.architecture}`);

t.test('no step of the data path takes 5 % more instructions than before', { skip, timeout: 300_000 }, async (t) => {
  const counted = countInstructions();
  t.same(Object.keys(counted), Object.keys(baseline.instructions), 'the same steps');
  for (const [step, before] of Object.entries(baseline.instructions)) {
    const now = counted[step]!;
    t.ok(now <= before * (1 + TOLERANCE), `${step}: ${now.toFixed(0)} instructions, ${before.toFixed(0)} before`);
  }
});
