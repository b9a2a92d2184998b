import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../../..', import.meta.url));

function guise(part: string, ...args: string[]): { code: number | null; said: string; output: string } {
  const result = spawnSync(process.execPath, [`${root}/dist/${part}.js`, ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: result.status, said: result.stderr, output: result.stdout };
}

const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '127.0.0.1:4567'];

t.test('wrong usage ends in one sentence and exit code 2', async (t) => {
  const wrong: [string, string[], RegExp][] = [
    ['client/main', [], /local, remote/],
    ['client/main', [...CLIENT, '--nonsense'], /nonsense/],
    ['client/main', [...CLIENT, 'stray'], /stray/],
    ['client/main', ['-l', '127.0.0.1', '-r', 'a:1'], /"127.0.0.1" is not HOST:PORT/],
    ['client/main', ['-l', 'localhost:1', '-r', 'a:1'], /"localhost" is not an IP address/],
    ['client/main', ['-l', '127.0.0.1:0', '-r', 'a:1'], /"0" is not a port/],
    ['client/main', ['-l', '[::g]:1', '-r', 'a:1'], /not an IPv6 address/],
    ['client/main', ['-l', '127.0.0.1:1', '-r', 'a:70000'], /"70000" is not a port/],
    ['client/main', [...CLIENT, '--mtu', '100'], /--mtu takes a whole number from 576 to 65535, not 100/],
    ['client/main', [...CLIENT, '--mtu', 'x'], /--mtu takes/],
    ['client/main', [...CLIENT, '--queues', '0'], /--queues takes/],
    ['client/main', [...CLIENT, '--idle-timeout', '-5'], /--idle-timeout takes/],
    ['client/main', [...CLIENT, '--connect-timeout', '1.5'], /--connect-timeout takes/],
    ['client/main', [...CLIENT, '--profile', 'x'], /profile/],
    ['client/main', [...CLIENT, '--log-level', 'loud'], /log-level/],
    ['client/main', [...CLIENT, '--tun', 'a name that is too long'], /not an interface name/],
    ['client/main', [...CLIENT, '--tun-local', '::1'], /not an IPv4 address/],
    ['client/main', [...CLIENT, '-4', '--tun-peer6', 'fd::1'], /contradicts/],
    ['client/main', [...CLIENT, '--handshake-packet', '/nonexistent'], /cannot read "\/nonexistent" \(ENOENT\)/],
    ['client/main', [...CLIENT, '--remote'], /remote/],
    ['server/main', ['-l', '127.0.0.1:80', '-r', 'a:1'], /"127.0.0.1:80" is not a port/],
    ['server/main', ['-l', '80'], /remote/],
    ['client/guise', [], /guise client/],
    ['client/guise', ['clinet'], /guise client/],
  ];
  for (const [part, args, sentence] of wrong) {
    const { code, said } = guise(part, ...args);
    t.match(said, sentence, `${part} ${args.join(' ')}`);
    t.equal(said.trim().split('\n').length, 1, `one sentence: ${said}`);
    t.equal(code, 2, 'exit code 2');
  }
});

t.test('help teaches, version tells', async (t) => {
  for (const part of ['client/main', 'server/main']) {
    const { code, output } = guise(part, '--help');
    t.equal(code, 0);
    for (const word of ['--handshake-packet', '--tun-peer6', '--no-firewall', 'GUISE_IDLE_TIMEOUT', 'MTU = 1428']) {
      t.match(output, word);
    }
    t.match(guise(part, '--version').output, /^\d+\.\d+\.\d+\n$/);
  }
  t.match(guise('client/guise', 'server', '--help').output, /guise server --local PORT/);
});

t.test('the environment sets flags', async (t) => {
  const env = {
    ...process.env,
    GUISE_LOCAL: '127.0.0.1:5000',
    GUISE_REMOTE: 'a:1',
    GUISE_MTU: '3',
    GUISE_OF_ANOTHER_PROGRAM: '1',
  };
  const result = spawnSync(process.execPath, [`${root}/dist/client/main.js`], { encoding: 'utf8', env });
  t.match(result.stderr, /--mtu takes/);
  t.equal(result.status, 2);
});
