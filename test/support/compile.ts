/** Programs of the data plane for tests: its sources without the border to Node, and one that has main. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The checkout. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Whatever g++ has to say is an error. */
const STRICT = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-Inative'];

const FLAGS = [
  ...STRICT,
  '-g',
  '-O1',
  '-pthread',
  '-fno-sanitize-recover=all',
  // It looks at memory through a pipe, which a test that leaves no descriptors free takes away.
  '-fno-sanitize=vptr',
];

const sourcesIn = (folders: readonly string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(`${root}/${folder}`)
      .filter((name) => name.endsWith('.cc'))
      .map((name) => `${folder}/${name}`),
  );

const nativeSources = sourcesIn(['native/wire', 'native/io', 'native/host', 'native/plane', 'native/netstack']);

/** Node's headers, or undefined where they are not beside its program. */
export function nodeHeaders(): string | undefined {
  const headers = join(dirname(dirname(process.execPath)), 'include/node');
  return existsSync(`${headers}/node_api.h`) ? headers : undefined;
}

/**
 * Has g++ read the sources that no test program has: the border to Node, and what is for the process.
 *
 * @returns what it has to say, by the source; empty when all is well
 */
export function warningsOfTheRest(headers: string): Record<string, string> {
  const { include_dir: addonApi } = createRequire(import.meta.url)('node-addon-api') as { include_dir: string };
  const warnings: Record<string, string> = {};
  for (const source of sourcesIn(['native/binding', 'native/process'])) {
    const node = ['-DNAPI_VERSION=9', '-DNODE_ADDON_API_CPP_EXCEPTIONS', '-isystem', addonApi, '-isystem', headers];
    const { status, stderr } = spawnSync('g++', [...STRICT, '-fsyntax-only', ...node, source], {
      cwd: root,
      encoding: 'utf8',
    });
    if (status !== 0) warnings[source] = stderr;
  }
  return warnings;
}

export interface CompileOptions {
  readonly compiler: 'g++' | 'clang++';
  /** The argument of -fsanitize. */
  readonly sanitizers: string;
  /** One program each, by the path of its source from the checkout. */
  readonly mains: readonly string[];
}

/**
 * Compiles programs in build/<compiler>-<sanitizers>.
 *
 * @returns the path of each, in the order of `mains`
 * @throws what the compiler has to say
 */
export async function compile({ compiler, sanitizers, mains }: CompileOptions): Promise<string[]> {
  const folder = `${root}/build/${compiler}-${sanitizers.replaceAll(',', '-')}`;
  mkdirSync(folder, { recursive: true });
  const run = (...args: string[]): Promise<unknown> =>
    promisify(execFile)(compiler, [`-fsanitize=${sanitizers}`, ...FLAGS, ...args], { cwd: root });
  const objectOf = (source: string): string => `${folder}/${source.replaceAll('/', '_')}.o`;

  const waiting = [...mains, ...nativeSources];
  const compileWaiting = async (): Promise<void> => {
    for (let source = waiting.shift(); source; source = waiting.shift())
      await run('-c', source, '-o', objectOf(source));
  };
  await Promise.all(Array.from({ length: availableParallelism() }, compileWaiting));
  return Promise.all(
    mains.map(async (main) => {
      const program = objectOf(main).replace(/\.cc\.o$/, '');
      await run(objectOf(main), ...nativeSources.map(objectOf), '-o', program);
      return program;
    }),
  );
}
