/** The programs of a host as people have them: where no PATH leads, of other makes, without rights, and none at all. */
import { chmod, copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';

const skip = noRig() ?? false;
const main = fileURLToPath(new URL('../../server/main.js', import.meta.url));
const SERVER = ['-l', '4567', '-r', '127.0.0.1:7000', '--device', 'tun'];

/** A folder of programs; `path` has it before the usual ones. */
async function folderOf(
  t: Test,
): Promise<{ folder: string; path: string; script: (name: string, text: string) => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755);
  const script = async (name: string, text: string): Promise<void> => {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  };
  return { folder, path: `${folder}:/usr/sbin:/usr/bin:/sbin:/bin`, script };
}

function start(host: Host, path: string): RunningProgram {
  return host.start('env', ['-i', ...(path === '' ? [] : [`PATH=${path}`]), process.execPath, main, ...SERVER]);
}

t.test('tools are found where no PATH leads, as in cron', { skip, timeout: 60_000 }, async (t) => {
  for (const path of ['/usr/bin:/bin', '/nonexistent', '']) {
    await using rig = await Rig.create();
    const server = start(rig.server, path);
    await server.waitFor(/ready/);
    t.match(server.output, /firewall: TCP port 4567/, path);
    t.equal(await server.stop(), 0);
    t.equal(await rig.server.run('nft', ['list', 'ruleset']), '', 'and undone');
  }
});

t.test('a tool of another make is named, with what it lacks', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const refuses = async (path: string, sentence: RegExp): Promise<void> => {
    const server = start(rig.server, path);
    t.equal(await server.exited, 1);
    t.match(server.output, sentence);
    t.equal(server.output.split('\n').length, 1, server.output);
  };
  const busybox = await folderOf(t);
  await symlink((await rig.server.run('sh', ['-c', 'command -v busybox'])).trim(), join(busybox.folder, 'ip'));
  await refuses(
    busybox.path,
    /^guise: The program `ip` is BusyBox's, which can do less; install iproute2, or use packet sockets\./,
  );
  const forbidden = await folderOf(t);
  await symlink('ip', join(forbidden.folder, 'ip'));
  await refuses(
    forbidden.path,
    /^guise: The program `ip` cannot be started \(ELOOP\); install iproute2, or use packet sockets\./,
  );
  const plain = await folderOf(t);
  // As nft says that was built without libjansson.
  await plain.script(
    'nft',
    'case "$1" in -j) echo "Error: JSON support not compiled-in" >&2; exit 1;; esac; exec /usr/sbin/nft "$@"',
  );
  await refuses(
    plain.path,
    /^guise: The program `nft` was built without JSON; install nftables.* add --no-firewall\.$/,
  );
  const old = await folderOf(t);
  // A flag that nft does not know is to it what `owner` is to one before 0.9.9.
  await old.script(
    'nft',
    '[ "$1" = -i ] || exec /usr/sbin/nft "$@"; sed -u "s/flags owner/flags owners/" | /usr/sbin/nft -i',
  );
  await refuses(
    old.path,
    /^guise: The program `nft` or the kernel is too old for tables that go with their owner: .* --no-firewall\.$/,
  );
});

t.test('a Node with file capabilities runs as any user', { skip, timeout: 90_000 }, async (t) => {
  const { folder } = await folderOf(t);
  const node = join(folder, 'node');
  await copyFile(process.execPath, node);
  const asNobody = [
    'env',
    '-u',
    'NODE_OPTIONS',
    'setpriv',
    '--reuid',
    '65534',
    '--regid',
    '65534',
    '--clear-groups',
    node,
  ];
  const run = async (capabilities: string, args: string[]): Promise<RunningProgram> => {
    await rig.server.run('setcap', [capabilities, node]);
    // A device that anybody may open, as distributions have it.
    const script = 'mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"';
    return rig.server.start('sh', ['-c', script, 'sh', ...asNobody, main, ...args]);
  };
  await using rig = await Rig.create();
  for (const [capabilities, args, said] of [
    ['cap_net_raw+ep', ['-l', '4567', '-r', '127.0.0.1:7000'], /packet sockets:/],
    ['cap_net_raw,cap_net_bind_service+ep', ['-l', '443', '-r', '127.0.0.1:7000'], /packet sockets:/],
    ['cap_net_admin+ep', SERVER, /firewall: TCP port 4567/],
  ] as const) {
    const server = await run(capabilities, [...args]);
    await server.waitFor(/ready/);
    t.match(server.output, said, capabilities);
    t.equal(await server.stop(), 0);
    t.equal(await rig.server.run('nft', ['list', 'ruleset']), '', 'nothing is left');
  }
  const server = await run('cap_net_bind_service+ep', ['-l', '4567', '-r', '127.0.0.1:7000']);
  t.equal(await server.exited, 1);
  t.match(server.output, /^guise: socket EPERM: No right to open packet sockets; .*CAP_NET_RAW\.$/);
});

t.test('the working directory may have been deleted', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { folder } = await folderOf(t);
  const script = 'mkdir "$1" && cd "$1" && rmdir "$1" && shift && exec "$@"';
  const gone = [
    'env',
    '-u',
    'NODE_OPTIONS',
    'sh',
    '-c',
    script,
    'sh',
    join(folder, 'gone'),
    process.execPath,
    main,
    ...SERVER,
  ];
  const server = rig.server.start(gone[0]!, gone.slice(1));
  await server.waitFor(/ready/);
  t.equal(await server.stop(), 0);
});
