import fc from 'fast-check';
import t from 'tap';
import { WindowedMax } from '../../../../src/netstack/tcp/congestion/windowed_max.js';

t.test('the greatest is kept for as long as it counts', async (t) => {
  const max = new WindowedMax(10);
  t.equal(max.value, 0);
  max.add(100, 0);
  for (let at = 1; at <= 10; at++) {
    max.add(50, at);
    t.equal(max.value, 100, `at ${at}`);
  }
  max.add(50, 11);
  t.equal(max.value, 50);
});

t.test('a greater one takes over at once, and all are forgotten behind silence', async (t) => {
  const max = new WindowedMax(10);
  max.add(100, 0);
  max.add(101, 1);
  t.equal(max.value, 101);
  max.add(7, 30);
  t.equal(max.value, 7);
});

t.test('while values fall, heirs are kept from each part of the window', async (t) => {
  const max = new WindowedMax(10);
  for (let at = 0; at <= 10; at++) max.add(100 - at, at);
  t.equal(max.value, 100);
  max.add(89, 11);
  t.equal(max.value, 97, 'of the second quarter');
  max.add(88, 12);
  max.add(87, 13);
  t.equal(max.value, 97);
  max.add(86, 14);
  t.equal(max.value, 94, 'of the second half');
});

t.test('it is at least the newest, at most the greatest of the window, and one of those that were given', async (t) => {
  const step = fc.record({ value: fc.integer({ min: 1, max: 1000 }), wait: fc.integer({ min: 0, max: 12 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const max = new WindowedMax(10);
      const given: { value: number; at: number }[] = [];
      let at = 0;
      for (const { value, wait } of steps) {
        at += wait;
        given.push({ value, at });
        max.add(value, at);
        const inWindow = given.filter((one) => at - one.at <= 10).map((one) => one.value);
        t.ok(max.value >= value && max.value <= Math.max(...inWindow) && inWindow.includes(max.value));
      }
    }),
  );
});
