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

/** A forward chain of a table of its own, with what stands before it. */
const forward = (rules: string, before = '', policy = 'accept'): string =>
  `${before} chain forward { type filter hook forward priority filter; policy ${policy}; ${rules}; };`;
/** Ways in which a firewall stops what is forwarded: each alone stops the tunnel at either end. */
const STOPS: Readonly<Record<string, string>> = {
  policy: forward('counter', '', 'drop'),
  last_rule: forward('iifname "elsewhere" accept; counter reject with icmpx admin-prohibited'),
  log_then_drop: forward('log prefix "stopped: " level debug; log prefix "stopped: " drop'),
  jump: forward('ip protocol tcp jump stop; meta nfproto ipv6 jump stop', 'chain stop { counter drop; };'),
  goto: forward('goto stop', 'chain stop { drop; };'),
  interface: forward('iifname "eth0" drop'),
  out_interface: forward('oifname "eth0" drop'),
  state: forward('ct state established,related accept; ct state new drop'),
  verdict_map: forward('iifname vmap { "eth0" : drop, "elsewhere" : accept }'),
  verdict_map_of_jumps: forward('ct state vmap { new : jump stop, established : accept }', 'chain stop { drop; };'),
  tcp_reset: forward('meta l4proto tcp reject with tcp reset'),
  named_set: forward('tcp dport @ports drop', 'set ports { type inet_service; elements = { 4567 }; };'),
  mark: forward('meta mark != 1 drop'),
  // What firewalld makes of its default zone.
  firewalld: `chain policies {}; chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state established,related accept; ct status dnat accept; iifname "lo" accept; ct state invalid drop;
    jump policies; reject with icmpx admin-prohibited; };`,
  early: 'chain first { type filter hook forward priority -400; tcp flags syn drop; };',
  late: 'chain last { type filter hook forward priority 1000; meta l4proto tcp drop; };',
};
/** The base chain of such a table. */
const chainOf = (rules: string): string => /chain (\S+) \{ type filter hook forward/.exec(rules)![1]!;

/** The same firewall on both hosts. */
async function setBoth(rig: Rig, rules: string): Promise<void> {
  await Promise.all([rig.client, rig.server].map((host) => host.nft(rules)));
}

t.test(
  'whatever form a firewall stops in, the tunnel is let through at both ends, over IPv4 and IPv6',
  { skip, timeout: 120_000 },
  async (t) => {
    await using rig = await Rig.create();
    const tables = Object.entries(STOPS).map(([form, rules]) => `table inet form_${form} { ${rules} }\n`);
    const others = `table ip six { ${forward('drop')} }\ntable ip6 six { ${forward('drop')} }
      table bridge l2 { ${forward('drop')} }`;
    await setBoth(rig, `${tables.join('')}${others}`);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
    const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
      const server = await rig.server.guise('server', SERVER);
      const client = await rig.client.guise('client', [...CLIENT, '--tun', 'there']);
      const six = ['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567', '--tun', 'six'];
      const client6 = await rig.client.guise('client', six);
      for (const [form, rules] of Object.entries(STOPS)) {
        const line = new RegExp(`let (here|there) through inet form_${form} ${chainOf(rules)}$`, 'm');
        t.match(server.output, line, `server: ${form}`);
        t.match(client.output, line, `client: ${form}`);
      }
      t.notMatch(server.output, /bridge/, 'what is forwarded does not come there');
      t.equal(await lost(rig), 0, 'IPv4');
      t.equal((await ping(rig.client, '--to [::1]:5000 --count 5')).lost, 0, 'IPv6');
      await Promise.all([server, client, client6].map((program) => program.stop(signal)));
      for (const host of [rig.server, rig.client]) {
        while ((await host.run('nft', ['list', 'ruleset'])).includes('guise'));
        t.match(await host.run('nft', ['list', 'ruleset']), /table inet form_late/, 'and no other removed');
      }
    };
    await end('SIGTERM');
    await end('SIGKILL');
  },
);

t.test('a firewall of any form may come when the tunnel is there', { skip, timeout: 240_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = await rig.server.guise('server', SERVER);
  const client = await rig.client.guise('client', [...CLIENT, '--tun', 'there']);
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  for (const [form, rules] of Object.entries(STOPS)) {
    await setBoth(rig, `flush ruleset\ntable inet form_${form} { ${rules} }`);
    await Promise.all([server, client].map((end) => end.waitFor(new RegExp(`through inet form_${form} `))));
    t.equal(await lost(rig), 0, form);
  }
});

t.test(
  "rules of iptables let the tunnel through, also those that come before guise's",
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const host = rig.server;
    const iptables = async (...rules: string[]): Promise<void> => {
      for (const rule of rules) await host.run('iptables-nft', rule.split(' '));
    };
    await iptables(
      '-A FORWARD -m conntrack --ctstate NEW -j DROP',
      '-A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
    );
    const server = await host.guise('server', SERVER);
    const other = ['--local', '4568', '--remote', '127.0.0.1:7000', '--tun', 'other'];
    const second = await host.guise('server', other);
    await rig.client.guise('client', CLIENT);
    await startPeer(host, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
    t.match(server.output, /let here through ip filter FORWARD$/m);
    t.equal(await lost(rig), 0);
    // As Docker does with DOCKER-USER when it starts.
    await iptables('-N USER', '-A USER -j DROP', '-I FORWARD -j USER');
    await server.waitFor(/let here through ip filter FORWARD again: other rules had come before those for it/);
    await second.waitFor(/let other through ip filter FORWARD again/);
    t.equal(await lost(rig), 0);
    const rules = await host.run('nft', ['list', 'chain', 'ip', 'filter', 'FORWARD']);
    t.equal(rules.match(/guise here/g)?.length, 2, 'each direction once');
    t.equal(rules.match(/guise other/g)?.length, 2);
    // Neither of the two servers wants to be in front of the other.
    const said = server.output.match(/again/g)?.length;
    await iptables('-A FORWARD -j ACCEPT');
    await host.nft(`table inet counting { ${forward('counter')} }`);
    await Promise.all([server, second].map((each) => each.waitFor(/through inet counting forward$/)));
    t.equal(server.output.match(/again/g)?.length, said);
    await Promise.all([server.stop(), second.stop()]);
    t.notMatch(await host.run('nft', ['list', 'ruleset']), /guise/);
  },
);

t.test('a chain that nobody else may change is named, with what helps', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  // An owner holds its table for as long as its standard input is open.
  const hold = `{ echo 'table inet held { flags owner; ${forward('drop')} }'; setpriv --pdeathsig KILL sleep 1000; } | nft -i`;
  const owner = host.start('sh', ['-c', hold], { env: { HOME: '/nonexistent' } });
  while (!(await host.run('nft', ['list', 'ruleset'])).includes('held'));
  await host.nft(`table inet open { ${forward('drop')} }`);
  const server = await host.guise('server', SERVER);
  t.match(server.output, /let here through inet open forward$/m, 'the others are opened');
  t.match(
    server.output,
    /inet held forward .*Operation not permitted.*; let through there what comes and leaves by here/,
  );
  t.ok(owner.running);
});

t.test('tables of legacy iptables are named, with what helps', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const server = await rig.server.guise('server', SERVER);
  t.notMatch(server.output, /legacy/);
  for (const table of ['filter', 'mangle']) {
    await rig.client.run('iptables-legacy', ['-t', table, '-A', 'FORWARD', '-j', 'DROP']);
  }
  await rig.client.run('iptables-legacy', ['-t', 'nat', '-P', 'PREROUTING', 'ACCEPT']);
  const client = await rig.client.guise('client', [...CLIENT, '--tun', 'there']);
  t.match(client.output, /The table filter of iptables-legacy/);
  t.match(client.output, /The table mangle of iptables-legacy/);
  t.notMatch(client.output, /ip6tables-legacy|table nat/, 'a client has no port');
  // What is said is what helps.
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  for (const [, command] of client.output.matchAll(/`iptables-legacy ([^`]+)`/g)) {
    await rig.client.run('iptables-legacy', command!.split(' '));
  }
  t.equal(await lost(rig), 0);
  // Those that come later are named too, once.
  await rig.server.run('ip6tables-legacy', ['-P', 'FORWARD', 'DROP']);
  await server.waitFor(/The table filter of ip6tables-legacy is not changed, and may stop/);
  await rig.server.run('iptables-legacy', ['-t', 'nat', '-A', 'PREROUTING', '-j', 'ACCEPT']);
  await server.waitFor(/The table nat of iptables-legacy .*TCP port 4567/);
  t.equal(server.output.match(/legacy is not/g)?.length, 2);
});

t.test("rules that lead the server's port elsewhere are named", { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  const docker = (port: number): string => `table ip nat {
    chain DOCKER { iifname != "docker0" tcp dport ${port} counter dnat to 172.17.0.2:80; };
    chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local counter jump DOCKER; };
  }`;
  await host.nft(docker(4567));
  await rig.client.nft(docker(4567));
  const server = await host.guise('server', SERVER);
  const client = await rig.client.guise('client', CLIENT);
  t.match(server.output, /ip nat DOCKER.* TCP port 4567 .*; .*port/);
  t.notMatch(client.output, /DOCKER/, 'a client has no port');
  await host.nft(`flush ruleset\n${docker(4568)}`);
  await host.run('iptables-nft', '-t nat -A PREROUTING -p tcp --dport 4000:5000 -j REDIRECT --to-ports 80'.split(' '));
  await server.waitFor(/ip nat PREROUTING.* TCP port 4567 /);
  t.equal(server.output.match(/TCP port 4567 .*elsewhere/g)?.length, 2, 'each once, and not those of other ports');
});

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
