import t from 'tap';
import { Liveness, PROBES, PROBE_WAIT } from '../../src/stack/liveness.js';

const OPTIONS = { keepalive: 25_000, silence: 5000 };

/** Checks as often as the stack does until something else than `fine` comes out; when that was. */
function next(liveness: Liveness, from: number, signs: { received: number; sent: number }): [string, number] {
  for (let now = from; now < from + 100_000; now = liveness.nextCheck) {
    const finding = liveness.check(now, signs);
    if (finding !== 'fine') return [finding, now - from];
  }
  return ['fine', Infinity];
}

t.test('a peer that is sent to and says nothing is probed after 5 s, and dead after three probes', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 7, sent: 0 });
  t.same(next(liveness, 0, { received: 7, sent: 3 }), ['probe', 5000]);
  for (let i = 1; i < PROBES; i++) t.equal(liveness.check(5000 + i * PROBE_WAIT, { received: 7, sent: 3 + i }), 'probe');
  t.equal(liveness.check(5000 + PROBES * PROBE_WAIT, { received: 7, sent: 9 }), 'dead');
});

t.test('an answer to the last probe saves it, and the waiting begins anew', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 0, sent: 0 });
  t.same(next(liveness, 0, { received: 0, sent: 1 }), ['probe', 5000]);
  for (let i = 1; i < PROBES; i++) liveness.check(5000 + i * PROBE_WAIT, { received: 0, sent: 1 });
  t.equal(liveness.check(5000 + PROBES * PROBE_WAIT, { received: 1, sent: 1 }), 'fine');
  t.same(next(liveness, 7000, { received: 1, sent: 2 })[0], 'probe');
});

t.test('a datagram that leaves just after the peer was heard counts as unanswered', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 0, sent: 0 });
  t.equal(liveness.check(1000, { received: 1, sent: 1 }), 'fine');
  t.same(next(liveness, 1000, { received: 1, sent: 1 }), ['probe', 4500], 'heard half a second before the check');
});

t.test('what we send is no sign of life', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 0, sent: 0 });
  let sent = 0;
  const findings = Array.from({ length: 7 }, (_, second) => liveness.check(second * 1000, { received: 0, sent: sent++ }));
  t.same(findings, ['fine', 'fine', 'fine', 'fine', 'fine', 'probe', 'probe']);
});

t.test('an idle peer is probed for the sake of the routers', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 4, sent: 4 });
  t.same(next(liveness, 0, { received: 4, sent: 4 }), ['probe', 25_000]);
  t.equal(liveness.check(25_500, { received: 5, sent: 4 }), 'fine');
  t.same(next(liveness, 25_500, { received: 5, sent: 4 })[0], 'probe');
});

t.test('an idle peer is checked seldom, and yet probed within 5 s of the first datagram that it leaves unanswered', async (t) => {
  const liveness = new Liveness(OPTIONS, 0, { received: 4, sent: 4 });
  const checks: number[] = [];
  for (let now = 0; now < 25_000; now = liveness.nextCheck) {
    t.equal(liveness.check(now, { received: 4, sent: 4 }), 'fine');
    checks.push(now);
  }
  t.same(checks, [0, 1000, 2000, 3000, 4000, 5000, 9000, 13_000, 17_000, 21_000]);
  t.equal(liveness.nextCheck, 25_000, 'when its keepalive is due');
  t.equal(liveness.check(25_000, { received: 4, sent: 4 }), 'probe');
  liveness.check(25_500, { received: 5, sent: 4 });
  liveness.check(31_000, { received: 5, sent: 4 });
  t.equal(liveness.nextCheck, 35_000);
  t.equal(liveness.check(35_000, { received: 5, sent: 5 }), 'probe');
});

t.test('without keepalive an idle peer is left alone', async (t) => {
  const liveness = new Liveness({ keepalive: Infinity, silence: 5000 }, 0, { received: 0, sent: 0 });
  t.same(next(liveness, 0, { received: 0, sent: 0 }), ['fine', Infinity]);
  t.same(next(liveness, 0, { received: 0, sent: 1 })[0], 'probe');
});
