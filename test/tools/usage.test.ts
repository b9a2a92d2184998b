/** The command line of `guise netstack`. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function guise(args: readonly string[], env: Record<string, string> = {}) {
  const program = [`${root}/dist/client/guise.js`, ...args];
  return spawnSync(process.execPath, program, { encoding: 'utf8', env: { ...process.env, ...env } });
}

t.test('help names each program, and how its TUN is set up', async (t) => {
  const { status, stdout } = guise(['netstack', '--help']);
  t.equal(status, 0);
  for (const name of ['echo', 'forward', 'socks', 'nc']) {
    t.match(stdout, `guise netstack ${name}`);
    const help = guise(['netstack', name, '--help']);
    t.equal(help.status, 0);
    t.match(help.stdout, `guise netstack ${name} [--tun NAME]`);
    t.match(help.stdout, /ip tuntap add dev tuna mode tun user \$USER; .*\n *sudo ip link del tuna/);
  }
  t.match(guise(['--help']).stdout, /guise netstack/);
});

t.test('wrong usage is one sentence, and 2', async (t) => {
  for (const [args, sentence] of [
    [[], 'Say which program; see `guise netstack --help`.'],
    [['telnet'], '"telnet" is no program of it; see `guise netstack --help`.'],
    [['toString'], '"toString" is no program of it; see `guise netstack --help`.'],
    [['echo', '--loud'], "Unknown option '--loud'; see `guise netstack echo --help`."],
    [['echo', 'loud'], 'Unknown argument: loud; see `guise netstack echo --help`.'],
    [['socks'], '--proxy must be given; see `guise netstack socks --help`.'],
    [
      ['socks', '--proxy', 'a@b@c'],
      '--proxy takes HOST:PORT, or USER:PASSWORD@HOST:PORT; see `guise netstack socks --help`.',
    ],
    [
      ['socks', '--proxy', 'localhost'],
      '"localhost" is not HOST:PORT; write it like vpn.example.net:4567 or [2001:db8::1]:4567.',
    ],
    [
      ['forward', '--out', 'eth99'],
      '--out: this host has no interface and no address "eth99"; see `guise netstack forward --help`.',
    ],
    [['nc', '10.9.0.1', '80'], '--address must be given, to connect from; see `guise netstack nc --help`.'],
    [['nc', '-l'], 'Something is missing; see `guise netstack nc --help`.'],
    [['nc', '-l', 'x'], '"x" is not a port; give a number from 1 to 65535.'],
  ] as const) {
    const { status, stderr, stdout } = guise(['netstack', ...args]);
    t.same([status, stderr, stdout], [2, `guise: ${sentence}\n`, ''], args.join(' '));
  }
});

t.test('what cannot be opened is one sentence, and 1', async (t) => {
  const { status, stderr } = guise(['netstack', 'echo', '--tun', 'lo']);
  t.equal(status, 1);
  t.match(stderr, /^guise: (TUNSETIFF|open) E\w+: .*\.\n$/);
});

/** The modules of this repository that a program loads. */
function loaded(args: readonly string[]): readonly string[] {
  const folder = t.testdir();
  guise(args, { NODE_V8_COVERAGE: folder });
  return readdirSync(folder).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as { result: readonly { url: string }[] };
    return result.map(({ url }) => url).filter((url) => url.startsWith('file:') && !url.includes('/node_modules/'));
  });
}

t.test('nothing of the stack loads with the tunnel, nor of the tunnel with the stack', async (t) => {
  const STACK = /\/(netstack|tools)\/|packet_port/;
  for (const part of ['client', 'server']) {
    const modules = loaded([part, '--local', '127.0.0.1:1', '--remote', '127.0.0.1:1', '--tun', 'lo']);
    t.ok(
      modules.some((url) => url.includes('/fake_tcp/')),
      `${modules.length} modules`,
    );
    t.same(
      modules.filter((url) => STACK.test(url)),
      [],
      part,
    );
  }
  const modules = loaded(['netstack', 'echo', '--tun', 'lo']);
  t.ok(
    modules.some((url) => STACK.test(url)),
    `${modules.length} modules`,
  );
  t.same(
    modules.filter((url) => /\/(fake_tcp|tunnel|daemon|host)\//.test(url)),
    [],
  );
});
