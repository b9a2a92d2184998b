import t from 'tap';
import { Boundaries } from '../../src/fake_tcp/boundaries.js';
import { Turns } from '../../src/fake_tcp/turns.js';
import { BOUNDARIES } from '../../src/policy.js';

const LARGEST = 1460;
/** Whoever asks may ask at once. */
const AT_ONCE = { take: (now: number): number => now };

/** Asks as often as it wants to, with a peer that was heard; the probes of each time. */
function askAll(boundaries: Boundaries): number {
  let asked = 0;
  for (let now = 0; now !== Infinity; asked++) {
    const { probes, next } = boundaries.check(now, 1, AT_ONCE);
    if (next === Infinity) break;
    t.equal(probes.length, 2);
    now = next;
  }
  return asked;
}

t.test('pairs of both sizes are sent, as far before what is not acknowledged as the large ones reach', async (t) => {
  const { probes } = new Boundaries(LARGEST, false).check(0, 1, AT_ONCE);
  t.same(
    probes.map(({ size, span, pair }) => [size, span, pair]),
    [
      [LARGEST, 2 * LARGEST, true],
      [BOUNDARIES.small, 2 * LARGEST, true],
    ],
  );
  t.ok(probes.every(({ token }) => Boundaries.asked(token) && Boundaries.asked(token + 1)));
  t.notOk(Boundaries.asked(1), 'a probe of the path is another');
});

t.test('nothing is sent to a peer that was not heard yet, and it is looked after less and less', async (t) => {
  const boundaries = new Boundaries(LARGEST, false);
  let now = 0;
  let looks = 0;
  for (; now < 3_600_000; looks++) {
    const { probes, next } = boundaries.check(now, 0, AT_ONCE);
    t.same(probes, []);
    now = next;
  }
  t.ok(looks < 130, `${looks} looks in an hour`);
  t.equal(askAll(boundaries), BOUNDARIES.tries);
});

t.test('what comes as it left ends the questions; lost answers do not go on for ever', async (t) => {
  const boundaries = new Boundaries(LARGEST, false);
  const [large] = boundaries.check(0, 1, AT_ONCE).probes;
  t.notOk(boundaries.answer(large!.token, LARGEST));
  t.equal(boundaries.check(500, 1, AT_ONCE).probes.length, 2, 'one of two is not enough');
  t.notOk(boundaries.answer(large!.token + 1, LARGEST));
  t.same(boundaries.check(1000, 1, AT_ONCE), { probes: [], next: Infinity });
  t.equal(askAll(new Boundaries(LARGEST, false)), BOUNDARIES.tries);
});

t.test('another size, smaller or larger, is what a box has done that cuts or joins', async (t) => {
  for (const came of [LARGEST - 1, LARGEST + 1, 2 * LARGEST, 100]) {
    const boundaries = new Boundaries(LARGEST, false);
    const [large, small] = boundaries.check(0, 1, AT_ONCE).probes;
    t.ok(boundaries.answer(large!.token, came));
    t.ok(boundaries.answer(small!.token + 1, 2 * BOUNDARIES.small));
  }
});

t.test('whoever has to wait for his turn is told when it is, and asks then', async (t) => {
  const turns = new Turns(BOUNDARIES.perSecond);
  const apart = 1000 / BOUNDARIES.perSecond;
  const crowd = Array.from({ length: 10_000 }, () => new Boundaries(LARGEST, false));
  const next = crowd.map((each) => each.check(5, 1, turns).next);
  t.same(next.slice(1, 4), [5 + apart, 5 + 2 * apart, 5 + 3 * apart]);
  t.equal(crowd[0]!.check(5 + BOUNDARIES.wait, 1, AT_ONCE).probes.length, 2, 'the first has asked');
  // Those that are asked a moment too early keep their turns.
  t.same(crowd[3]!.check(next[3]! - 1, 1, turns), { probes: [], next: next[3] });
  t.equal(crowd[3]!.check(next[3]!, 1, turns).probes.length, 2);
  t.equal(turns.take(1e6), 1e6, 'once they have had theirs, nobody waits');
});

t.test('a proxy that made the handshake answers, and passes no probe on', async (t) => {
  const ask = (foreign: boolean, received: readonly number[], answers = 0): boolean => {
    const boundaries = new Boundaries(LARGEST, foreign);
    let recut = false;
    received.forEach((each, index) => {
      const step = boundaries.check(index * BOUNDARIES.wait, each, AT_ONCE);
      if (index === 0) for (let i = 0; i < answers; i++) boundaries.answer(step.probes[1]!.token, BOUNDARIES.small);
      recut ||= step.recut ?? false;
    });
    return recut;
  };
  t.ok(ask(true, [1, 5, 9, 13]));
  t.notOk(ask(false, [1, 5, 9, 13]), 'probes are lost for some other reason');
  t.notOk(ask(true, [1, 1, 1, 1]), 'the path is down');
  t.notOk(ask(true, [1, 5, 9, 13], 1), 'a box changes windows, and no more');
});
