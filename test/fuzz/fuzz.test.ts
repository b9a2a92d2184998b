import t from 'tap';
import { buildTargets, fuzz, noLibFuzzer, targets } from './targets.js';

/** Enough for the corpus and some hundred thousand inputs more; `npm run fuzz` takes longer. */
const SECONDS = 20;

const skip = noLibFuzzer() ?? false;
const programs = skip ? undefined : await buildTargets();

for (const target of targets) {
  t.test(`no input of ${SECONDS} s breaks the fuzz target ${target}`, { skip, timeout: 120_000 }, async (t) => {
    const { inputs, crash } = await fuzz(target, programs![target], { seconds: SECONDS });
    t.ok(inputs > 0, `${inputs} inputs`);
    t.equal(crash, undefined);
  });
}
