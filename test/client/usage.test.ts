/** The programs themselves: what they print, where, and how they end. What they understand is tested in test/cli. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function guise(
  part: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): { code: number | null; said: string; output: string } {
  const env = { PATH: process.env['PATH'], ...variables };
  const command = [`${root}/dist/${part}.js`, ...args];
  const result = spawnSync(process.execPath, command, { encoding: 'utf8', timeout: 20_000, env });
  return { code: result.status, said: result.stderr, output: result.stdout };
}

/** Ends after its options are read, with exit code 1: there is such an interface. */
const TAKEN = ['-r', '127.0.0.1:1', '--tun', 'lo'];

t.test('wrong usage ends in one sentence and exit code 2', async (t) => {
  for (const [part, args, sentence] of [
    ['client/main', [], /^guise: --local IP:PORT .* must be given\.\n$/],
    ['server/main', ['-l', '80'], /^guise: --remote HOST:PORT .* must be given\.\n$/],
    ['client/guise', [], /^guise: Say `guise client` or `guise server`; see `guise --help`\.\n$/],
    ['client/guise', ['server', '-l', 'x', '-r', 'a:1'], /^guise: --local: "x" is not a port; .*\.\n$/],
  ] as const) {
    t.match(guise(part, args), { code: 2, said: sentence, output: /^$/ }, `${part} ${args.join(' ')}`);
  }
});

t.test('help and errors are English wherever the user is', async (t) => {
  const { output: help } = guise('client/main', ['--help']);
  for (const [variable, locale] of [
    ['LC_ALL', 'de_DE.UTF-8'],
    ['LC_MESSAGES', 'ja_JP.UTF-8'],
    ['LANG', 'pt_BR'],
  ] as const) {
    t.equal(guise('client/main', ['--help'], { [variable]: locale }).output, help, `${variable}=${locale}`);
    const { said } = guise('client/main', ['--nonsense'], { [variable]: locale });
    t.equal(said, 'guise: Unknown argument: nonsense; see `guise-client --help`.\n');
  }
});

t.test('help and version go to standard output', async (t) => {
  t.match(guise('client/guise', ['server', '--help']), {
    code: 0,
    said: /^$/,
    output: /^guise server --local \[IP:\]PORT/,
  });
  t.match(guise('server/main', ['--version']), { code: 0, said: /^$/, output: /^\d+\.\d+\.\d+\n$/ });
  t.match(guise('client/guise', ['-h']), { code: 0, said: /^$/, output: /guise client --help/ });
});

t.test('a failure names the flag or variable that can be changed', async (t) => {
  const sentence = /^guise: The interface lo exists and is in use; .*\. Change it with (.*)\.\n$/;
  const flag = guise('client/main', ['-l', '127.0.0.1:5000', ...TAKEN]);
  t.equal(flag.code, 1);
  t.equal(sentence.exec(flag.said)?.[1], '--tun');
  const variable = guise('server/main', ['-l', '80'], { GUISE_REMOTE: TAKEN[1], GUISE_TUN: 'lo' });
  t.equal(sentence.exec(variable.said)?.[1], 'GUISE_TUN');
});

t.test('a variable that no option has is told, once', async (t) => {
  const variables = { GUISE_OF_ANOTHER_PROGRAM: '1', GUISE_REMOT: 'a:1', GUISE_MTU: '' };
  const told = 'No option has the variables GUISE_OF_ANOTHER_PROGRAM, GUISE_REMOT (GUISE_REMOTE?): left alone.';
  const wrong = guise('client/main', ['-l', '127.0.0.1:1'], variables).said.split('\n');
  t.match(wrong, [`guise: ${told}`, /^guise: --remote .* must be given/, '']);
  const right = guise('client/main', ['-l', '127.0.0.1:1', ...TAKEN, '--log-format', 'json'], variables).said;
  t.match(JSON.parse(right.split('\n')[0]!), { level: 40, msg: told });
  t.equal(right.split('\n').length, 3);
});
