import t from 'tap';
import {
  closedForwardChains,
  missingDirections,
  type Chain,
  type Listing,
} from '../../src/host/look/forward_chains.js';
import { ruleset } from './recorded.js';

const nameOf = ({ family, table, name }: Chain): string => `${family} ${table} ${name}`;
const closed = (listing: Listing): string[] => closedForwardChains(listing).map(nameOf);

/** A forward chain that accepts by policy, with rules of these statements. */
function chainWith(...rules: Record<string, unknown>[][]): Listing {
  const chain = { family: 'inet', table: 'mine', name: 'forward', type: 'filter', hook: 'forward', policy: 'accept' };
  return {
    nftables: [
      { chain },
      ...rules.map((expr) => ({ rule: { family: 'inet', table: 'mine', chain: 'forward', expr } })),
    ],
  };
}

t.test('the forward chains that stop a tunnel are found in the rules of real firewalls', async (t) => {
  t.same(closed(ruleset('docker')), ['ip filter FORWARD'], 'Docker: by policy');
  t.same(closed(ruleset('ufw')), ['ip filter FORWARD', 'ip6 filter FORWARD'], 'ufw: by policy, for both families');
  t.same(closed(ruleset('firewalld')), ['inet firewalld filter_FORWARD'], 'firewalld: by its last rule');
  t.same(closed(ruleset('oracle')), ['ip filter FORWARD'], 'iptables on Oracle: by -j REJECT, a target of xtables');
});

t.test('where nothing is stopped nothing is found', async (t) => {
  t.same(closed(ruleset('debian')), [], 'a chain that accepts by policy');
  t.same(closed(ruleset('none')), []);
});

t.test('only a rule that stops everything closes a chain', async (t) => {
  const from = { match: { op: '==', left: { meta: { key: 'iifname' } }, right: 'eth0' } };
  const counter = { counter: { packets: 3, bytes: 180 } };
  const reject = { reject: { type: 'icmpx', expr: 'admin-prohibited' } };
  t.same(closed(chainWith([from, { drop: null }], [from, counter, reject])), [], 'others are stopped');
  t.same(closed(chainWith([from, { accept: null }], [counter, { drop: null }])), ['inet mine forward']);
  t.same(closed(chainWith([{ log: { prefix: 'no: ' } }, counter, reject])), ['inet mine forward'], 'after a log line');
  t.same(closed(chainWith([{ limit: { rate: 1, per: 'day' } }, { drop: null }])), [], 'one a day');
  t.same(closed(chainWith([{ xt: { type: 'match', name: 'conntrack' } }, { drop: null }])), [], 'a match of xtables');
  t.same(closed(chainWith([{ xt: { type: 'target', name: 'LOG' } }])), [], 'another target of xtables');
  t.same(closed(chainWith([{ jump: { target: 'elsewhere' } }], [])), []);
});

t.test('chains that see nothing of what is forwarded are no matter', async (t) => {
  const chain = { family: 'ip', table: 'filter', name: 'INPUT', type: 'filter', hook: 'input', policy: 'drop' };
  t.same(closed({ nftables: [{ chain }, { chain: { ...chain, hook: 'forward', type: 'route' } }] }), []);
});

t.test('rules of ours are known by their comment, a direction each', async (t) => {
  const [chain] = closedForwardChains(ruleset('oracle'));
  const rule = (direction: string, tun: string, comment = `guise ${tun}`): Listing['nftables'][number] => ({
    rule: {
      family: 'ip',
      table: 'filter',
      chain: 'FORWARD',
      comment,
      expr: [{ match: { op: '==', left: { meta: { key: direction } }, right: tun } }, { accept: null }],
    },
  });
  const missing = (...rules: Listing['nftables'][number][]): string[] =>
    missingDirections({ nftables: [...ruleset('oracle').nftables, ...rules] }, chain!, 'tun0');
  t.same(missingDirections(ruleset('opened'), chain!, 'tun0'), [], 'as nft has them');
  t.same(missingDirections(ruleset('opened'), chain!, 'tun1'), ['iifname', 'oifname']);
  t.same(missing(), ['iifname', 'oifname']);
  t.same(missing(rule('iifname', 'tun0')), ['oifname']);
  t.same(missing(rule('iifname', 'tun0'), rule('oifname', 'tun0')), []);
  t.same(missing(rule('iifname', 'tun1'), rule('oifname', 'tun1')), ['iifname', 'oifname'], "another tunnel's");
  t.same(missing(rule('iifname', 'tun0', 'by hand')), ['iifname', 'oifname'], "somebody else's, who may remove it");
});
