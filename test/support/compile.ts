/** Programs of the data plane for tests: its sources without the border to Node, and one that has main. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The checkout. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));

const FLAGS = [
  '-std=c++20',
  '-g',
  '-O1',
  '-pthread',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fno-sanitize-recover=all',
  // It looks at memory through a pipe, which a test that leaves no descriptors free takes away.
  '-fno-sanitize=vptr',
  '-Inative',
];

const nativeSources = ['native/wire', 'native/io', 'native/plane'].flatMap((folder) =>
  readdirSync(`${root}/${folder}`)
    .filter((name) => name.endsWith('.cc'))
    .map((name) => `${folder}/${name}`),
);

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
