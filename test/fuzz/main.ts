/** `npm run fuzz`: each target for --seconds N (default 60). Exit code 1 when an input broke one. */
import { parseArgs } from 'node:util';
import { buildTargets, fuzz, noLibFuzzer, targets, type Progress } from './targets.js';

/** Milliseconds between two lines of progress. */
const INTERVAL = 10_000;

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' } } });
const seconds = Number(values.seconds);
const missing = Number.isInteger(seconds) && seconds > 0 ? noLibFuzzer() : '--seconds takes a whole number above 0';
if (missing) {
  console.error(missing);
  process.exit(2);
}

const programs = await buildTargets();
for (const target of targets) {
  const begin = performance.now();
  let saidAt = begin;
  const say = ({ inputs, edges, features }: Progress): void => {
    const time = ((performance.now() - begin) / 1000).toFixed(0).padStart(6);
    console.log(
      `${target.padEnd(7)}${time} s ${String(inputs).padStart(11)} inputs, ${edges} edges, ${features} features`,
    );
    saidAt = performance.now();
  };
  const onProgress = (progress: Progress): void => {
    if (performance.now() - saidAt >= INTERVAL) say(progress);
  };
  const result = await fuzz(target, programs[target], { seconds, onProgress });
  say(result);
  if (result.crash === undefined) continue;
  console.log(`${target} is broken by ${result.crash}; build/fuzz/${target}.log says how`);
  process.exitCode = 1;
}
