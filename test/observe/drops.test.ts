import t from 'tap';
import { DropWatch } from '../../src/observe/drops.js';

t.test('a reason is told when it is new, and again when it has grown tenfold', async (t) => {
  const watch = new DropWatch();
  t.same(watch.look({}), []);
  t.match(watch.look({ badChecksum: 3 }), [
    /^3 dropped \(badChecksum\): segments came with a wrong checksum: something on the path damages them; ./,
  ]);
  t.same(watch.look({ badChecksum: 3 }), [], 'no news');
  t.same(watch.look({ badChecksum: 29 }), [], 'a little more');
  t.match(watch.look({ badChecksum: 30 }), [/^30 dropped \(badChecksum\)/]);
  t.same(watch.look({ badChecksum: 299 }), []);
  t.match(watch.look({ badChecksum: 300 }), [/^300 dropped/]);
});

t.test('each reason is told by itself', async (t) => {
  const watch = new DropWatch();
  t.match(watch.look({ badChecksum: 5 }), [/badChecksum/]);
  t.match(watch.look({ badChecksum: 5, oversize: 1 }), [/^1 dropped \(oversize\): .*MTU/]);
  t.match(watch.look({ badChecksum: 50, oversize: 10 }), [/badChecksum/, /oversize/]);
});

t.test('what nobody can do anything about is not told', async (t) => {
  t.same(new DropWatch().look({ noSuchReason: 1e6 }), []);
});
