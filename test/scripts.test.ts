/** What scripts say, with stand-ins for the programs that they call. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a script with these programs (bash, by name) before those of the folders in `path`. */
function script(
  t: Test,
  command: string,
  programs: Record<string, string>,
  path: string,
): { status: number | null; said: string } {
  const folder = t.testdir();
  mkdirSync(`${folder}/bin`);
  for (const [name, body] of Object.entries(programs))
    writeFileSync(`${folder}/bin/${name}`, `#!/bin/bash\n${body}\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${folder}/bin:${path}`, FOLDER: folder, PHANTUN_BIN: '/nowhere' };
  const { status, stdout, stderr } = spawnSync('/bin/bash', ['-c', `exec 2>&1; /bin/bash ${command}`], {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

t.test('without root it is said what is missing, and how to get it', async (t) => {
  const { status, said } = script(t, 'scripts/system-packages fuzz', { id: 'echo 1000', 'apt-get': 'echo called' }, '');
  t.equal(status, 1);
  t.equal(
    said,
    'Missing programs: g++ make python3 clang++. On Debian: sudo apt-get install g++ make python3 clang libclang-rt-dev\n',
  );
});

t.test('as root it is said in one line what is installed, before it is', async (t) => {
  // The lists of packages are old: installing works once they have been fetched.
  const apt = 'if [ "$1" = update ]; then echo "apt-get runs"; : >"$FOLDER/fetched"; else [ -e "$FOLDER/fetched" ]; fi';
  const { status, said } = script(t, 'scripts/system-packages fuzz', { id: 'echo 0', 'apt-get': apt }, '');
  t.equal(status, 0, said);
  t.equal(said, '# installing system packages with apt-get: g++ make python3 clang libclang-rt-dev\napt-get runs\n');
});

/** .ci/run where npm does this. */
function ci(t: Test, npm: string): { status: number | null; last: string | undefined; said: string } {
  const { status, said } = script(t, '.ci/run', { id: 'echo 1000', docker: 'exit 1', npm }, process.env['PATH'] ?? '');
  return { status, last: said.trimEnd().split('\n').at(-1), said };
}

t.test('CI ends with the results of the tests, and fails when lint fails', async (t) => {
  const { status, last, said } = ci(t, 'case "$*" in *lint) exit 1 ;; *) echo "5 passed, 0 failed, 1 skipped" ;; esac');
  t.equal(status, 1);
  t.match(said, /lint failed/);
  t.equal(last, '5 passed, 0 failed, 1 skipped');
});

t.test('CI passes when lint and tests do', async (t) => {
  const { status, last, said } = ci(t, 'case "$*" in *test) echo "5 passed, 0 failed, 1 skipped" ;; esac');
  t.equal(status, 0, said);
  t.equal(last, '5 passed, 0 failed, 1 skipped');
});

t.test('CI fails, and ends with results, where nothing could be built', async (t) => {
  const { status, last } = ci(t, 'case "$*" in *test) echo "error: expected ;"; exit 1 ;; esac');
  t.equal(status, 1);
  t.equal(last, '0 passed, 1 failed, 0 skipped');
});
