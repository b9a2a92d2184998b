import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import t from 'tap';
import { freePairs, wantedPair, type Ends } from '../../src/host/address_choice.js';
import type { InterfaceAddress } from '../../src/host/look/interfaces.js';
import { interfaces } from './recorded.js';

const USUAL: Ends<string> = ['192.168.200.1', '192.168.200.2'];
const first = (usual: Ends<string>, others: InterfaceAddress[], wanted?: Ends<string>): Ends<string> | undefined =>
  freePairs(wanted, usual, others).next().value as Ends<string> | undefined;

t.test('on a host that has none of them the usual addresses are taken', async (t) => {
  const others = interfaces('docker').flatMap(({ addr_info }) => addr_info);
  t.ok(others.some(({ local }) => local === '172.17.0.1'));
  t.same(first(USUAL, others), USUAL);
  t.same(first(['fcc8::1', 'fcc8::2'], others), ['fcc8::1', 'fcc8::2']);
  t.equal(first(['172.17.0.1', '172.17.0.2'], others), undefined, "all of Docker's network");
});

t.test('a network of the host is left out, and so is each pair that it has', async (t) => {
  t.same(first(USUAL, [{ local: '192.168.200.77', prefixlen: 24 }]), ['192.168.201.1', '192.168.201.2']);
  t.same(first(USUAL, [{ local: '192.168.200.1', address: '192.168.200.2', prefixlen: 32 }]), [
    '192.168.200.5',
    '192.168.200.6',
  ]);
  t.same(first(['fcc8::1', 'fcc8::2'], [{ local: 'fcc8::9', prefixlen: 64 }]), undefined, 'all of them are in it');
});

t.test('wanted addresses may lie in a network of the host, and may not be its own', async (t) => {
  const others = [{ local: '192.168.200.77', prefixlen: 24 }];
  const wanted = wantedPair([undefined, '192.168.200.9'], USUAL);
  t.same(wanted, ['192.168.200.1', '192.168.200.9'], 'the usual end completes it');
  t.same([...freePairs(wanted, USUAL, others)], [wanted]);
  t.same([...freePairs(['192.168.200.77', '192.168.200.78'], USUAL, others)], []);
  t.same([...freePairs(USUAL, USUAL, [{ local: '10.0.0.1', address: '192.168.200.2', prefixlen: 32 }])], [], 'far end');
  t.equal(wantedPair([undefined, undefined], USUAL), undefined);
});

t.test('no pair that is found has anything to do with an address of the host', async () => {
  const octet = fc.nat(255);
  const address = fc.tuple(fc.constantFrom(168, 169), octet, octet).map(([b, c, d]) => `192.${b}.${c}.${d}`);
  const other = fc.record({ local: address, prefixlen: fc.integer({ min: 8, max: 32 }) });
  fc.assert(
    fc.property(fc.array(other, { maxLength: 8 }), (others) => {
      const pair = first(USUAL, others);
      for (const each of pair ?? []) {
        for (const { local, prefixlen } of others) {
          if (ipaddr.IPv4.parse(each).match(ipaddr.IPv4.parse(local), prefixlen)) {
            throw new Error(`${each} is in ${local}/${prefixlen}`);
          }
        }
      }
      if (!pair && !others.some(({ prefixlen }) => prefixlen <= 24)) throw new Error('none found among thousands');
    }),
    { numRuns: 30 },
  );
});
