import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { noRig, Rig } from './rig.js';
import { startPeer } from './traffic.js';

const skip = noRig() ?? false;
const main = (part: string): string => new URL(`../../${part}/main.js`, import.meta.url).pathname;

t.test('what cannot start says why in one sentence and exits 1', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  const fails = async (part: string, args: string[], sentence: RegExp): Promise<void> => {
    const program = host.start(process.execPath, [main(part), ...args]);
    t.equal(await program.exited, 1, `${part} ${args.join(' ')}`);
    t.match(program.output, sentence);
    t.equal(program.output.split('\n').length, 1, `one sentence: ${program.output}`);
    t.notMatch(await host.run('nft', ['list', 'ruleset']), /guise/);
    t.notMatch(await host.run('ip', ['-br', 'link']), /tun/);
  };
  const client = ['-l', '127.0.0.1:5000', '-r', '10.0.1.2:4567'];
  const server = ['-l', '4567', '-r', '127.0.0.1:7000'];
  await fails('client', ['-l', '192.0.2.1:5000', '-r', '10.0.1.2:1'], /bind EADDRNOTAVAIL 192.0.2.1:5000: .*--local/);
  await fails(
    'client',
    [...client, '--tun', 'eth0'],
    /eth0 exists and is in use; choose another name\. Change it with --tun\.$/,
  );
  const busy = await startPeer(host, '--bind 127.0.0.1:5000');
  await fails('client', client, /bind EADDRINUSE 127.0.0.1:5000: .* Change it with --local\.$/);
  await busy.stop();
  await fails(
    'server',
    [...server, '--tun-local', '10.0.2.2'],
    /10.0.2.2 or .* is in use on this host; give others\. Change it with --tun-local\.$/,
  );
  await using listener = host.start('python3', [
    '-c',
    `
import socket
s = socket.create_server(('', 4567)); print('listening', flush=True); s.accept()`,
  ]);
  await listener.waitFor(/listening/);
  await fails('server', server, /listen EADDRINUSE \[::\]:4567: Another program has this TCP port/);
  await fails(
    'server',
    [...server, '--device', 'tun'],
    /listen EADDRINUSE 0.0.0.0:4567: Another program has this TCP port/,
  );
  await fails(
    'server',
    ['-l', '192.0.2.1:4567', '-r', '127.0.0.1:7000'],
    /listen EADDRNOTAVAIL 192.0.2.1:4567: This address is not one of the host/,
  );
  await fails(
    'client',
    [...client, '--bind-device', 'none0'],
    /SO_BINDTODEVICE ENODEV: .* Change it with --bind-device/,
  );
});

t.test('without rights one sentence says which', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = [process.execPath, main('server'), '-l', '4567', '-r', '127.0.0.1:7000'];
  const said = async (...options: string[]): Promise<string> => {
    const drop = '--drop=cap_net_admin,cap_net_raw';
    const program = rig.server.start('capsh', [drop, '--', '-c', `"$@"`, 'sh', ...server, ...options]);
    t.equal(await program.exited, 1);
    return program.output;
  };
  t.match(await said(), /^guise: socket EPERM: No right to open packet sockets; .*CAP_NET_RAW\.$/);
  t.match(await said('--device', 'tun'), /^guise: .*No right to .*CAP_NET_ADMIN/);
});

t.test('without nft one sentence says what to install', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  for (const other of ['ip', 'flock', 'cat', 'sleep']) {
    await symlink(
      (await rig.server.run('sh', ['-c', `readlink -f $(command -v ${other})`])).trim(),
      join(folder, other),
    );
  }
  const args = [main('server'), '-l', '4567', '-r', '127.0.0.1:7000', '--device', 'tun'];
  // Where it is looked for without a PATH it is not either.
  const script = '/bin/mount --bind "$PATH" /usr/sbin && exec "$@"';
  const program = rig.server.start('/bin/sh', ['-c', script, 'sh', process.execPath, ...args], {
    env: { PATH: folder },
  });
  t.equal(await program.exited, 1);
  t.match(program.output, /^guise: The program `nft` is missing; install nftables, .*--no-firewall.*\.$/);
});

t.test('--no-firewall leaves the rules alone and prints them', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = await rig.server.guise('server', [
    '-l',
    '4567',
    '-r',
    '127.0.0.1:7000',
    '--device',
    'tun',
    '--no-firewall',
  ]);
  t.match(server.output, /tcp dport 4567 dnat ip to 192.168.201.2/);
  t.equal(await rig.server.run('nft', ['list', 'ruleset']), '');
  t.equal(await server.stop('SIGINT'), 0);
});

t.test('the log can be JSON', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = rig.server.start(process.execPath, [
    main('server'),
    '-l',
    '4567',
    '-r',
    '127.0.0.1:7000',
    '--log-format',
    'json',
  ]);
  await server.waitFor(/ready/);
  for (const line of server.output.split('\n')) t.type((JSON.parse(line) as { msg: unknown }).msg, 'string');
});

t.test('a server on a host without IPv6 serves IPv4', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.sysctl('net.ipv6.conf.default.disable_ipv6', 1);
  const server = await rig.server.guise('server', ['-l', '4567', '-r', '127.0.0.1:7000']);
  t.match(server.output, /IPv6 is off on this host/);
});
