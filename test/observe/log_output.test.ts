/** The log where nobody reads it, with real pipes, sockets and terminals. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, createReadStream, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';

const LINES = 20_000;
const log = new URL('../../src/observe/log.js', import.meta.url).href;
const daemon = new URL('../../src/daemon/process.js', import.meta.url).href;

/** Logs more than any reader's buffer holds, says on standard output that it goes on, and ends when it is told. */
const PROGRAM = `
  const { createLog } = await import('${log}');
  const { endProcess } = await import('${daemon}');
  const log = createLog({ level: 'info', format: process.argv[1] });
  process.stdin.on('data', (data) => {
    if (String(data).startsWith('more')) log.info('more');
    else endProcess(3);
  });
  for (let i = 1; i <= ${LINES}; i++) log.info('line ' + i + '.'.repeat(100));
  console.log('goes on');`;

const command = (format: string): string[] => ['--input-type=module', '-e', PROGRAM, format];

/** A pipe with a name, open for reading and writing: nothing is read from it yet. */
function fifo(t: Test): { fd: number; read: () => AsyncIterable<string> } {
  const path = join(mkdtempSync(join(tmpdir(), 'guise-')), 'fifo');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, constants.O_RDWR);
  t.teardown(() => {
    // Who still reads is told that there is nothing more: a process does not end before.
    closeSync(fd);
    rmSync(dirname(path), { recursive: true });
  });
  return { fd, read: () => createInterface({ input: createReadStream(path) }) };
}

async function saysThatItGoesOn({ stdout }: ChildProcess): Promise<void> {
  for await (const line of createInterface({ input: stdout! })) if (line === 'goes on') return;
  throw new Error('it has ended');
}

/** The numbers of the lines that came, and of those that were left out, in the order in which they are told. */
function count(lines: readonly string[]): { came: number; leftOut: number; inOrder: boolean } {
  let [came, leftOut, inOrder] = [0, 0, true];
  for (const line of lines) {
    const number = Number(/line (\d+)\./.exec(line)?.[1]);
    const lost = Number(/(\d+) lines of the log are left out here: /.exec(line)?.[1]);
    if (number) inOrder &&= number === came + leftOut + 1;
    if (number) came++;
    if (lost) leftOut += lost;
  }
  return { came, leftOut, inOrder };
}

t.test(
  'a pipe that nobody reads stops nothing, and tells later how many lines it misses',
  { timeout: 60_000 },
  async (t) => {
    for (const format of ['text', 'json']) {
      const { fd, read } = fifo(t);
      const child = spawn(process.execPath, command(format), { stdio: ['pipe', 'pipe', fd] });
      await saysThatItGoesOn(child);
      const lines: string[] = [];
      for await (const line of read()) {
        lines.push(line);
        if (line.includes('left out here')) child.stdin!.write('more');
        if (line.includes('more')) break;
      }
      const { came, leftOut, inOrder } = count(lines);
      t.equal(came + leftOut, LINES, `${came} came, ${leftOut} are told to be left out`);
      t.ok(leftOut > LINES / 2 && inOrder, 'in their places');
      if (format === 'json') t.doesNotThrow(() => lines.map((line) => JSON.parse(line) as unknown));
      child.stdin!.write('end');
      t.same(await once(child, 'exit'), [3, null]);
    }
  },
);

t.test('a pipe that nobody reads does not keep the program from its end', { timeout: 60_000 }, async (t) => {
  const { fd } = fifo(t);
  const child = spawn(process.execPath, command('text'), { stdio: ['pipe', 'pipe', fd] });
  await saysThatItGoesOn(child);
  child.stdin!.write('end');
  t.same(await once(child, 'exit'), [3, null]);
});

t.test('what waits is written at the end, for a reader that is only slow', { timeout: 60_000 }, async (t) => {
  const { fd, read } = fifo(t);
  const full = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  const filling = `${'x'.repeat(1023)}\n`;
  t.throws(
    () => {
      for (;;) writeSync(full, filling);
    },
    { code: 'EAGAIN' },
  );
  closeSync(full);
  const script = `
    const { createLog } = await import('${log}');
    const { endProcess } = await import('${daemon}');
    createLog({ level: 'info', format: 'text' }).info('the last words');
    console.log('goes on');
    process.stdin.on('data', () => endProcess(0));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', fd] });
  await saysThatItGoesOn(child);
  child.stdin!.write('end');
  for await (const line of read()) if (line.includes('the last words')) break;
  t.same(await once(child, 'exit'), [0, null]);
});

t.test('a socket that nobody reads, as the journal has one, stops nothing', { timeout: 60_000 }, async (t) => {
  // Node's own pipes are sockets; a stream without a reader is not read.
  const child = spawn(process.execPath, command('text'), { stdio: 'pipe' });
  await saysThatItGoesOn(child);
  const all = text(child.stderr);
  child.stdin.write('end');
  const { came, leftOut, inOrder } = count((await all).split('\n'));
  t.ok(came > 0 && inOrder);
  t.equal(came + leftOut, LINES);
});

t.test('a terminal that is stopped with Ctrl-S stops nothing', { timeout: 60_000 }, async (t) => {
  const { fd, read } = fifo(t);
  const program = [process.execPath, ...command('text')].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const terminal = spawn('script', ['-qec', `read begin; ${program} >&3`, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit', fd],
  });
  const [keyboard, screen] = [terminal.stdin!, createInterface({ input: terminal.stdout! })];
  keyboard.write('\x13begin\n'); // Ctrl-S comes first
  for await (const line of read()) if (line === 'goes on') break;
  t.pass('it goes on');
  keyboard.write('\x11'); // Ctrl-Q
  const lines: string[] = [];
  for await (const line of screen) {
    lines.push(line);
    if (line.includes('left out here')) keyboard.write('more\n');
    if (/INFO.*more/.test(line)) break;
  }
  const { came, leftOut, inOrder } = count(lines);
  t.equal(came + leftOut, LINES, `${came} came`);
  t.ok(leftOut > LINES / 2 && inOrder);
  keyboard.write('end\n');
  t.same(await once(terminal, 'exit'), [3, null]);
});

t.test('a reader that has gone ends nothing, and costs nothing', { timeout: 60_000 }, async (t) => {
  const child = spawn(process.execPath, command('text'), { stdio: 'pipe' });
  child.stderr.destroy();
  await saysThatItGoesOn(child);
  child.stdin.write('end');
  t.same(await once(child, 'exit'), [3, null]);
});
