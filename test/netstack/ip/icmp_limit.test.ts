import t from 'tap';
import { IcmpLimit } from '../../../src/netstack/ip/icmp_limit.js';

function taken(limit: IcmpLimit, address: string, times: number, now: number): number {
  let count = 0;
  for (let index = 0; index < times; index++) if (limit.take(address, address.includes(':'), now)) count++;
  return count;
}

t.test('one address gets six errors at once, then one a second, over IPv6 ten', async (t) => {
  const limit = new IcmpLimit(0);
  t.equal(taken(limit, '10.0.0.1', 20, 0), 6);
  t.equal(taken(limit, '10.0.0.1', 20, 999), 0);
  t.equal(taken(limit, '10.0.0.1', 20, 1000), 1);
  t.equal(taken(limit, '10.0.0.1', 20, 100_000), 6, 'no more are saved up');
  t.equal(taken(limit, 'fd00::1', 20, 100_000), 6);
  t.equal(taken(limit, 'fd00::1', 20, 101_000), 6);
  t.equal(taken(limit, 'fd00::1', 20, 101_100), 1);
});

t.test('all addresses get fifty at once, then a thousand a second', async (t) => {
  const limit = new IcmpLimit(0);
  const ask = (first: number, now: number): number => {
    let count = 0;
    for (let index = 0; index < 500; index++) count += taken(limit, `10.${first}.${index >> 8}.${index & 255}`, 1, now);
    return count;
  };
  t.equal(ask(0, 0), 50);
  t.equal(ask(1, 10), 10);
  t.equal(ask(2, 10_000), 50);
});

t.test('an address that was forgotten begins anew, and others do not', async (t) => {
  const limit = new IcmpLimit(0);
  t.equal(taken(limit, '10.0.0.1', 20, 0), 6);
  for (let index = 0; index < 1024; index++) limit.take(`10.1.${index >> 8}.${index & 255}`, false, index);
  t.equal(taken(limit, '10.0.0.1', 20, 2000), 6, 'it would have had two');
});
