import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

t.test('each test that the table of situations names is there', async (t) => {
  const rows = readFileSync(`${root}/docs/situations.md`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| situation'));
  t.ok(rows.length > 50);
  for (const row of rows) {
    const [, , , tests = ''] = row.split(/(?<!\\)\|/);
    for (const [, name] of tests.matchAll(/`([\w/]+)`/g))
      t.ok(
        ['.test.ts', '.cc'].some((ending) => existsSync(`${root}/test/${name!}${ending}`)),
        name!,
      );
  }
});
