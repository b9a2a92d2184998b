import t from 'tap';
import { AckSample } from '../../../../src/netstack/tcp/congestion/control.js';
import { HyStart } from '../../../../src/netstack/tcp/congestion/hystart.js';

const sample = Object.assign(new AckSample(), { delivered: 1000 });

/** A round of `count` ACKs of 1000 bytes, `apart` milliseconds one from the other; what the last one grows by. */
function round(hystart: HyStart, rtt: number, count = 10, apart = 5): number {
  let growth = 0;
  sample.rtt = rtt;
  for (let i = 0; i < count; i++) {
    sample.now += apart;
    growth = hystart.growth(sample, i === 0);
  }
  return growth;
}

t.test('an RTT that stays the same is no reason to stop', async (t) => {
  const hystart = new HyStart();
  for (let i = 0; i < 20; i++) t.equal(round(hystart, 40 + (i % 3)), 1000);
  t.equal(hystart.isDone, false);
});

t.test('a rise of an eighth makes it slow, and five rounds of that end it', async (t) => {
  const hystart = new HyStart();
  round(hystart, 80);
  t.equal(round(hystart, 89), 1000);
  t.equal(round(hystart, 100.2), 250, 'an eighth above the round before');
  for (let i = 0; i < 4; i++) t.equal(round(hystart, 101 + i), 250);
  t.equal(hystart.isDone, false);
  t.equal(round(hystart, 106), 0);
  t.equal(hystart.isDone, true);
});

t.test('a second rise ends it at once', async (t) => {
  const hystart = new HyStart();
  round(hystart, 80);
  t.equal(round(hystart, 90), 250);
  t.equal(round(hystart, 100), 250);
  t.equal(hystart.isDone, false, 'less than a rise above the first');
  t.equal(round(hystart, 114), 0);
  t.equal(hystart.isDone, true);
  t.equal(round(hystart, 80), 0, 'for good');
});

t.test('the rise is 4 ms at least and 16 ms at most', async (t) => {
  for (const [rtt, rise] of [
    [1, 4],
    [40, 5],
    [400, 16],
  ] as const) {
    const below = new HyStart();
    round(below, rtt);
    t.equal(round(below, rtt + rise - 0.1), 1000, `${rtt} ms`);
    const above = new HyStart();
    round(above, rtt);
    t.equal(round(above, rtt + rise), 250, `${rtt} ms`);
  }
});

t.test('an RTT that falls again lets it go on as before', async (t) => {
  const hystart = new HyStart();
  round(hystart, 40);
  round(hystart, 60);
  t.equal(hystart.isConservative, true);
  t.equal(round(hystart, 50), 1000);
  t.equal(hystart.isConservative, false);
  t.equal(hystart.isDone, false);
});

t.test('fewer than eight samples a round, and ACKs without RTT, tell nothing', async (t) => {
  const hystart = new HyStart();
  round(hystart, 40);
  t.equal(round(hystart, 80, 7), 1000);
  t.equal(round(hystart, 0, 20), 1000);
});

t.test('ACKs without a break for half of an RTT make it slow, whatever the RTT is', async (t) => {
  const hystart = new HyStart();
  t.equal(round(hystart, 40, 20, 1), 1000, '19 ms');
  t.equal(round(hystart, 40, 21, 1), 250, '20 ms');
  for (let i = 0; i < 4; i++) t.equal(round(hystart, 30), 250, 'a smaller RTT does not speak against it');
  t.equal(round(hystart, 30), 0);
  const broken = new HyStart();
  t.equal(round(broken, 40, 50, 2.1), 1000, 'each breaks it');
  const near = new HyStart();
  t.equal(round(near, 1, 40, 0.1), 1000, 'and it is 4 ms long at least');
  t.equal(round(near, 1, 42, 0.1), 250);
});
