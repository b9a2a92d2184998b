import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const program = fileURLToPath(new URL('./leaks.js', import.meta.url));

t.test('connections that come and go leave no memory and no descriptors behind', async (t) => {
  const { before, after, arrived, opened } = JSON.parse(
    execFileSync(process.execPath, ['--expose-gc', program, '2000', '4'], { encoding: 'utf8' }),
  ) as { before: Usage; after: Usage; arrived: number; opened: number };
  t.equal(after.descriptors, before.descriptors);
  t.ok(after.memory <= before.memory * 1.05, `${before.memory} KiB before, ${after.memory} KiB after`);
  t.ok(arrived > 0.9 * opened, `${arrived} of ${opened} were used`);
});

interface Usage {
  readonly memory: number;
  readonly descriptors: number;
}
