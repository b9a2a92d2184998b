/** What holds for the test files together. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../test', import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .map((path) => resolve(root, path))
  .filter((path) => path.endsWith('.test.ts'));
const rig = resolve(root, 'net/rig.ts');

/** Whether a module comes to another by its imports. */
function reaches(module: string, target: string, seen = new Set<string>()): boolean {
  if (module === target) return true;
  if (seen.has(module) || !module.startsWith(root)) return false;
  seen.add(module);
  const imports = readFileSync(module, 'utf8').matchAll(/^(?:import|export)[^']*'(\.[^']*)\.js'/gm);
  return [...imports].some(([, path]) => reaches(resolve(module, '..', `${path!}.ts`), target, seen));
}

// Everything that needs root makes its namespaces with the rig.
const needRoot = files.filter((file) => reaches(file, rig));
const without = files.length - needRoot.length;

t.test(`at least half of the test files need no root: ${without} of ${files.length}`, async (t) => {
  t.ok(needRoot.length > 0, 'the rig is found');
  t.ok(without >= needRoot.length, needRoot.join('\n'));
});

t.test('a test file that needs root says why it skips', async (t) => {
  t.same(
    needRoot.filter((file) => !readFileSync(file, 'utf8').includes('noRig()')),
    [],
  );
});
