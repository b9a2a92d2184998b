import { spawnSync } from 'node:child_process';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ConnectionLog } from '../../src/observe/log.js';
import { OBSERVE } from '../../src/policy.js';

t.test('lines about connections are limited, and those left out are counted', async (t) => {
  const lines: string[] = [];
  const say = (level: string) => (line: string) => lines.push(`${level} ${line}`);
  const clock = { now: () => now };
  let now = 10_000;
  const log = new ConnectionLog({ info: say('info'), warn: say('warn'), error: say('error') }, clock);
  log.say('warn', 'first');
  log.say('error', 'second');
  t.same(lines, ['warn first', 'error second']);
  for (let i = 0; i < 1000; i++) log.say('info', `${i}`);
  t.equal(lines.length, OBSERVE.connectionLines);
  now += 20;
  log.say('info', 'later');
  t.same(lines.slice(-2), [
    `info ${1000 - (OBSERVE.connectionLines - 2)} lines about connections left out`,
    'info later',
  ]);
  now += 1000;
  log.say('info', 'much later');
  t.equal(lines.at(-1), 'info much later');
  t.equal(lines.length, OBSERVE.connectionLines + 3, 'the count is told once');
});

t.test('the log goes to standard error, as text or as JSON, from a level on', async (t) => {
  const module = new URL('../../src/observe/log.js', import.meta.url).href;
  const say = (format: string): { stdout: string; stderr: string } =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const { createLog } = await import('${module}');
         const log = createLog({ level: 'warn', format: '${format}' });
         log.info('little'); log.warn('much');`,
      ],
      { encoding: 'utf8' },
    );
  t.match(say('text'), { stdout: '', stderr: /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4}\] WARN: much\n$/ });
  const { stdout, stderr } = say('json');
  t.equal(stdout, '');
  t.match(JSON.parse(stderr), { level: 40, msg: 'much' });
});

t.test('a line has the time where neither a terminal nor the journal shows one', async (t) => {
  const module = new URL('../../src/observe/log.js', import.meta.url).href;
  const script = `
    const { createLog } = await import('${module}');
    createLog({ level: 'info', format: 'text' }).info('line');`;
  const program = ['--input-type=module', '-e', script];
  const path = join(t.testdir({ log: '' }), 'log');
  const said = (journal?: string): string => {
    const file = openSync(path, 'w');
    const { dev, ino } = fstatSync(file, { bigint: true });
    const variables = journal === undefined ? {} : { JOURNAL_STREAM: journal.replace('own', `${dev}:${ino}`) };
    const env = { PATH: process.env['PATH'], TZ: 'Asia/Kolkata', ...variables };
    spawnSync(process.execPath, program, { stdio: ['ignore', 'ignore', file], env });
    closeSync(file);
    return readFileSync(path, 'utf8');
  };
  t.match(said(), /^\[.* \+0530\] INFO: line\n$/);
  t.equal(said('own'), 'INFO: line\n', 'a stream that is the journal');
  t.match(said('1:2'), /^\[.*\] INFO: line\n$/, 'one that was led elsewhere');
  t.match(said(''), /^\[.*\] INFO: line\n$/);
  const terminal = spawnSync('script', ['-qec', `"$NODE" --input-type=module -e "$PROGRAM"`, '/dev/null'], {
    encoding: 'utf8',
    env: { ...process.env, NODE: process.execPath, PROGRAM: script, SHELL: '/bin/sh' },
  });
  t.match(terminal.stdout, /^\S*INFO\S*: \S*line/);
});
