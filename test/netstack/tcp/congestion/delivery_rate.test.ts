import fc from 'fast-check';
import t from 'tap';
import { AckSample } from '../../../../src/netstack/tcp/congestion/control.js';
import { DeliveryRate, type RateStamp } from '../../../../src/netstack/tcp/congestion/delivery_rate.js';

const stamp = (): RateStamp => ({ sentAt: 0, firstSentAt: 0, deliveredAt: 0, delivered: 0, isAppLimited: false });

function sent(rate: DeliveryRate, now: number, inFlight: number): RateStamp {
  const run = stamp();
  rate.onSend(run, now, inFlight);
  return run;
}

function delivered(rate: DeliveryRate, run: RateStamp, bytes: number, now: number, leastRtt = 10): AckSample {
  const sample = new AckSample();
  rate.onDelivered(run, bytes, now);
  rate.finish(sample, now, leastRtt);
  return sample;
}

t.test('the rate is what was delivered since the run left, over the time that this took', async (t) => {
  const rate = new DeliveryRate();
  const first = sent(rate, 0, 0);
  const second = sent(rate, 1, 1000);
  const one = delivered(rate, first, 1000, 10);
  t.match(one, { delivered: 1000, rate: 100, priorDelivered: 0, totalDelivered: 1000, isAppLimited: false });
  t.equal(delivered(rate, second, 1000, 11).rate, 2000 / 11, 'both arrived since it left, 11 ms behind the first');
  const third = sent(rate, 11, 1000);
  t.match(delivered(rate, third, 1000, 23), { rate: 1000 / 12, priorDelivered: 2000, totalDelivered: 3000 });
});

t.test('ACKs that come late and pressed together do not make what follows look faster', async (t) => {
  const rate = new DeliveryRate();
  // 1000 bytes each 2 ms. The ACKs of the first ten come at 40 ms all at once, where the first was due at 20.
  const runs = Array.from({ length: 20 }, (_, i) => sent(rate, i * 2, i * 1000));
  for (const run of runs.slice(0, 10)) t.ok(delivered(rate, run, 1000, 40).rate <= 500);
  const next = sent(rate, 40, 10_000);
  for (const [i, run] of runs.slice(10).entries()) t.ok(delivered(rate, run, 1000, 40 + i * 2).rate <= 500);
  t.equal(delivered(rate, next, 1000, 60).rate, 500, 'within the 22 ms in which it was sent, not the 20 of the ACKs');
});

t.test('a run that is delivered in parts, and several at once: the newest tells', async (t) => {
  const rate = new DeliveryRate();
  const big = sent(rate, 0, 0);
  t.equal(delivered(rate, big, 4000, 10).rate, 400);
  t.equal(delivered(rate, big, 6000, 11).rate, 10_000 / 11);
  const old = sent(rate, 12, 0);
  const young = sent(rate, 14, 1000);
  rate.onDelivered(young, 1000, 26);
  rate.onDelivered(old, 1000, 26);
  const sample = new AckSample();
  rate.finish(sample, 26, 10);
  t.match(sample, { delivered: 2000, priorDelivered: 10_000, totalDelivered: 12_000, rate: 2000 / 14 });
});

t.test('an ACK that delivers nothing tells nothing, and neither does one within the least RTT', async (t) => {
  const rate = new DeliveryRate();
  const run = sent(rate, 0, 0);
  const sample = new AckSample();
  rate.finish(sample, 5, Infinity);
  t.match(sample, { delivered: 0, rate: 0, priorDelivered: 0, totalDelivered: 0 });
  t.equal(delivered(rate, run, 500, 10, Infinity).rate, 50, 'no RTT is known yet');
  const again = sent(rate, 10, 0);
  t.equal(delivered(rate, again, 500, 12).rate, 0, 'it was the first transmission that arrived');
  t.equal(delivered(rate, sent(rate, 13, 0), 500, 13, 0).rate, 0, 'no time has passed');
});

t.test('silence does not count as time of delivery', async (t) => {
  const rate = new DeliveryRate();
  delivered(rate, sent(rate, 0, 0), 1000, 10);
  t.equal(delivered(rate, sent(rate, 5000, 0), 1000, 5010).rate, 100);
});

t.test('what leaves while the application is the limit says so, until it has all arrived', async (t) => {
  const rate = new DeliveryRate();
  const before = sent(rate, 0, 0);
  rate.markAppLimited(1000);
  const within = sent(rate, 1, 1000);
  t.equal(delivered(rate, before, 1000, 10).isAppLimited, false);
  t.equal(delivered(rate, within, 1000, 11).isAppLimited, true);
  t.equal(delivered(rate, sent(rate, 12, 0), 1000, 22).isAppLimited, false, 'its mark was passed');
  const fresh = new DeliveryRate();
  fresh.markAppLimited(0);
  t.equal(sent(fresh, 0, 0).isAppLimited, true, 'before anything was sent, too');
});

t.test('a path is never said to be faster than it is', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ wait: fc.double({ min: 0, max: 5, noNaN: true }), lost: fc.boolean() }), { maxLength: 60 }),
      fc.integer({ min: 10, max: 2000 }),
      (segments, speed) => {
        const rate = new DeliveryRate();
        const arrivals: { run: RateStamp; at: number }[] = [];
        let now = 0;
        let freeAt = 0;
        let inFlight = 0;
        const hear = (until: number): void => {
          for (let next = arrivals[0]; next !== undefined && next.at <= until; next = arrivals[0]) {
            arrivals.shift();
            inFlight -= 1000;
            const found = delivered(rate, next.run, 1000, next.at).rate;
            // One segment more than fits the time: the first leaves at its end, and the last arrives at its.
            if (found * (1 - 1e-9) > speed * 2) throw new Error(`${found} of ${speed}`);
          }
        };
        for (const { wait, lost } of segments) {
          now += wait;
          hear(now);
          const run = sent(rate, now, inFlight);
          inFlight += 1000;
          freeAt = Math.max(freeAt, now) + 1000 / speed;
          if (lost) inFlight -= 1000;
          else arrivals.push({ run, at: freeAt + 10 });
        }
        hear(Infinity);
      },
    ),
  );
  t.pass();
});
