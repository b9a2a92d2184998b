/** The fuzz targets: how they are built, and run on their corpora. */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { relative } from 'node:path';
import { createInterface } from 'node:readline';
import { compile, root } from '../support/compile.js';

/** Bytes of the largest input, by target. */
const TARGETS = { packet: 4096, fragments: 1024, flows: 512, rows: 4096 };

export type Target = keyof typeof TARGETS;
export const targets = Object.keys(TARGETS) as Target[];

/** Why nothing can be fuzzed here, or undefined. */
export function noLibFuzzer(): string | undefined {
  const program = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }';
  const args = ['-fsanitize=fuzzer', '-x', 'c++', '-', '-o', '/dev/null'];
  const { status } = spawnSync('clang++', args, { input: program });
  return status === 0 ? undefined : 'there is no clang++ with libFuzzer (Debian: clang, libclang-rt-dev)';
}

/** Builds all targets. Returns the programs. */
export async function buildTargets(): Promise<Record<Target, string>> {
  const programs = await compile({
    compiler: 'clang++',
    sanitizers: 'fuzzer,address,undefined',
    mains: targets.map((target) => `test/fuzz/${target}.cc`),
  });
  return Object.fromEntries(targets.map((target, index) => [target, programs[index]])) as Record<Target, string>;
}

export interface Progress {
  readonly inputs: number;
  /** Edges of the program, and edges with how often, that some input reached. */
  readonly edges: number;
  readonly features: number;
}

export interface Result extends Progress {
  /** The input that broke the target, by its path from the checkout. What it broke is in the log beside it. */
  readonly crash: string | undefined;
}

/**
 * Runs a target for `seconds`, from its corpus on. Inputs that reach more are kept in build/fuzz/<target>, and tried
 * again in the next run.
 */
export async function fuzz(
  target: Target,
  program: string,
  { seconds, onProgress }: { seconds: number; onProgress?: (progress: Progress) => void },
): Promise<Result> {
  const folder = `${root}/build/fuzz/${target}`;
  mkdirSync(folder, { recursive: true });
  const child = spawn(
    program,
    [
      `-max_total_time=${seconds}`,
      `-max_len=${TARGETS[target]}`,
      '-timeout=10',
      `-artifact_prefix=${root}/build/fuzz/${target}-`,
      folder,
      `${root}/test/fuzz/corpus/${target}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, UBSAN_OPTIONS: 'print_stacktrace=1' } },
  );
  const log = createWriteStream(`${folder}.log`);
  let progress: Progress = { inputs: 0, edges: 0, features: 0 };
  let crash: string | undefined;
  for await (const line of createInterface(child.stderr)) {
    log.write(`${line}\n`);
    crash ??= /Test unit written to (.*)/.exec(line)?.[1];
    const [, inputs, edges, features] = /^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)/.exec(line) ?? [];
    if (inputs === undefined) continue;
    progress = { inputs: Number(inputs), edges: Number(edges), features: Number(features) };
    onProgress?.(progress);
  }
  log.end();
  const status = child.exitCode ?? (await new Promise<number | null>((resolve) => child.once('exit', resolve)));
  if (status !== 0 && crash === undefined)
    throw new Error(`The fuzz target ${target} failed; see build/fuzz/${target}.log`);
  return { ...progress, crash: crash && relative(root, crash) };
}
