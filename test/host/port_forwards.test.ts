import t from 'tap';
import { portForwards } from '../../src/host/look/port_forwards.js';
import type { Listing, Statement } from '../../src/host/look/ruleset.js';
import { ruleset } from './recorded.js';

const ARRIVING = { port: 443, addresses: ['198.51.100.1', '192.0.2.1', '2001:db8::1'] };

const is = (left: unknown, right: unknown, op = '=='): Statement => ({ match: { op, left, right } });
const payload = (protocol: string, field: string) => ({ payload: { protocol, field } });
const PORT = payload('tcp', 'dport');
const DNAT: Statement = { dnat: { addr: '172.17.0.2', port: 80 } };
const jump = (target: string): Statement => ({ jump: { target } });

const place = { family: 'ip', table: 'nat' };
const HOOK = { ...place, name: 'PREROUTING', type: 'nat', hook: 'prerouting' };

/** Of a table with rules in its NAT chain, and in another one. */
function leads(rules: Statement[][], others: Statement[][] = [], more: Listing['nftables'] = []): string[] {
  const rule = (chain: string, expr: Statement[], i: number): Listing['nftables'][number] => ({
    rule: { ...place, chain, handle: i, expr },
  });
  return portForwards(
    {
      nftables: [
        { chain: HOOK },
        { chain: { ...place, name: 'other' } },
        ...rules.map((expr, i) => rule('PREROUTING', expr, i)),
        ...others.map((expr, i) => rule('other', expr, i)),
        ...more,
      ],
    },
    ARRIVING,
  );
}
const YES = ['ip nat PREROUTING'];

t.test('a rule that leads the port elsewhere is found, however it names the port', async (t) => {
  for (const [name, rule] of Object.entries({
    number: [is(PORT, 443), DNAT],
    range: [is(PORT, { range: [400, 500] }), DNAT],
    set: [is(PORT, { set: [80, { range: [440, 450] }] }), { redirect: { port: 8443 } }],
    'set with counters': [is(PORT, { set: [{ elem: { val: 443, counter: {} } }] }), DNAT],
    'any transport': [is({ meta: { key: 'l4proto' } }, { set: ['tcp', 'udp'] }), is(payload('th', 'dport'), 443), DNAT],
    'not another': [is(PORT, 80, '!='), DNAT],
    'the whole address': [is(payload('ip', 'daddr'), '192.0.2.1'), DNAT],
    'its network': [is(payload('ip', 'daddr'), { prefix: { addr: '192.0.2.0', len: 24 } }), DNAT],
    'all but another network': [is(payload('ip', 'daddr'), { prefix: { addr: '198.51.100.0', len: 24 } }, '!='), DNAT],
    'its range': [is(payload('ip', 'daddr'), { range: ['192.0.1.9', '192.0.2.1'] }), DNAT],
    'address and port': [
      is({ concat: [payload('ip', 'daddr'), PORT] }, { set: [{ concat: ['192.0.2.1', 443] }] }),
      DNAT,
    ],
    map: [{ dnat: { addr: { map: { key: PORT, data: { set: [[443, '172.17.0.2']] } } } } }],
    'target of iptables': [is(PORT, 443), { counter: {} }, { xt: { type: 'target', name: 'DNAT' } }],
    everything: [is({ meta: { key: 'iifname' } }, 'docker0', '!='), { redirect: null }],
  })) {
    t.same(leads([rule]), YES, name);
  }
});

t.test('a rule for others is none', async (t) => {
  for (const [name, rule] of Object.entries({
    'another port': [is(PORT, 80), DNAT],
    'another range': [is(PORT, { range: [444, 500] }), DNAT],
    'all but this port': [is(PORT, 443, '!='), DNAT],
    UDP: [is(payload('udp', 'dport'), 443), DNAT],
    'UDP by its number': [is(payload('ip', 'protocol'), 'udp'), DNAT],
    ping: [is(payload('icmp', 'type'), 'echo-request'), DNAT],
    'another address': [is(payload('ip', 'daddr'), '192.0.2.2'), is(PORT, 443), DNAT],
    'all but these addresses': [
      is(payload('ip', 'daddr'), { set: ['198.51.100.1', '192.0.2.1', '2001:db8::1'] }, '!='),
      DNAT,
    ],
    'another network': [is(payload('ip', 'daddr'), { prefix: { addr: '10.96.0.0', len: 12 } }), DNAT],
    'an address of another kind': [is(payload('ip', 'daddr'), 'localhost'), DNAT],
    'another address and port': [
      is({ concat: [payload('ip', 'daddr'), PORT] }, { set: [{ concat: ['192.0.2.2', 443] }] }),
      DNAT,
    ],
    'a map of others': [{ dnat: { addr: { map: { key: PORT, data: { set: [[80, '172.17.0.2']] } } } } }],
    'ports that are hidden': [{ xt: { type: 'match', name: 'multiport' } }, { xt: { type: 'target', name: 'DNAT' } }],
    'no other way': [is(PORT, 443), { accept: null }],
    'from where': [is(PORT, 443), { xt: { type: 'target', name: 'MASQUERADE' } }],
  })) {
    t.same(leads([rule]), [], name);
  }
});

t.test('jumps are followed as far as their conditions say', async (t) => {
  const there = ['ip nat other'];
  const local = is({ fib: { result: 'type', flags: ['daddr'] } }, 'local');
  t.same(leads([[local, jump('other')]], [[is(PORT, 443), DNAT]]), there, 'Docker');
  t.same(leads([[is(PORT, 443), { goto: { target: 'other' } }]], [[DNAT]]), there);
  t.same(leads([[is(PORT, 80), jump('other')]], [[DNAT]]), []);
  t.same(leads([[is(payload('ip', 'daddr'), '10.96.0.1'), is(PORT, 443), jump('other')]], [[DNAT]]), [], 'Kubernetes');
  t.same(leads([], [[is(PORT, 443), DNAT]]), [], 'a chain that nothing leads to');
  t.same(leads([[jump('other')]], [[jump('other')]]), [], 'a circle ends');
  const verdicts = (...ports: number[]) => ({
    vmap: { key: PORT, data: { set: ports.map((port) => [port, { jump: { target: 'other' } }]) } },
  });
  t.same(leads([[verdicts(80, 443)]], [[DNAT]]), there);
  t.same(leads([[verdicts(80)]], [[DNAT]]), []);
  t.same(leads([[{ vmap: { key: PORT, data: { set: [[443, { drop: null }]] } } }]], [[DNAT]]), []);
});

t.test('named sets and maps are looked into', async (t) => {
  const set = (elem: unknown) => [{ set: { name: 'ports', elem } }];
  t.same(leads([[is(PORT, '@ports'), DNAT]], [], set([80, { range: [400, 500] }])), YES);
  t.same(leads([[is(PORT, '@ports'), DNAT]], [], set([80])), []);
  t.same(leads([[is(PORT, '@ports'), DNAT]], [], set(undefined)), [], 'an empty one');
  const map = [{ map: { name: 'targets', elem: [[443, '172.17.0.2']] } }];
  t.same(leads([[{ dnat: { addr: { map: { key: PORT, data: '@targets' } } } }]], [], map), YES);
});

t.test('firewalls that forward no port lead none elsewhere', async (t) => {
  for (const name of ['docker', 'ufw', 'firewalld', 'oracle', 'debian', 'none']) {
    t.same(portForwards(ruleset(name), ARRIVING), [], name);
  }
});
