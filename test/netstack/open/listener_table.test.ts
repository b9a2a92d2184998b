import t from 'tap';
import { ListenerTable } from '../../../src/netstack/open/listener_table.js';

t.test('an address goes before any address, and that before any port', async (t) => {
  const table = new ListenerTable<string>();
  t.equal(table.find('10.0.0.2', 80), undefined);
  t.ok(table.add({ address: undefined, port: undefined }, 'all'));
  t.equal(table.find('10.0.0.2', 80), 'all');
  t.equal(table.find('fd00::2', 80), 'all');
  t.ok(table.add({ address: '10.0.0.2', port: undefined }, 'address'));
  t.equal(table.find('10.0.0.2', 80), 'address');
  t.ok(table.add({ address: undefined, port: 80 }, 'port'));
  t.equal(table.find('10.0.0.2', 80), 'port');
  t.ok(table.add({ address: '0.0.0.0', port: 80 }, 'port of IPv4'));
  t.equal(table.find('10.0.0.2', 80), 'port of IPv4');
  t.equal(table.find('fd00::2', 80), 'port');
  t.ok(table.add({ address: '10.0.0.2', port: 80 }, 'both'));
  t.equal(table.find('10.0.0.2', 80), 'both');
  t.equal(table.find('10.0.0.2', 81), 'address');
  t.equal(table.find('10.0.0.3', 81), 'all');
  t.equal(table.all.length, 5);
});

t.test('a place is taken once, and free again', async (t) => {
  const table = new ListenerTable<string>();
  t.ok(table.add({ address: '::', port: 80 }, 'one'));
  t.notOk(table.add({ address: undefined, port: 80 }, 'other'), 'both are any address');
  table.remove({ address: undefined, port: 80 });
  t.equal(table.find('10.0.0.2', 80), undefined);
  t.ok(table.add({ address: undefined, port: 80 }, 'other'));
});
