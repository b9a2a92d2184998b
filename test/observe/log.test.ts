import { spawnSync } from 'node:child_process';
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
  t.match(say('text'), { stdout: '', stderr: 'WARN: much\n' });
  const { stdout, stderr } = say('json');
  t.equal(stdout, '');
  t.match(JSON.parse(stderr), { level: 40, msg: 'much' });
});
