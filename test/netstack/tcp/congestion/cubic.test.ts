import t from 'tap';
import { Cubic } from '../../../../src/netstack/tcp/congestion/cubic.js';
import type { CongestionControl } from '../../../../src/netstack/tcp/congestion/control.js';
import { AckClock, MSS } from './ack_clock.js';

const C = 0.4;
const BETA = 0.7;

/** RFC 9438 figure 1 and 2: segments at `seconds` into an epoch that began with `beta * most` segments. */
function formula(seconds: number, most: number, begin = BETA * most): number {
  const k = Math.cbrt((most - begin) / C);
  return C * (seconds - k) ** 3 + most;
}

/** A control whose window was `segments` when its first loss was found; recovery is over. */
function behindLoss(segments: number, rtt: number): { cubic: CongestionControl; clock: AckClock } {
  const cubic: CongestionControl = new Cubic(MSS);
  const clock = new AckClock(cubic, rtt);
  while (cubic.window < segments * MSS) clock.ack(Math.min(10 * MSS, segments * MSS - cubic.window), 0.1);
  clock.ack(0, 0.1, { priorInFlight: segments * MSS, acknowledged: 0 });
  cubic.lossFound(cubic.window, clock.now);
  cubic.recovered(clock.now);
  return { cubic, clock };
}

/** Windows in segments, `step` seconds apart. */
function windows(clock: AckClock, step: number, count: number): number[] {
  const begin = clock.now;
  return Array.from({ length: count }, (_, i) => {
    clock.runUntil(begin + (i + 1) * step * 1000, 10 * MSS);
    return clock.control.window / MSS;
  });
}

t.test('a loss leaves 0.7 of the window', async (t) => {
  const { cubic } = behindLoss(1000, 100);
  t.match(cubic, { window: 700 * MSS, threshold: 700 * MSS });
});

t.test("the window follows the RFC's curve: concave up to the old window, convex beyond", async (t) => {
  const { clock } = behindLoss(1000, 100);
  const found = windows(clock, 1, 18);
  for (const [i, window] of found.entries()) {
    const expected = formula(i + 1, 1000);
    t.ok(Math.abs(window / expected - 1) < 0.01, `${window} of ${expected.toFixed(1)} at ${i + 1} s`);
  }
  const steps = found.slice(1).map((window, i) => window - found[i]!);
  const k = Math.cbrt(300 / C);
  for (let i = 0; i + 1 < steps.length; i++) {
    const middle = i + 2;
    if (middle < k - 1) t.ok(steps[i + 1]! < steps[i]!, `concave at ${middle} s`);
    if (middle > k + 1) t.ok(steps[i + 1]! > steps[i]!, `convex at ${middle} s`);
  }
});

t.test('a merged ACK of 45 segments leads along the same curve', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  const begin = clock.now;
  clock.runUntil(begin + 5000, 45 * MSS);
  t.ok(Math.abs(cubic.window / MSS / formula(5, 1000) - 1) < 0.01, `${cubic.window}`);
});

t.test('where Reno is faster it grows as Reno does: on average as much, from the less that it gives up', async (t) => {
  const { clock } = behindLoss(40, 10);
  // 12 segments back at 3 * 0.3 / 1.7 a round trip, then one a round trip.
  const alpha = (3 * (1 - BETA)) / (1 + BETA);
  const back = 12 / alpha;
  for (const rounds of [5, 10, 20, 40, 60]) {
    clock.runUntil(rounds * 10 + (clock.now % 10), MSS);
    const expected = rounds < back ? 28 + rounds * alpha : 40 + (rounds - back);
    const window = clock.control.window / MSS;
    t.ok(Math.abs(window - expected) < 1.5, `${window} of ${expected.toFixed(1)} behind ${rounds} round trips`);
    t.ok(window > formula((rounds * 10) / 1000, 40), 'the curve alone would be lower');
  }
});

t.test('it grows by at most half a round trip', async (t) => {
  // Ten minutes on a slow path: the curve is far above the window when ACKs come again.
  const { cubic, clock } = behindLoss(100, 100);
  clock.round();
  clock.now += 600_000;
  const before = cubic.window;
  clock.round();
  t.ok(cubic.window > before * 1.3 && cubic.window < before * 1.65, `${before} to ${cubic.window}`);
});

t.test('fast convergence: a flow that is stopped below its old window makes room', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  windows(clock, 1, 3);
  const window = cubic.window / MSS;
  t.ok(window < 950);
  cubic.lossFound(cubic.window, clock.now);
  cubic.recovered(clock.now);
  const plateau = (window * (1 + BETA)) / 2;
  const found = windows(clock, 1, 5);
  for (const [i, segments] of found.entries()) {
    const expected = formula(i + 1, plateau, BETA * window);
    t.ok(Math.abs(segments / expected - 1) < 0.01, `${segments} of ${expected.toFixed(1)} at ${i + 1} s`);
  }
});

t.test('behind a time-out slow start leads to 0.7 of it, and the curve begins flat there', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  cubic.undo(clock.now);
  cubic.timedOut(1000 * MSS, clock.now);
  t.match(cubic, { window: MSS, threshold: 700 * MSS });
  while (cubic.window < 700 * MSS) clock.round(10 * MSS);
  const begin = clock.now;
  for (const seconds of [1, 3, 5, 7]) {
    clock.runUntil(begin + seconds * 1000, 10 * MSS);
    const reno = 700 + (seconds * 10 * 0.9) / 1.7;
    const expected = Math.max(700 + C * seconds ** 3, reno);
    t.ok(Math.abs(cubic.window / MSS / expected - 1) < 0.01, `${cubic.window} at ${seconds} s, ${expected}`);
  }
});

t.test('undo restores window, threshold and curve', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  const twin = behindLoss(1000, 100);
  // Beyond the old window: a curve that began here would be flat.
  windows(clock, 1, 12);
  windows(twin.clock, 1, 12);
  const { window, threshold } = cubic;
  cubic.lossFound(window, clock.now);
  clock.ack(MSS, 1, { inRecovery: true });
  cubic.recovered(clock.now);
  t.ok(cubic.window < window);
  cubic.undo(clock.now);
  t.equal(cubic.window, window);
  t.ok(cubic.threshold >= threshold);
  cubic.timedOut(window, clock.now);
  cubic.undo(clock.now);
  t.equal(cubic.window, window);
  t.ok(cubic.threshold >= threshold);
  const [found, expected] = [windows(clock, 1, 5), windows(twin.clock, 1, 5)];
  for (const [i, segments] of found.entries()) t.ok(Math.abs(segments / expected[i]! - 1) < 0.01, `${i + 1} s later`);
});

t.test('undo restores the curve when another has begun since', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  windows(clock, 1, 4);
  cubic.lossFound(cubic.window, clock.now);
  cubic.recovered(clock.now);
  windows(clock, 1, 2);
  cubic.undo(clock.now);
  for (const [i, segments] of windows(clock, 1, 6).entries()) {
    const expected = formula(7 + i, 1000);
    t.ok(Math.abs(segments / expected - 1) < 0.01, `${segments} of ${expected.toFixed(1)} at ${7 + i} s`);
  }
});

t.test('undo restores the old window, below which another loss makes room', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  windows(clock, 1, 3);
  for (const isWrong of [true, false]) {
    cubic.lossFound(cubic.window, clock.now);
    if (isWrong) cubic.undo(clock.now);
  }
  const window = cubic.threshold / MSS / BETA;
  cubic.recovered(clock.now);
  windows(clock, 1, 3);
  const expected = formula(3, (window * (1 + BETA)) / 2, BETA * window);
  t.ok(Math.abs(cubic.window / MSS / expected - 1) < 0.01, `${cubic.window} of ${expected}`);
});

t.test('undo restores what Reno would have', async (t) => {
  const { cubic, clock } = behindLoss(40, 10);
  const alpha = (3 * (1 - BETA)) / (1 + BETA);
  for (let i = 0; i < 10; i++) clock.round();
  cubic.lossFound(cubic.window, clock.now);
  cubic.recovered(clock.now);
  for (let i = 0; i < 5; i++) clock.round();
  cubic.undo(clock.now);
  for (let i = 0; i < 10; i++) clock.round();
  const expected = 28 + 20 * alpha;
  t.ok(Math.abs(cubic.window / MSS - expected) < 1, `${cubic.window} of ${expected}`);
});

t.test('time of an application that gives too little is no time of the curve', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  windows(clock, 1, 4);
  const before = cubic.window;
  for (let i = 0; i < 100; i++) clock.round(10 * MSS, { priorInFlight: 100 * MSS, isWindowLimited: false });
  t.equal(cubic.window, before, 'and the window stays');
  const [after] = windows(clock, 1, 1);
  t.ok(Math.abs(after! / formula(5, 1000) - 1) < 0.01, `${after} of ${formula(5, 1000)}`);
});

t.test('silence is no time of the curve', async (t) => {
  const { cubic, clock } = behindLoss(1000, 100);
  windows(clock, 1, 4);
  clock.now += 60_000;
  cubic.idleEnded(clock.now);
  t.equal(cubic.window, 10 * MSS);
  t.ok(cubic.threshold >= 700 * MSS && cubic.threshold < 1000 * MSS);
  const { threshold } = cubic;
  while (cubic.window < threshold) clock.round(10 * MSS);
  const behind = cubic.window;
  clock.round(10 * MSS);
  t.ok(cubic.window >= behind && cubic.window < 1.2 * behind, `${behind} to ${cubic.window}`);
});

t.test('slow start ends by delay, and what follows is flat at first', async (t) => {
  const cubic: CongestionControl = new Cubic(MSS);
  const clock = new AckClock(cubic, 40);
  // Ten ACKs a round, far enough apart not to be taken for a path that is full.
  const round = (rtt: number): void => {
    clock.round(Math.ceil(cubic.window / MSS / 10) * MSS, { rtt });
  };
  for (let i = 0; i < 4; i++) round(40);
  t.equal(cubic.window, 160 * MSS);
  let rtt = 50;
  while (cubic.threshold === Infinity) round((rtt += 6));
  t.ok(rtt < 50 + 6 * 10, `${rtt}`);
  const begin = cubic.window;
  round(rtt);
  t.ok(cubic.window - begin <= 2 * MSS, `${begin} to ${cubic.window}`);
});
