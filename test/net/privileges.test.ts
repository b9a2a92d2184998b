import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000', '--device', 'tun'];
const CLIENT = ['--local', '127.0.0.1:500', '--remote', '10.0.2.2:4567', '--tun', 'gone'];

const FIELDS = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp'];
/** CAP_NET_BIND_SERVICE and CAP_NET_ADMIN; a filter. */
const NONE = '0000000000000000';
const BOTH = '0000000000001400';
const LEAST = [NONE, BOTH, BOTH, BOTH, NONE, '1', '2'].join(' ');

/** The rights of each thread of each process on a host, with the program's name. */
async function rights(host: Host): Promise<{ name: string; rights: string }[]> {
  const pids = (await host.run('ip', ['netns', 'pids', host.name])).split('\n').map((pid) => pid.trim());
  const found: { name: string; rights: string }[] = [];
  for (const pid of pids.filter((each) => each !== '')) {
    for (const thread of await readdir(`/proc/${pid}/task`).catch(() => [])) {
      const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8').catch(() => '');
      const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.*)`, 'm').exec(status)?.[1];
      found.push({ name: field('Name') ?? 'ended', rights: FIELDS.map(field).join(' ') });
    }
  }
  return found.filter(({ name }) => name !== 'ip' && name !== 'ended');
}

t.test(
  'no thread and no child keeps a right that it does not need, and recovery needs no other',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    await rig.client.sysctl('net.ipv4.ip_forward', 0);
    const directory = await mkdtemp(join(tmpdir(), 'guise-'));
    t.teardown(() => rm(directory, { recursive: true }));
    const packet = join(directory, 'packet');
    await writeFile(packet, 'hello', { mode: 0o600 });
    await chown(packet, 65_534, 65_534).catch(() => {}); // a user namespace may have no other user
    await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', [...CLIENT, '--handshake-packet', packet]);
    const check = async (): Promise<void> => {
      for (const host of [rig.client, rig.server]) {
        const all = await rights(host);
        t.ok(all.filter(({ name }) => name === 'node').length > 5, 'with the threads of Node');
        t.ok(
          all.some(({ name }) => name === 'nft'),
          'with the children',
        );
        t.same(
          all.filter((each) => each.rights !== LEAST),
          [],
          FIELDS.join(' '),
        );
      }
    };
    await check();
    t.match(
      client.output,
      /privileges: keeps CAP_NET_BIND_SERVICE, CAP_NET_ADMIN; no_new_privs, system calls filtered/,
    );
    await rig.client.run('ip', ['link', 'delete', 'gone']);
    await client.waitFor(/ready/, 1);
    await check();
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.equal((await ping(rig.client, '--to 127.0.0.1:500 --count 5')).lost, 0);
    t.equal(await client.stop(), 0);
    t.equal(await rig.client.run('nft', ['list', 'ruleset']), '', 'no rule is left');
    t.equal((await rig.client.run('cat', ['/proc/sys/net/ipv4/ip_forward'])).trim(), '0', 'forwarding as it was');
  },
);
