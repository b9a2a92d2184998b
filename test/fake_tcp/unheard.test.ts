import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const program = fileURLToPath(new URL('./unheard.js', import.meta.url));

for (const [what, expected] of [
  ['socket', 'uncaught ECONNRESET ended'],
  ['socket heard', 'listener ECONNRESET ended'],
  ['socket iterated', 'iterator ECONNRESET ended'],
  ['stack', 'uncaught ENODEV ended'],
  ['stack heard', 'listener ENODEV ended'],
  ['own close', 'ended'],
] as const) {
  t.test(`an error that nobody hears is thrown, and no other: ${what}`, async (t) => {
    t.equal(execFileSync(process.execPath, [program, what], { encoding: 'utf8', timeout: 20_000 }), expected);
  });
}
