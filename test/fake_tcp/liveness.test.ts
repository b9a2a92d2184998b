import t from 'tap';
import { Liveness, type Signs } from '../../src/fake_tcp/liveness.js';
import { LIVENESS } from '../../src/policy.js';

const { probes, probeWait } = LIVENESS;

const OPTIONS = { keepalive: 25_000, deadAfter: 5000 };

function signs(received: number, sent: number, acknowledged = false): Signs {
  return { received, sent, acknowledged };
}

/** Checks as often as the stack does until something else than `fine` comes out; when that was. */
function next(liveness: Liveness, from: number, what: Signs): [string, number] {
  for (let now = from; now < from + 100_000; now = liveness.nextCheck) {
    const finding = liveness.check(now, what);
    if (finding !== 'fine') return [finding, now - from];
  }
  return ['fine', Infinity];
}

t.test('a peer that is sent to and says nothing is probed after 5 s, and dead after three probes', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, signs(7, 0));
  t.same(next(liveness, 0, signs(7, 3)), ['probe', 5000]);
  for (let i = 1; i < probes; i++) t.equal(liveness.check(5000 + i * probeWait, signs(7, 3 + i)), 'probe');
  t.equal(liveness.check(5000 + probes * probeWait, signs(7, 9)), 'dead');
});

t.test('an answer to the last probe saves it, and the waiting begins anew', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, signs(0, 0));
  t.same(next(liveness, 0, signs(0, 1)), ['probe', 5000]);
  for (let i = 1; i < probes; i++) liveness.check(5000 + i * probeWait, signs(0, 1));
  t.equal(liveness.check(5000 + probes * probeWait, signs(1, 1)), 'fine');
  t.same(next(liveness, 7000, signs(1, 2))[0], 'probe');
});

t.test('a datagram that leaves just after the peer was heard counts as unanswered', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, signs(0, 0));
  t.equal(liveness.check(1000, signs(1, 1)), 'fine');
  t.same(next(liveness, 1000, signs(1, 1)), ['probe', 4500], 'heard half a second before the check');
});

t.test('what the peer has acknowledged was answered, and what it has not is asked for once', async (t) => {
  for (const acknowledged of [true, false]) {
    const liveness = new Liveness(OPTIONS, 0, signs(0, 0));
    t.equal(liveness.check(1000, signs(1, 1, acknowledged)), 'fine');
    const [finding, after] = next(liveness, 1000, signs(1, 1, acknowledged));
    t.same([finding, after], ['probe', acknowledged ? 24_500 : 4500]);
    const answered = 1000 + after + probeWait;
    t.equal(liveness.check(answered, signs(2, 1, acknowledged)), 'fine');
    t.ok(next(liveness, answered, signs(2, 1, acknowledged))[1] > 20_000, 'a lost datagram is not asked for again');
  }
});

t.test('what we send is no sign of life', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, signs(0, 0));
  let sent = 0;
  const findings = Array.from({ length: 7 }, (_, second) => liveness.check(second * 1000, signs(0, sent++)));
  t.same(findings, ['fine', 'fine', 'fine', 'fine', 'fine', 'probe', 'probe']);
});

t.test('an idle peer is probed for the sake of the routers', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, signs(4, 4));
  t.same(next(liveness, 0, signs(4, 4)), ['probe', 25_000]);
  t.equal(liveness.check(25_500, signs(5, 4)), 'fine');
  t.same(next(liveness, 25_500, signs(5, 4))[0], 'probe');
});

t.test(
  'an idle peer is checked seldom, and yet probed within 5 s of a datagram that it leaves unanswered',
  async (t) => {
    const liveness = new Liveness(OPTIONS, 0, signs(4, 4));
    const checks: number[] = [];
    for (let now = 0; now < 25_000; now = liveness.nextCheck) {
      t.equal(liveness.check(now, signs(4, 4)), 'fine');
      checks.push(now);
    }
    t.same(checks.slice(0, 3), [0, 500, 1000]);
    t.same(checks.slice(-5), [5000, 9500, 14_000, 18_500, 23_000]);
    t.equal(liveness.nextCheck, 25_000, 'when its keepalive is due');
    t.equal(liveness.check(25_000, signs(4, 4)), 'probe');
    liveness.check(25_500, signs(5, 4));
    liveness.check(31_000, signs(5, 4));
    t.equal(liveness.nextCheck, 35_500);
    t.equal(liveness.check(35_000, signs(5, 5)), 'probe');
  },
);

t.test('without keepalive an idle peer is left alone', async (t) => {
  const liveness = new Liveness({ keepalive: Infinity, deadAfter: 5000 }, 0, signs(0, 0));
  t.same(next(liveness, 0, signs(0, 0)), ['fine', Infinity]);
  t.same(next(liveness, 0, signs(0, 1))[0], 'probe');
});
