import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const root = fileURLToPath(new URL('../..', import.meta.url));

function compose(...args: string[]): { code: number | null; said: string } {
  const result = spawnSync('docker-compose', args, { cwd: root, encoding: 'utf8', timeout: 400_000 });
  return { code: result.status, said: result.stdout + result.stderr };
}

const skip = process.env['TEST_DOCKER']
  ? false
  : 'set TEST_DOCKER=1 where docker-compose works (and BASE where no image registry is reachable)';

t.test(
  'the rig of docker-compose.yml works, and its check fails when a part is broken',
  { skip, timeout: 900_000 },
  async (t) => {
    t.teardown(() => compose('down', '-v', '--remove-orphans'));
    const built = compose('build', 'router');
    t.equal(built.code, 0, built.said.slice(-2000));
    const up = compose('up', '-d');
    t.equal(up.code, 0, up.said);
    const check = (): { code: number | null; said: string } => compose('run', '--rm', 'check');
    const whole = check();
    t.equal(whole.code, 0, whole.said);
    t.match(whole.said, /check: ok/);

    const breaks: [string, () => void, () => void][] = [
      [
        'NAT',
        () =>
          compose(
            'exec',
            '-T',
            'router',
            'nft',
            'add chain inet rig broken { type filter hook forward priority 0; policy drop; }',
          ),
        () => compose('exec', '-T', 'router', 'nft', 'delete chain inet rig broken'),
      ],
      ['client', () => compose('stop', 'client'), () => compose('start', 'client')],
      ['server', () => compose('stop', 'server'), () => compose('start', 'server')],
    ];
    for (const [part, breakIt, mend] of breaks) {
      breakIt();
      const broken = check();
      t.equal(broken.code, 1, `${part} broken: ${broken.said}`);
      t.match(broken.said, /check: FAILED/);
      mend();
    }
    const mended = check();
    t.equal(mended.code, 0, mended.said);
  },
);
