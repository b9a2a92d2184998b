import t from 'tap';
import type { CongestionControl } from '../../../../src/netstack/tcp/congestion/control.js';
import { Reno } from '../../../../src/netstack/tcp/congestion/reno.js';
import { AckClock, MSS } from './ack_clock.js';

/** A control that has left slow start with `segments` of window. */
function behindLoss(segments: number): { reno: CongestionControl; clock: AckClock } {
  const reno: CongestionControl = new Reno(MSS);
  const clock = new AckClock(reno, 100);
  while (reno.window < 2 * segments * MSS) clock.ack(Math.min(10 * MSS, 2 * segments * MSS - reno.window), 1);
  clock.ack(0, 1, { priorInFlight: reno.window, acknowledged: 0 });
  reno.lossFound(reno.window, clock.now);
  reno.recovered(clock.now);
  return { reno, clock };
}

t.test('slow start doubles each round trip, whether segments are acknowledged one by one or 45 at once', async (t) => {
  for (const piece of [MSS, 2 * MSS, 45 * MSS]) {
    const reno = new Reno(MSS);
    const clock = new AckClock(reno, 100);
    for (let i = 0; i < 5; i++) clock.round(piece);
    t.equal(reno.window, 320 * MSS);
  }
});

t.test('a loss halves it, once recovery is over', async (t) => {
  const { reno, clock } = behindLoss(50);
  t.equal(reno.window, 50 * MSS);
  reno.lossFound(reno.window, clock.now);
  t.equal(reno.threshold, 25 * MSS);
  t.equal(reno.window, 50 * MSS, "the flight is PRR's to bring down");
  clock.ack(5 * MSS, 10, { inRecovery: true });
  t.equal(reno.window, 50 * MSS, 'nothing grows meanwhile');
  reno.recovered(clock.now);
  t.equal(reno.window, 25 * MSS);
  reno.recovered(clock.now);
  t.equal(reno.window, 25 * MSS);
});

t.test('congestion avoidance brings a segment a round trip', async (t) => {
  for (const piece of [MSS, 7 * MSS]) {
    const { reno, clock } = behindLoss(40);
    for (let i = 1; i <= 10; i++) {
      clock.round(piece);
      t.ok(Math.abs(reno.window - (40 + i) * MSS) <= MSS, `${reno.window} behind ${i} round trips`);
    }
  }
});

t.test('what slow start leaves of an ACK counts for congestion avoidance', async (t) => {
  const { reno, clock } = behindLoss(20);
  reno.timedOut(20 * MSS, clock.now);
  t.match(reno, { window: MSS, threshold: 10 * MSS });
  clock.ack(9 * MSS + 10 * MSS, 100, { priorInFlight: 20 * MSS });
  t.equal(reno.window, 11 * MSS, '9 to the threshold, 10 for one more');
});

t.test('a time-out lowers the threshold once, however often the same segment is waited for', async (t) => {
  const { reno, clock } = behindLoss(20);
  for (let i = 0; i < 4; i++) reno.timedOut(20 * MSS, clock.now);
  t.match(reno, { window: MSS, threshold: 10 * MSS });
  reno.recovered(clock.now);
  t.equal(reno.window, MSS, 'slow start goes on');
  clock.ack(MSS, 100);
  t.equal(reno.window, 2 * MSS);
  reno.timedOut(2 * MSS, clock.now);
  t.match(reno, { window: MSS, threshold: 2 * MSS }, 'this one is new');
});

t.test('a time-out within recovery leaves the threshold as it is', async (t) => {
  const { reno, clock } = behindLoss(20);
  reno.lossFound(20 * MSS, clock.now);
  reno.timedOut(20 * MSS, clock.now);
  t.match(reno, { window: MSS, threshold: 10 * MSS });
  reno.undo(clock.now);
  t.match(reno, { window: 20 * MSS, threshold: 20 * MSS }, 'and both are undone together');
});

t.test('undo restores window and threshold, once', async (t) => {
  const { reno, clock } = behindLoss(20);
  reno.undo(clock.now);
  t.match(reno, { window: 40 * MSS, threshold: Infinity });
  reno.lossFound(reno.window, clock.now);
  reno.recovered(clock.now);
  reno.undo(clock.now);
  t.match(reno, { window: 40 * MSS, threshold: Infinity });
  reno.undo(clock.now);
  t.match(reno, { window: 40 * MSS, threshold: Infinity });
});

t.test('a window that is not used does not grow, but slow start may double what is in flight', async (t) => {
  const { reno, clock } = behindLoss(20);
  for (let i = 0; i < 50; i++) clock.round(MSS, { priorInFlight: 10 * MSS, isWindowLimited: false });
  t.equal(reno.window, 20 * MSS);
  const starting = new Reno(MSS);
  const slow = new AckClock(starting, 100);
  for (let i = 0; i < 50; i++) slow.round(MSS, { priorInFlight: 8 * MSS, isWindowLimited: false });
  t.equal(starting.window, 16 * MSS);
});

t.test('what is left behind a loss is half of what was in use', async (t) => {
  const { reno, clock } = behindLoss(100);
  for (let i = 0; i < 3; i++) clock.round(MSS, { priorInFlight: 29 * MSS, isWindowLimited: false });
  reno.lossFound(29 * MSS, clock.now);
  t.equal(reno.threshold, 15 * MSS);
});

t.test('ACKs that acknowledge nothing in order grow nothing', async (t) => {
  const reno = new Reno(MSS);
  const clock = new AckClock(reno, 100);
  for (let i = 0; i < 5; i++) clock.ack(MSS, 1, { acknowledged: 0 });
  t.equal(reno.window, 10 * MSS);
  clock.ack(0, 1, { acknowledged: 6 * MSS });
  t.equal(reno.window, 10 * MSS, 'nor does the ACK that closes the hole bring them again');
});

t.test(
  'behind silence it restarts with the initial window, and slow start leads back near to where it was',
  async (t) => {
    const { reno, clock } = behindLoss(40);
    reno.idleEnded(clock.now + 5000);
    t.match(reno, { window: 10 * MSS, threshold: 40 * MSS });
    const small = new Reno(MSS);
    small.timedOut();
    small.idleEnded(0);
    t.equal(small.window, MSS, 'a smaller one stays small');
  },
);

t.test('the size of segments may change', async (t) => {
  const reno: CongestionControl = new Reno(1448);
  reno.setSegmentSize(536);
  t.equal(reno.window, 5360, 'before anything was acknowledged the initial window is made anew');
  reno.setSegmentSize(1448);
  t.equal(reno.window, 14_480);
  new AckClock(reno, 10).ack(1448, 10);
  reno.setSegmentSize(536);
  t.equal(reno.window, 15_928, 'later the bytes stay');
  reno.timedOut(0, 0);
  reno.setSegmentSize(1448);
  t.equal(reno.window, 1448, 'but one segment fits');
  const small: CongestionControl = new Reno(100);
  small.lossFound(0, 0);
  small.setSegmentSize(1448);
  small.recovered(0);
  t.equal(small.window, 2896, 'and two behind a loss');
});
