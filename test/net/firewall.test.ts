import { readFile } from 'node:fs/promises';
import t from 'tap';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000', '--tun', 'here'];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];
/** A firewall as Docker and ufw have it, with a rule that is not ours to remove. */
const CLOSED = `table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop;
  iifname "elsewhere" counter accept; }; }`;

async function lost(rig: Rig): Promise<number> {
  return (await ping(rig.client, '--to 127.0.0.1:5000 --count 5')).lost;
}

/** Process ids of a program on a host. */
async function pidsOf(host: Host, name: string): Promise<number[]> {
  const pids = (await host.run('ip', ['netns', 'pids', host.name])).split(/\s+/).filter((pid) => pid !== '');
  const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')));
  return pids.filter((_, index) => names[index]!.trim() === name).map(Number);
}

t.test(
  'a firewall that is flushed, reloaded or started later lets the tunnel through again',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    await rig.server.nft(CLOSED);
    const server = await rig.server.guise('server', SERVER);
    await rig.client.guise('client', CLIENT);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.match(server.output, /firewall: let here through ip filter FORWARD$/m);
    t.equal(await lost(rig), 0);

    await rig.server.run('nft', ['flush', 'chain', 'ip', 'filter', 'FORWARD']);
    await server.waitFor(/let here through ip filter FORWARD again: the rules for it were gone/);
    t.equal(await lost(rig), 0, 'flushed');
    await rig.server.nft(`flush ruleset\n${CLOSED}`);
    await server.waitFor(/let here through ip filter FORWARD again/, 1);
    t.equal(await lost(rig), 0, 'reloaded');
    await rig.server.nft('table inet late { chain forward { type filter hook forward priority 5; policy drop; }; }');
    await server.waitFor(/let here through inet late forward$/);
    t.equal(await lost(rig), 0, 'started later');

    t.equal(await server.stop(), 0);
    const left = await rig.server.run('nft', ['list', 'ruleset']);
    t.notMatch(left, /"here"/, 'no rule is left');
    t.match(left, /iifname "elsewhere" counter .*accept/, 'and no other removed, although its handle was ours once');
  },
);

/** What firewalld makes of its default zone. */
const FIREWALLD = `table inet firewalld {
  chain policies {}
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump policies
    reject with icmpx admin-prohibited
  }
}`;
/** `-A FORWARD -j REJECT --reject-with icmp-host-prohibited`: iptables on Oracle's and older Red Hat's images. */
const REJECTING = `table ip filter { chain FORWARD { type filter hook forward priority 0; policy accept;
  counter reject with icmp host-prohibited; }; }`;

t.test(
  'a firewall whose last rule rejects lets the tunnel through, one that only rejects others is left alone',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    await rig.client.nft(`${FIREWALLD}
    table inet other { chain forward { type filter hook forward priority 0; iifname "elsewhere" drop; }; }`);
    await rig.server.nft(REJECTING);
    const server = await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', [...CLIENT, '--tun', 'there']);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    t.match(server.output, /let here through ip filter FORWARD$/m);
    t.match(client.output, /let there through inet firewalld filter_FORWARD$/m);
    t.notMatch(client.output, /inet other/);
    t.equal(await lost(rig), 0);
    t.equal(await client.stop(), 0);
    t.notMatch(await rig.client.run('nft', ['list', 'ruleset']), /there/, 'no rule is left');
  },
);

t.test(
  'nobody can change the table, and it comes back when its holder is killed',
  {
    skip,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create();
    const server = await rig.server.guise('server', SERVER);
    await rig.client.guise('client', CLIENT);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    await rig.server.run('nft', ['flush', 'ruleset']);
    await t.rejects(rig.server.run('nft', ['delete', 'table', 'inet', 'guise_here']), /Operation not permitted/);
    t.equal(await lost(rig), 0);
    const [holder] = await pidsOf(rig.server, 'nft');
    process.kill(holder!, 'SIGKILL');
    await server.waitFor(/TCP port 4567 to 192.168.201.2, .* again: its nft had been ended/);
    t.equal(await lost(rig), 0, 'a new connection finds its way');
    t.equal(await server.stop(), 0);
    t.equal(await rig.server.run('nft', ['list', 'ruleset']), '', 'no rule is left');
  },
);
