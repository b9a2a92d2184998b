import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import t from 'tap';
import { freePairs, wantedPair, type Ends } from '../../src/host/address_choice.js';
import type { InterfaceAddress, Route } from '../../src/host/look/interfaces.js';
import { interfaces } from './recorded.js';

const USUAL: Ends<string> = ['192.168.200.1', '192.168.200.2'];
const pairs = (usual: Ends<string>, addresses: InterfaceAddress[], routes: string[], wanted?: Ends<string>) =>
  freePairs(wanted, usual, { addresses, routes: routes.map((dst): Route => ({ dst })) });
const first = (usual: Ends<string>, addresses: InterfaceAddress[], ...routes: string[]): Ends<string> | undefined =>
  pairs(usual, addresses, routes).next().value as Ends<string> | undefined;

t.test('on a host that has none of them the usual addresses are taken', async (t) => {
  const others = interfaces('docker').flatMap(({ addr_info }) => addr_info);
  t.ok(others.some(({ local }) => local === '172.17.0.1'));
  t.same(first(USUAL, others), USUAL);
  t.same(first(['fcc8::1', 'fcc8::2'], others), ['fcc8::1', 'fcc8::2']);
  t.same(first(['172.17.0.1', '172.17.0.2'], others), ['10.200.200.1', '10.200.200.2'], "all of Docker's network");
});

t.test('a network of the host is left out, and so is each pair that it has', async (t) => {
  t.same(first(USUAL, [{ local: '192.168.200.77', prefixlen: 24 }]), ['192.168.201.1', '192.168.201.2']);
  t.same(first(USUAL, [{ local: '192.168.200.1', address: '192.168.200.2', prefixlen: 32 }]), [
    '192.168.200.5',
    '192.168.200.6',
  ]);
  const all = first(['fcc8::1', 'fcc8::2'], [{ local: 'fcc8::9', prefixlen: 64 }]);
  t.same(all, ['fd67:7569:7365::1', 'fd67:7569:7365::2'], 'all of them are in it');
});

t.test('a network that a route leads to is left out, too', async (t) => {
  t.same(first(USUAL, [], '192.168.200.2'), ['192.168.200.5', '192.168.200.6'], 'a host');
  t.same(first(USUAL, [], '192.168.0.0/21', '192.168.200.0/24'), ['192.168.201.1', '192.168.201.2']);
  t.same(first(USUAL, [], '192.168.0.0/16'), ['10.200.200.1', '10.200.200.2']);
  t.same(first(USUAL, [], '192.168.0.0/16', '10.0.0.0/8', '172.16.0.0/12'), ['198.19.200.1', '198.19.200.2']);
  t.same(first(['fcc8::1', 'fcc8::2'], [], 'fcc8::/32'), ['fd67:7569:7365::1', 'fd67:7569:7365::2']);
  const everything = ['192.168.0.0/16', '10.0.0.0/8', '172.16.0.0/12', '198.18.0.0/15', 'fc00::/8', 'fd00::/8'];
  t.equal(first(USUAL, [], ...everything), undefined);
  t.equal(first(['fcc8::1', 'fcc8::2'], [], ...everything), undefined);
});

t.test('a default route says nothing of which addresses are in use, nor do its parts', async (t) => {
  const parts = ['default', '0.0.0.0/1', '128.0.0.0/1', '192.0.0.0/3', '2000::/3', '::/1', '8000::/1', 'fc00::/7'];
  t.same(first(USUAL, [], ...parts), USUAL);
  t.same(first(['fcc8::1', 'fcc8::2'], [], ...parts), ['fcc8::1', 'fcc8::2']);
});

t.test('wanted addresses may lie in a network of the host, and may not be its own', async (t) => {
  const others = [{ local: '192.168.200.77', prefixlen: 24 }];
  const wanted = wantedPair([undefined, '192.168.200.9'], USUAL);
  t.same(wanted, ['192.168.200.1', '192.168.200.9'], 'the usual end completes it');
  t.same([...pairs(USUAL, others, ['192.168.200.0/24'], wanted)], [wanted]);
  t.same([...pairs(USUAL, others, [], ['192.168.200.77', '192.168.200.78'])], []);
  const far = [{ local: '10.0.0.1', address: '192.168.200.2', prefixlen: 32 }];
  t.same([...pairs(USUAL, far, [], USUAL)], [], 'far end');
  t.equal(wantedPair([undefined, undefined], USUAL), undefined);
});

t.test('no pair that is found has anything to do with an address of the host', async () => {
  const octet = fc.nat(255);
  const address = fc.tuple(fc.constantFrom(168, 169), octet, octet).map(([b, c, d]) => `192.${b}.${c}.${d}`);
  const other = fc.record({ local: address, prefixlen: fc.integer({ min: 8, max: 32 }) });
  fc.assert(
    fc.property(fc.array(other, { maxLength: 8 }), (others) => {
      const pair = first(USUAL, others);
      if (!pair) throw new Error('none found among thousands');
      for (const each of pair) {
        for (const { local, prefixlen } of others) {
          if (ipaddr.IPv4.parse(each).match(ipaddr.IPv4.parse(local), prefixlen)) {
            throw new Error(`${each} is in ${local}/${prefixlen}`);
          }
        }
      }
    }),
    { numRuns: 30 },
  );
});
