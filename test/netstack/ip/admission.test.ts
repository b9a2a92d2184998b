import { once } from 'node:events';
import t from 'tap';
import { AddressBook } from '../../../src/netstack/ip/addresses.js';
import { Admission, VERDICT } from '../../../src/netstack/ip/admission.js';
import type { Filter } from '../../../src/netstack/ip/filter.js';
import { makePacket } from './packets.js';

function admission(filters: readonly Filter[], addresses?: readonly string[]) {
  const made = new Admission({ book: new AddressBook(), filters, addresses });
  const judge = (source: string, destination: string): number =>
    made.judge(makePacket(source, destination, 99, new Uint8Array(8)), 0, source.includes(':'));
  return { made, judge };
}

t.test('each filter is asked once about two addresses', async (t) => {
  const asked: string[] = [];
  const { judge } = admission([
    (source, destination) => asked.push(`${source} ${destination}`) > 0,
    (source) => source !== '10.0.0.9',
  ]);
  for (let round = 0; round < 3; round++) {
    t.equal(judge('10.0.0.1', '10.0.0.2'), VERDICT.passes);
    t.equal(judge('10.0.0.9', '10.0.0.2'), VERDICT.filtered);
    t.equal(judge('fd00::1', 'fd00::2'), VERDICT.passes);
  }
  t.same(asked, ['10.0.0.1 10.0.0.2', '10.0.0.9 10.0.0.2', 'fd00::1 fd00::2']);
});

t.test('verdicts are right for more pairs than are remembered', async (t) => {
  const { judge } = admission([(source, destination) => (source.length + destination.length) % 2 === 0]);
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 10_000; index++) {
      const pair = [`10.0.${index >> 8}.${index & 255}`, `10.${index & 255}.0.${index >> 8}`] as const;
      const right = (pair[0].length + pair[1].length) % 2 === 0 ? VERDICT.passes : VERDICT.filtered;
      if (judge(...pair) !== right) t.fail(pair.join(' '));
    }
  }
});

t.test('addresses that the stack was not given are not its own, in any spelling', async (t) => {
  const { judge, made } = admission([], ['10.0.0.2', 'FD00:0::2']);
  t.equal(judge('10.0.0.1', '10.0.0.2'), VERDICT.passes);
  t.equal(judge('10.0.0.1', '10.0.0.3'), VERDICT.notOurs);
  t.equal(judge('fd00::1', 'fd00::2'), VERDICT.passes);
  t.equal(judge('fd00::1', 'fd00::3'), VERDICT.notOurs);
  t.ok(made.owns('fd00::2'));
  t.ok(admission([]).made.owns('192.0.2.1'), 'without a list every address is');
});

t.test('what a filter throws is thrown, and lets nothing pass', async (t) => {
  const { judge } = admission([
    () => {
      throw new Error('of the filter');
    },
  ]);
  const thrown = once(process, 'uncaughtException') as Promise<[Error]>;
  t.equal(judge('10.0.0.1', '10.0.0.2'), VERDICT.filtered);
  t.match((await thrown)[0], { message: 'of the filter' });
});
