/** Instructions that each step of the data path takes, counted by callgrind: the same on a noisy machine as on a quiet one. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../../../build/Release/micro', import.meta.url));
const baselineFile = fileURLToPath(new URL('../../../bench/micro/baseline.json', import.meta.url));

/** The counts depend on these. */
export interface Toolchain {
  readonly architecture: string;
  /** Major version of g++. */
  readonly compiler: string;
}

export interface Baseline extends Toolchain {
  readonly instructions: Readonly<Record<string, number>>;
}

export function toolchain(): Toolchain {
  return {
    architecture: process.arch,
    compiler: execFileSync('g++', ['-dumpversion'], { encoding: 'utf8' }).trim().split('.')[0]!,
  };
}

export function readBaseline(): Baseline {
  return JSON.parse(readFileSync(baselineFile, 'utf8')) as Baseline;
}

export function noCallgrind(): string | undefined {
  return spawnSync('valgrind', ['--version']).status === 0 ? undefined : 'there is no valgrind';
}

/** Instructions of `times` repetitions, everything before them included. */
function collect(step: string, times: number): number {
  const { stderr, status } = spawnSync(
    'valgrind',
    ['--tool=callgrind', '--callgrind-out-file=/dev/null', program, step, `${times}`],
    { encoding: 'utf8' },
  );
  const collected = /Collected\s*:\s*(\d+)/.exec(stderr)?.[1];
  if (status !== 0 || collected === undefined) throw new Error(`callgrind failed: ${stderr}`);
  return Number(collected);
}

/** Instructions of one repetition of each step. */
export function countInstructions(): Record<string, number> {
  const steps = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
  return Object.fromEntries(steps.map((step) => [step, (collect(step, 2000) - collect(step, 1000)) / 1000]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const baseline: Baseline = { ...toolchain(), instructions: countInstructions() };
  for (const [step, count] of Object.entries(baseline.instructions)) {
    const ns = execFileSync(program, [step, '200000'], { encoding: 'utf8' }).trim();
    console.log(`${step.padEnd(52)} ${count.toFixed(0).padStart(7)} instructions ${ns.padStart(9)} ns`);
  }
  if (process.argv[2] === '--save') writeFileSync(baselineFile, `${JSON.stringify(baseline, null, 2)}\n`);
}
