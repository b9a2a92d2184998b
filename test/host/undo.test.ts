import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Disposables } from '../../src/host/disposables.js';
import { lockName } from '../../src/host/name_lock.js';
import { quote, UndoList } from '../../src/host/undo_list.js';

async function fileIn(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  return join(folder, "it's done");
}

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

t.test('what is on the list is undone from the last to the first, when asked and not before', async (t) => {
  const file = await fileIn(t);
  const list = new UndoList();
  for (const word of ['first', "sec'ond"]) await list.add(`echo ${quote(word)} >> ${quote(file)}`);
  t.equal(await read(file), '');
  await list[Symbol.asyncDispose]();
  t.equal(await read(file), "sec'ond\nfirst\n");
});

t.test('a list of nothing starts no program', async () => {
  await new UndoList()[Symbol.asyncDispose]();
});

t.test('what is on the list is undone when the process is killed', { timeout: 30_000 }, async (t) => {
  const file = await fileIn(t);
  const module = new URL('../../src/host/undo_list.js', import.meta.url).href;
  const script = `
    const { UndoList, quote } = await import('${module}');
    await new UndoList().add('echo undone >> ' + quote(process.argv[1]));
    console.log('added');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, file], { stdio: 'pipe' });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  while ((await read(file)) === '');
  t.equal(await read(file), 'undone\n');
});

t.test('a name is one holder’s until it lets go', async (t) => {
  const name = `test ${process.pid}`;
  const held = await lockName(name);
  t.ok(held);
  t.equal(await lockName(name), undefined, 'within one process too');
  await held![Symbol.asyncDispose]();
  const again = await lockName(name);
  t.ok(again);
  await again![Symbol.asyncDispose]();
});

t.test('what was opened is closed in reverse, once', async (t) => {
  const closed: number[] = [];
  const opened = new Disposables();
  for (const each of [1, 2, 3]) {
    opened.use({
      [Symbol.asyncDispose]: async () => {
        closed.push(each);
      },
    });
  }
  await opened[Symbol.asyncDispose]();
  await opened[Symbol.asyncDispose]();
  t.same(closed, [3, 2, 1]);
});
