import t from 'tap';
import { isOpen, ownRules } from '../../src/host/look/forward_chains.js';
import { baseChains, nameOf, rulesOf, type Listing, type Rule } from '../../src/host/look/ruleset.js';
import { ruleset } from './recorded.js';

const FORWARD = { type: 'filter', hook: 'forward' };
const chains = (listing: Listing): string[] => baseChains(listing, FORWARD).map(nameOf);

t.test('the chains of what is forwarded are found in the rules of real firewalls', async (t) => {
  t.same(chains(ruleset('docker')), ['ip filter FORWARD']);
  t.same(chains(ruleset('ufw')), ['ip filter FORWARD', 'ip6 filter FORWARD']);
  t.same(chains(ruleset('firewalld')), ['inet firewalld filter_FORWARD']);
  t.same(chains(ruleset('oracle')), ['ip filter FORWARD']);
  t.same(chains(ruleset('debian')), ['inet filter forward'], 'also where it stops nothing');
  t.same(chains(ruleset('none')), []);
});

t.test('chains that see nothing of what is forwarded are no matter', async (t) => {
  const chain = { family: 'ip', table: 'filter', name: 'FORWARD', type: 'filter', hook: 'forward' };
  const others = [{ hook: 'input' }, { type: 'route' }, { family: 'bridge' }, { family: 'arp' }];
  t.same(chains({ nftables: others.map((other) => ({ chain: { ...chain, ...other } })) }), []);
});

function rule(direction: string, tun: string, comment = `guise ${tun}`): Rule {
  const match = { op: '==', left: { meta: { key: direction } }, right: tun };
  return { family: 'ip', table: 'filter', chain: 'FORWARD', handle: 1, comment, expr: [{ match }, { accept: null }] };
}
const both = (tun: string, comment?: string): Rule[] => ['iifname', 'oifname'].map((each) => rule(each, tun, comment));

t.test('a chain is open to an interface with a rule for each direction in front of those of others', async (t) => {
  const listing = ruleset('opened');
  const opened = rulesOf(listing, baseChains(listing, FORWARD)[0]!);
  t.ok(isOpen(opened, 'tun0'), 'as nft has them');
  t.equal(ownRules(opened, 'tun0').length, 2);
  t.notOk(isOpen(opened, 'tun1'));
  const others = rulesOf(ruleset('oracle'), baseChains(ruleset('oracle'), FORWARD)[0]!);
  t.notOk(isOpen(others, 'tun0'));
  t.notOk(isOpen([], 'tun0'));
  t.notOk(isOpen([rule('iifname', 'tun0'), ...others], 'tun0'), 'one direction');
  t.ok(isOpen([...both('tun0'), ...others], 'tun0'));
  t.ok(isOpen(both('tun0'), 'tun0'));
  t.notOk(isOpen([...others, ...both('tun0')], 'tun0'), 'behind those of others');
  t.ok(isOpen([...both('tun1'), ...both('tun0'), ...others], 'tun0'), "behind another tunnel's");
  t.notOk(isOpen([...both('tun1'), ...others], 'tun0'), "another tunnel's only");
  t.notOk(isOpen(both('tun0', 'by hand'), 'tun0'), "somebody else's, who may remove it");
});
