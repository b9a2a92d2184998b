import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const stackTest = fileURLToPath(new URL('fake_tcp/stack.test.js', import.meta.url));

// Node-API keeps its promise: the addon that was built once runs everywhere.
for (const version of [20, 22, 24]) {
  const npx = (args: string[]) =>
    spawnSync('npx', ['--yes', '--package', `node@${version}`, 'node', ...args], {
      encoding: 'utf8',
      timeout: 240_000,
    });
  const found = npx(['--version']).stdout.trim().split('\n').at(-1) ?? '';
  const skip = found.startsWith(`v${version}.`) ? false : `npm gives no Node ${version} here`;
  t.test(
    `the same addon passes the device tests under Node ${version} (${found})`,
    { skip, timeout: 120_000 },
    async (t) => {
      const { status, stdout } = npx([stackTest]);
      t.equal(
        status,
        0,
        stdout
          .split('\n')
          .filter((line) => line.includes('not ok'))
          .join('\n'),
      );
    },
  );
}

const programs = ['client/main', 'server/main', 'client/guise'].map((part) =>
  fileURLToPath(new URL(`../${part}.js`, import.meta.url)),
);

for (const version of [12, 14, 18]) {
  t.test(`Node ${version}, which is too old, gets a sentence`, { timeout: 240_000 }, async (t) => {
    for (const program of programs) {
      // tap asks of each Node what an old one cannot do.
      const args = ['-u', 'NODE_OPTIONS', 'npx', '--yes', '--package', `node@${version}`, 'node', program, '--version'];
      const { status, stdout, stderr } = spawnSync('env', args, { encoding: 'utf8', timeout: 240_000 });
      t.match(
        stderr,
        new RegExp(`^guise: Node\\.js ${version}\\.\\d+\\.\\d+ is too old; install Node\\.js 20\\.19 or later\\.\n$`),
      );
      t.same([status, stdout], [1, '']);
    }
  });
}
