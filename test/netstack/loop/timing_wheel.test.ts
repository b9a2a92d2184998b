import fc from 'fast-check';
import t from 'tap';
import { TimingWheel } from '../../../src/netstack/loop/timing_wheel.js';

/** Takes out what is due, in order. */
function take(wheel: TimingWheel, now: number): number[] {
  const due: number[] = [];
  wheel.take(now, (id) => due.push(id));
  return due;
}

t.test('what is due comes once, at its time or up to 5 ms later', async (t) => {
  const wheel = new TimingWheel(1000.7);
  wheel.set(7, 1003);
  wheel.set(8, 1200);
  t.equal(wheel.earliest, 1003);
  t.same(take(wheel, 1002.9), []);
  t.same(take(wheel, 1003.1), [7]);
  t.same(take(wheel, 1199), []);
  t.same(take(wheel, 1205), [8]);
  t.same(take(wheel, 9000), []);
  t.equal(wheel.earliest, Infinity);
});

t.test('a number that is cleared, or whose time is Infinity, does not come', async (t) => {
  const wheel = new TimingWheel(0);
  wheel.set(1, 10);
  wheel.set(2, Infinity);
  wheel.clear(1);
  t.same(take(wheel, 100), []);
  wheel.set(1, 130);
  t.same(take(wheel, 140), [1]);
});

t.test('what is brought forward comes at the earlier time, and once', async (t) => {
  const wheel = new TimingWheel(0);
  wheel.set(3, 500);
  wheel.set(3, 100);
  t.same(take(wheel, 100), [3]);
  t.same(take(wheel, 1000), []);
});

t.test('what is moved to a later time is looked at in between: who owns it sets it anew', async (t) => {
  const wheel = new TimingWheel(0);
  wheel.set(3, 100);
  wheel.set(3, 900);
  t.same(take(wheel, 100), [3]);
});

t.test('whatever is set, it comes when it is due, with an owner who sets it anew', async () => {
  const call = fc.record({ id: fc.nat(40), after: fc.integer({ min: 0, max: 20_000 }), step: fc.nat(7000) });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 60 }), (calls) => {
      let now = 5.5;
      const wheel = new TimingWheel(now);
      const deadlines = new Map<number, number>();
      for (const { id, after, step } of calls) {
        deadlines.set(id, now + after);
        wheel.set(id, now + after);
        now += step;
        wheel.take(now, (due) => {
          const deadline = deadlines.get(due)!;
          if (deadline <= now) deadlines.delete(due);
          else wheel.set(due, deadline);
        });
        for (const deadline of deadlines.values()) {
          if (deadline <= now - 5) throw new Error(`${deadline} is late at ${now}`);
        }
        const first = Math.min(...deadlines.values());
        // Never later than somebody is due, but for the grain; what is far away is looked at in between.
        if (wheel.earliest > first + 5) throw new Error(`sleeps until ${wheel.earliest}, ${first} is due`);
      }
    }),
  );
});
