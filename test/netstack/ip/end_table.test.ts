import fc from 'fast-check';
import t from 'tap';
import { EndTable, type LocalEnd } from '../../../src/netstack/ip/end_table.js';

t.test('who says most about the destination gets it', async (t) => {
  const table = new EndTable<string>();
  const ends: readonly (readonly [LocalEnd, string])[] = [
    [{ address: '10.0.0.2', port: 53 }, 'exact'],
    [{ address: '10.0.0.2', port: undefined }, 'address'],
    [{ address: '0.0.0.0', port: 53 }, 'family and port'],
    [{ address: '0.0.0.0', port: undefined }, 'family'],
    [{ address: undefined, port: 53 }, 'port'],
    [{ address: undefined, port: undefined }, 'any'],
  ];
  for (const [end, name] of ends) table.add(end, name);
  t.equal(table.find('fd00::2', 53), 'port');
  t.equal(table.find('fd00::2', 54), 'any');
  for (const [end, name] of ends) {
    t.equal(table.find('10.0.0.2', 53), name);
    t.ok(table.has(end));
    table.remove(end);
    t.notOk(table.has(end));
  }
  t.equal(table.find('10.0.0.2', 53), undefined);
});

t.test('nobody gets what is for port 0', async (t) => {
  const table = new EndTable<string>();
  table.add({ address: undefined, port: undefined }, 'any');
  t.equal(table.find('10.0.0.2', 0), undefined);
  t.equal(table.find('10.0.0.2', 65_535), 'any');
});

t.test('any ends that come and go: whoever is found listens there, and is found while anybody does', async () => {
  const address = fc.constantFrom(undefined, '0.0.0.0', '10.0.0.1', '10.0.0.2', 'fd00::1');
  const end = fc.record({ address, port: fc.constantFrom(undefined, 1, 2) });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), end), { maxLength: 40 }), (steps) => {
      const table = new EndTable<LocalEnd>();
      const there = new Map<string, LocalEnd>();
      for (const [adds, each] of steps) {
        const key = JSON.stringify(each);
        if (table.has(each) !== there.has(key)) throw new Error('has');
        if (adds && !there.has(key)) {
          table.add(each, each);
          there.set(key, each);
        } else if (!adds) {
          table.remove(each);
          there.delete(key);
        }
        const hears = ({ address: at, port: on }: LocalEnd, to: string, port: number): boolean =>
          (at === undefined || at === to || (at === '0.0.0.0' && !to.includes(':'))) && (on ?? port) === port;
        for (const to of ['10.0.0.1', '10.0.0.3', 'fd00::1']) {
          const found = table.find(to, 1);
          if (found && !hears(found, to, 1)) throw new Error('found one that does not listen');
          if (!found && [...there.values()].some((one) => hears(one, to, 1))) throw new Error('found nobody');
        }
        if (new Set(table.values()).size !== there.size) throw new Error('values');
      }
    }),
  );
});
