import fc from 'fast-check';
import t from 'tap';
import { NO_SLOT, TimingWheel, type Timed } from '../../src/fake_tcp/timing_wheel.js';

const INTERVAL = 250;

class Item implements Timed {
  slot: number = NO_SLOT;
  at = 0;
}

t.test('each item is taken once, in the interval of its last time if `take` is called in it', async () => {
  const step = fc.record({ which: fc.nat(9), after: fc.nat(5000), late: fc.nat(3000) });
  fc.assert(
    fc.property(fc.nat(10_000), fc.array(step, { maxLength: 50 }), (start, steps) => {
      let now = start;
      const wheel = new TimingWheel<Item>(INTERVAL, now);
      const items = Array.from({ length: 10 }, () => new Item());
      const waiting = new Set<Item>();
      const round = (): void => {
        for (const item of wheel.take(now)) {
          if (!waiting.delete(item)) throw new Error(`${item.at} comes twice`);
          if (Math.floor(item.at / INTERVAL) > now / INTERVAL) throw new Error(`${item.at} comes at ${now}`);
        }
        for (const { at } of waiting) if (at + INTERVAL <= now) throw new Error(`${at} does not come at ${now}`);
      };
      for (const { which, after, late } of steps) {
        const item = items[which]!;
        item.at = now + after;
        waiting.add(item);
        wheel.add(item, item.at);
        now += late;
        round();
      }
      for (now += 10_000; waiting.size > 0;) round();
    }),
  );
});

t.test('what is added while others are taken waits for the next time, and for ever if that is its time', async (t) => {
  const wheel = new TimingWheel<Item>(INTERVAL, 0);
  const [first, never] = [new Item(), new Item()];
  wheel.add(first, 0);
  wheel.add(never, 0);
  wheel.add(never, Infinity);
  let times = 0;
  for (const each of wheel.take(1000)) {
    t.equal(each, first);
    times++;
    wheel.add(each, 0);
  }
  t.equal(times, 1);
  t.same([...wheel.take(1250)], [first]);
  t.same([...wheel.take(1e6)], []);
});
