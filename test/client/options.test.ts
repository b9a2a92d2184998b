import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { clientOptions } from '../../client/options.js';

const { signal } = new AbortController();
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '127.0.0.1:4567'];

function options(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
  return clientOptions('guise-client', args, signal, environment);
}

t.test('wrong usage is one sentence that names the flag', async (t) => {
  const wrong: [string[], RegExp][] = [
    [[], /^--local IP:PORT \(.*\) and --remote HOST:PORT \(.*\) must be given\.$/],
    [['-l', '127.0.0.1', '-r', 'a:1'], /^--local: "127.0.0.1" is not HOST:PORT/],
    [['-l', 'localhost:1', '-r', 'a:1'], /^--local: "localhost" is not an IP address/],
    [['-l', '127.0.0.1:0', '-r', 'a:1'], /^--local: "0" is not a port/],
    [['-l', '[::g]:1', '-r', 'a:1'], /^--local: .* is not an IPv6 address/],
    [['-l', '127.0.0.1:1', '-r', 'a:70000'], /^--remote: "70000" is not a port/],
    [[...CLIENT, '--mtu', '100'], /^--mtu takes a whole number of bytes from 576 to 65535, not 100\.$/],
    [[...CLIENT, '--mtu', 'x'], /^--mtu takes .*, not "x"\.$/],
    [[...CLIENT, '--queues', '0'], /^--queues takes/],
    [[...CLIENT, '--idle-timeout', '-5'], /^--idle-timeout takes/],
    [[...CLIENT, '--connect-timeout', '1.5'], /^--connect-timeout takes/],
    [[...CLIENT, '--profile', 'x'], /^--profile takes auto, guise or phantun, not "x"\.$/],
    [[...CLIENT, '--log-level', 'loud'], /^--log-level takes/],
    [[...CLIENT, '--tun', 'a name that is too long'], /^--tun takes an interface name/],
    [[...CLIENT, '--tun-local', '::1'], /^--tun-local takes an IPv4 address/],
    [[...CLIENT, '-4', '--tun-peer6', 'fd::1'], /^--ipv4-only contradicts --tun-peer6/],
    [[...CLIENT, '--handshake-packet', '/nonexistent'], /^--handshake-packet: cannot read "\/nonexistent" \(ENOENT\)/],
  ];
  for (const [args, sentence] of wrong) {
    t.throws(() => options(args), { name: 'UsageError', message: sentence }, args.join(' '));
  }
});

t.test('variables are named as they are written', async (t) => {
  const ends = { GUISE_LOCAL: '127.0.0.1:5000', GUISE_REMOTE: 'a:1' };
  t.throws(() => options([], { ...ends, GUISE_MTU: '3' }), { message: /^GUISE_MTU takes/ });
  t.throws(() => options([], { ...ends, GUISE_FIREWALL: 'nein' }), { message: /^GUISE_FIREWALL takes yes or no/ });
  t.throws(() => options(['--tun-peer6', '::1'], { ...ends, GUISE_IPV4_ONLY: '1' }), {
    message: /^GUISE_IPV4_ONLY contradicts --tun-peer6/,
  });
  t.throws(() => options([], { ...ends, GUISE_REMOTE: '' }), { message: /^--remote HOST:PORT .* must be given/ });
});

t.test('options of the tunnel', async (t) => {
  const { log, ...found } = options([
    ...CLIENT,
    ...['--keepalive', '0', '--dead-after', '7', '--idle-timeout', '60', '--tun-local', '10.9.0.1', '-4'],
    ...['--no-firewall', '--queues', '2', '--tun', 'guise0', '--profile', 'phantun'],
  ]);
  t.equal(log.level, 'info');
  t.match(found, {
    local: { address: '127.0.0.1', port: 5000 },
    remote: { host: '127.0.0.1', port: 4567 },
    tun: 'guise0',
    tunAddresses: { local4: '10.9.0.1' },
    usualAddresses: { local4: '192.168.200.1', peer6: 'fcc8::2' },
    ipv4Only: true,
    keepalive: Infinity,
    deadAfter: 7000,
    connectTimeout: 15_000,
    idleTimeout: 60_000,
    queues: 2,
    firewall: false,
    profile: 'phantun',
  });
  t.equal(found.given.get('queues'), '--queues');
});

t.test('a handshake packet fits into one segment', async (t) => {
  const path = join(t.testdir(), 'packet');
  writeFileSync(path, Buffer.alloc(1440, 7));
  t.equal(options([...CLIENT, '--handshake-packet', path]).handshakePacket?.length, 1440);
  t.throws(() => options([...CLIENT, '--handshake-packet', path, '--mtu', '1499']), {
    message: /^--handshake-packet takes a file of 1 to 1439 bytes, .*, not one of 1440\.$/,
  });
  writeFileSync(path, '');
  t.throws(() => options([...CLIENT, '--handshake-packet', path]), { message: /not one of 0/ });
});
