import t from 'tap';
import { serverOptions } from '../../server/options.js';

const { signal } = new AbortController();

function options(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  return serverOptions('guise-server', args, signal, environment);
}

t.test('wrong usage is one sentence that names the flag', async (t) => {
  const wrong: [string[], RegExp][] = [
    [[], /^--local \[IP:\]PORT \(.*\) and --remote HOST:PORT \(.*\) must be given\.$/],
    [['-l', '80'], /^--remote HOST:PORT \(UDP address of the service\) must be given\.$/],
    [['-l', '127.0.0.1:8x', '-r', 'a:1'], /^--local: "8x" is not a port/],
    [['-l', '80', '-r', 'a:1', '--keepalive', '5'], /keepalive/],
  ];
  for (const [args, sentence] of wrong) {
    t.throws(() => options(args), { name: 'UsageError', message: sentence }, args.join(' '));
  }
});

t.test('options of the tunnel', async (t) => {
  const found = options(['-l', '443', '-r', 'localhost:51820'], {
    GUISE_IDLE_TIMEOUT: '60',
    GUISE_KEEPALIVE: 'client',
  });
  t.match(found, {
    local: { address: '::', port: 443 },
    remote: { host: 'localhost', port: 51_820 },
    usualAddresses: { local4: '192.168.201.1' },
    idleTimeout: 60_000,
  });
  t.equal(found.given.get('idle-timeout'), 'GUISE_IDLE_TIMEOUT');
});
