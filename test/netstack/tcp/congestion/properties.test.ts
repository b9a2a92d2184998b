/** What holds for each control, whatever it is told. */
import fc from 'fast-check';
import t from 'tap';
import { chooseCongestion, CONGESTION_NAMES } from '../../../../src/netstack/tcp/congestion/choose.js';
import { AckSample, type CongestionControl } from '../../../../src/netstack/tcp/congestion/control.js';
import { MOST_WINDOW } from '../../../../src/netstack/tcp/congestion/window.js';

const bytes = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 2 ** 30 }));
const time = fc.oneof(fc.constant(0), fc.double({ min: 0.001, max: 500, noNaN: true }), fc.constant(30_000));

const ack = fc.record({
  kind: fc.constant('ack' as const),
  wait: time,
  delivered: bytes,
  lost: bytes,
  flight: bytes,
  rtt: time,
  rate: fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1e9, noNaN: true })),
  inOrder: fc.boolean(),
  isAppLimited: fc.boolean(),
  isWindowLimited: fc.boolean(),
  inRecovery: fc.boolean(),
  age: bytes,
});
const call = fc.record({
  kind: fc.constantFrom('loss', 'recovered', 'timeout', 'undo', 'idle', 'size'),
  wait: time,
  flight: bytes,
  size: fc.integer({ min: 64, max: 9000 }),
});
const story = fc.array(fc.oneof({ weight: 5, arbitrary: ack }, { weight: 2, arbitrary: call }), { maxLength: 80 });
type Story = typeof story extends fc.Arbitrary<infer S> ? S : never;

/** Tells a control a story; `check` is asked behind each line. */
function tell(control: CongestionControl, size: number, lines: Story, check: (segment: number) => void): void {
  const sample = new AckSample();
  let segment = size;
  let now = 0;
  let total = 0;
  for (const line of lines) {
    now += line.wait;
    if (line.kind === 'ack') {
      total += line.delivered;
      sample.now = now;
      sample.delivered = line.delivered;
      sample.acknowledged = line.inOrder ? line.delivered : 0;
      sample.lost = line.lost;
      sample.priorInFlight = line.flight + line.delivered;
      sample.inFlight = line.flight;
      sample.rtt = line.rtt;
      sample.rate = line.rate;
      sample.isAppLimited = line.isAppLimited;
      sample.isWindowLimited = line.isWindowLimited;
      sample.inRecovery = line.inRecovery;
      sample.totalDelivered = total;
      sample.priorDelivered = Math.max(total - line.age, 0);
      control.acknowledged(sample);
    } else if (line.kind === 'loss') control.lossFound(line.flight, now);
    else if (line.kind === 'recovered') control.recovered(now);
    else if (line.kind === 'timeout') control.timedOut(line.flight, now);
    else if (line.kind === 'undo') control.undo(now);
    else if (line.kind === 'idle') control.idleEnded(now);
    else control.setSegmentSize((segment = line.size));
    check(segment);
  }
}

for (const name of CONGESTION_NAMES) {
  const make = chooseCongestion(name);

  t.test(`${name}: the window is whole bytes, a segment at least, and no more than TCP can announce`, async (t) => {
    fc.assert(
      fc.property(fc.integer({ min: 64, max: 9000 }), fc.integer(), story, (size, chance, lines) => {
        const control = make(size, chance);
        tell(control, size, lines, (segment) => {
          const { window, threshold, pacingRate } = control;
          const isRight = Number.isInteger(window) && window >= segment && window <= MOST_WINDOW + 2 * segment;
          if (!isRight) throw new Error(`window ${window} of segments of ${segment}`);
          if (!(threshold > 0)) throw new Error(`threshold ${threshold}`);
          if (!(pacingRate > 0)) throw new Error(`pacing rate ${pacingRate}`);
        });
      }),
      { numRuns: 500 },
    );
    t.pass();
  });

  t.test(`${name}: the same story has the same end`, async (t) => {
    fc.assert(
      fc.property(fc.integer(), story, (chance, lines) => {
        const ends = [make(1448, chance), make(1448, chance)].map((control) => {
          tell(control, 1448, lines, () => {});
          return [control.window, control.threshold, control.pacingRate];
        });
        t.same(ends[0], ends[1]);
      }),
      { numRuns: 50 },
    );
  });
}

t.test('a loss never leaves Reno or CUBIC more than they had, nor less than two segments of threshold', async (t) => {
  for (const name of ['reno', 'cubic'] as const) {
    fc.assert(
      fc.property(story, bytes, (lines, flight) => {
        const control = chooseCongestion(name)(1448, 0);
        tell(control, 1448, [...lines.filter(({ kind }) => kind !== 'size')], () => {});
        const before = Math.max(control.window, 2 * 1448);
        control.lossFound(flight, 1e9);
        control.recovered(1e9);
        return control.window <= before && control.threshold >= 2 * 1448;
      }),
    );
  }
  t.pass();
});
