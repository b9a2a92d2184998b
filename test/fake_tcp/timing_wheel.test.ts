import fc from 'fast-check';
import t from 'tap';
import { TimingWheel } from '../../src/fake_tcp/timing_wheel.js';

const INTERVAL = 250;

t.test('everything is taken once, in the interval of its time if `take` is called in it', async () => {
  const step = fc.record({ after: fc.nat(5000), late: fc.nat(3000) });
  fc.assert(
    fc.property(fc.nat(10_000), fc.array(step, { maxLength: 50 }), (start, steps) => {
      let now = start;
      const wheel = new TimingWheel<number>(INTERVAL, now);
      const waiting = new Set<number>();
      const round = (): void => {
        for (const at of wheel.take(now)) {
          if (!waiting.delete(at)) throw new Error(`${at} comes twice`);
          if (Math.floor(at / INTERVAL) > now / INTERVAL) throw new Error(`${at} comes at ${now}`);
        }
        for (const at of waiting) if (at + INTERVAL <= now) throw new Error(`${at} does not come at ${now}`);
      };
      for (const [index, { after, late }] of steps.entries()) {
        const at = now + after + index / 100; // no two are the same
        waiting.add(at);
        wheel.add(at, at);
        now += late;
        round();
      }
      for (now += 10_000; waiting.size > 0;) round();
    }),
  );
});

t.test('what is added while others are taken waits for the next time, and for ever if that is its time', async (t) => {
  const wheel = new TimingWheel<string>(INTERVAL, 0);
  wheel.add('first', 0);
  wheel.add('never', Infinity);
  const taken: string[] = [];
  for (const each of wheel.take(1000)) {
    taken.push(each);
    wheel.add('again', 0);
  }
  t.same(taken, ['first']);
  t.same([...wheel.take(1250)], ['again']);
  t.same([...wheel.take(1e6)], []);
});
