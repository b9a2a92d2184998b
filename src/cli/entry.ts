/**
 * What each program begins with, in words that Node 12 understands, which distributions still have: an older Node than
 * ours is told, in place of a syntax error in some file. So it imports nothing of ours, not even the sentence.
 */
import { readFileSync } from 'node:fs';

/** @param load loads the program, which runs then */
export function begin(load: () => Promise<unknown>): void {
  const { engines } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    engines: { node: string };
  };
  const needed = engines.node.replace('>=', '');
  const found = process.versions.node;
  if (isOlder(found, needed)) return fail(`Node.js ${found} is too old; install Node.js ${needed} or later.`);
  load().catch((error: unknown) => fail((error as Error).message));
}

function isOlder(version: string, than: string): boolean {
  const [major, minor] = version.split('.').map(Number) as [number, number];
  const [leastMajor, leastMinor] = than.split('.').map(Number) as [number, number];
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function fail(sentence: string): void {
  process.stderr.write(`guise: ${sentence}\n`);
  process.exitCode = 1;
}
