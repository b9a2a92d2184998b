import t from 'tap';
import { readCommandLine, readPart, type CommandLine } from '../../src/cli/command_line.js';
import { CLIENT } from '../../client/options.js';
import { SERVER } from '../../server/options.js';

const ENDS = ['-l', '127.0.0.1:5000', '-r', 'a:1'];

function read(args: readonly string[], environment: NodeJS.ProcessEnv = {}): CommandLine {
  return readCommandLine({ ...CLIENT, name: 'guise-client' }, args, environment) as CommandLine;
}

t.test("what is given, under the option's name, as it was written", async (t) => {
  const { values, given } = read([
    ...ENDS,
    '--mtu=1400',
    '--tun',
    '0x10',
    '-4',
    '--no-offload',
    '--idle-timeout',
    '1e3',
  ]);
  t.same(values, {
    local: '127.0.0.1:5000',
    remote: 'a:1',
    mtu: '1400',
    tun: '0x10',
    'ipv4-only': true,
    offload: false,
    'idle-timeout': '1e3',
  });
  t.equal(given.get('local'), '--local');
  t.equal(given.get('offload'), '--no-offload');
  t.notOk(given.has('firewall'));
});

t.test('flags go before variables', async (t) => {
  const environment = { GUISE_MTU: '1300', GUISE_FIREWALL: 'yes', GUISE_QUEUES: '2', GUISE_NONSENSE: 'x' };
  const { values, given, unknownVariables } = read([...ENDS, '--mtu', '1400', '--no-firewall'], environment);
  t.match(values, { mtu: '1400', firewall: false, queues: '2' });
  t.equal(given.get('mtu'), '--mtu');
  t.equal(given.get('queues'), 'GUISE_QUEUES');
  t.same(unknownVariables, [{ name: 'GUISE_NONSENSE', nearest: undefined }]);
});

t.test('yes and no behind a flag mean what they say', async (t) => {
  for (const on of [
    '--firewall',
    '--firewall=y',
    '--firewall=yes',
    '--firewall=1',
    '--firewall=ON',
    '--no-firewall=no',
    '--firewall=true',
  ]) {
    t.equal(read([...ENDS, on]).values['firewall'], true, on);
  }
  for (const off of ['--no-firewall', '--firewall=no', '--firewall=0', '--firewall=Off', '--no-firewall=1']) {
    t.equal(read([...ENDS, off]).values['firewall'], false, off);
  }
  for (const [words, value] of [
    ['--firewall no', false],
    ['--firewall N', false],
    ['--no-firewall yes', false],
    ['--no-firewall off', true],
  ] as const) {
    t.equal(read([...ENDS, ...words.split(' ')]).values['firewall'], value, words);
  }
  for (const on of ['-4', '-4=yes', '-4 yes', '-4=TRUE', '--ipv4-only 1']) {
    t.equal(read([...ENDS, ...on.split(' ')]).values['ipv4-only'], true, on);
  }
  for (const off of ['-4=no', '-4 off', '--ipv4-only false', '--no-ipv4-only', '--ipv4-only=0']) {
    t.equal(read([...ENDS, ...off.split(' ')]).values['ipv4-only'], false, off);
  }
  t.throws(() => read([...ENDS, '--firewall=maybe']), { message: '--firewall takes yes or no, not "maybe".' });
  t.equal(read([...ENDS, '--tun=--firewall=x']).values['tun'], '--firewall=x', 'the value of another flag');
});

t.test('what is no command line is one sentence', async (t) => {
  const wrong: [string[], RegExp][] = [
    [['-r', 'a:1', '-r', 'b:1'], /^--remote is given more than once; give it once\.$/],
    [['-r', 'a:1', '--remote', 'b:1'], /^--remote is given more than once/],
    [['--mtu=1400', '--mtu=1500'], /^--mtu is given more than once/],
    [['--firewall', '--firewall'], /^--firewall is given more than once/],
    [['-4', '--ipv4-only'], /^--ipv4-only is given more than once/],
    [['--firewall', '--no-firewall'], /^--no-firewall contradicts --firewall; leave one of them out\.$/],
    [['--firewall', 'maybe'], /^Unknown argument: maybe;/],
    [['-4=maybe'], /^-4 takes yes or no, not "maybe"\.$/],
    [['--ipv4Only=yes'], /^Unknown argument: ipv4Only;/],
    [['--mtu.x', '3'], /^Unknown argument: mtu\.x;/],
    [['--nonsense'], /^Unknown argument: nonsense; see `guise-client --help`\.$/],
    [['stray'], /^Unknown argument: stray;/],
    [['--', 'stray'], /^Unknown argument: stray;/],
    [['--no-mtu'], /^Unknown argument: --no-mtu;/],
    [['--remote'], /^Not enough arguments following: remote;/],
    [['--tun', '--mtu', '1400'], /^Not enough arguments following: tun;/],
  ];
  for (const [args, sentence] of wrong) {
    t.throws(() => read(args), { name: 'UsageError', message: sentence }, args.join(' '));
  }
});

t.test('help teaches, version tells', async (t) => {
  for (const program of [CLIENT, SERVER]) {
    const answer = (flag: string) => readCommandLine({ ...program, name: 'guise x' }, [flag], {}) as { answer: string };
    const words = ['guise x --local', '--handshake-packet', '--tun-peer6', '--no-firewall', 'GUISE_IDLE_TIMEOUT'];
    for (const word of [...words, 'MTU = 1428', '(576 to 65535)', '[default: 180]', '[default: on]', 'required)']) {
      for (const flag of ['--help', '-h']) t.match(answer(flag).answer, word);
    }
    for (const flag of ['--version', '-V']) t.match(answer(flag).answer, /^\d+\.\d+\.\d+$/);
  }
});

t.test('guise alone has parts', async (t) => {
  t.same(readPart(['client', '-l', 'x']), { role: 'client', args: ['-l', 'x'] });
  t.same(readPart(['server', '--help']), { role: 'server', args: ['--help'] });
  for (const flag of ['--help', '-h'])
    t.match(readPart([flag]), { answer: /guise client --local.*\nguise server --local/ });
  for (const flag of ['--version', '-V']) t.match(readPart([flag]), { answer: /^\d+\.\d+\.\d+$/ });
  t.throws(() => readPart([]), { message: 'Say `guise client` or `guise server`; see `guise --help`.' });
  t.throws(() => readPart(['clinet']), { message: /^"clinet" is no part of guise; say `guise client`/ });
  t.throws(() => readPart(['--mtu']), { name: 'UsageError' });
});
