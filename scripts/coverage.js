/**
 * Prints in one line how many lines of src/, client/ and server/ were run, and where the fewest were. The folder holds
 * what every process wrote that ran with NODE_V8_COVERAGE: test files, and the programs that they started.
 *
 *     node scripts/coverage.js FOLDER [PERCENT]      fails when fewer lines than PERCENT were run
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { URL, fileURLToPath } from 'node:url';

/** Files with the fewest lines run that are named. */
const NAMED = 5;
const FOLDERS = ['src', 'client', 'server'];

const [folder, atLeast = '0'] = process.argv.slice(2);
const root = fileURLToPath(new URL('..', import.meta.url));

if (readdirSync(folder).length === 0) {
  process.stdout.write('nothing covered: no test ran\n');
  process.exit(1);
}

/** A module of types alone compiles to no code; nothing of it can be run. */
function hasCode(source) {
  const compiled = readFileSync(join(root, 'dist', source.replace(/\.ts$/, '.js')), 'utf8');
  return compiled.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, '').trim() !== 'export {};';
}

const sources = FOLDERS.flatMap((name) =>
  readdirSync(join(root, name), { recursive: true })
    .map((path) => `${name}/${path}`)
    .filter((path) => path.endsWith('.ts')),
);
const included = sources.filter(hasCode).flatMap((source) => ['--include', source]);
// --all counts files that no process loaded; --merge-async keeps one process in memory at a time.
const options = ['--all', '--exclude-after-remap', '--merge-async', '--reporter', 'json-summary'];
const report = join(folder, 'report');
execFileSync(
  process.execPath,
  [
    join(root, 'node_modules/c8/bin/c8.js'),
    'report',
    ...options,
    ...FOLDERS.flatMap((name) => ['--src', name]),
    ...included,
    '--temp-directory',
    folder,
    '--reports-dir',
    report,
  ],
  { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
);

const { total, ...files } = JSON.parse(readFileSync(join(report, 'coverage-summary.json'), 'utf8'));
const least = Object.entries(files)
  .map(([path, { lines }]) => [relative(root, path), lines.pct])
  .sort(([, one], [, other]) => one - other)
  .slice(0, NAMED)
  .map(([path, percent]) => `${path} ${percent} %`);
const tooFew = total.lines.pct < Number(atLeast);
const judged = tooFew ? `, fewer than ${atLeast} %` : '';
process.stdout.write(`${total.lines.pct} % of lines covered${judged}; least in ${least.join(', ')}\n`);
process.exitCode = tooFew ? 1 : 0;
