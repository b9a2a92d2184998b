import t from 'tap';
import { Liveness, type Signs } from '../../src/fake_tcp/liveness.js';
import { CONNECTION, DATA_PLANE, LIVENESS } from '../../src/policy.js';

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

t.test('an idle peer is checked when its keepalive is due, and soon after the next datagram', async (t) => {
  for (const [acknowledges, first, patience] of [
    [undefined, [0, 500, 1000, 2500], 5000],
    [{ roundTrip: 5 }, [0, 250, 500, 2000], 300],
  ] as const) {
    const liveness = new Liveness({ ...OPTIONS, ...(acknowledges ? { acknowledges } : {}) }, 0, signs(4, 4));
    const checks: number[] = [];
    const watched: number[] = [];
    for (let now = 0; now < 25_000; now = liveness.nextCheck) {
      t.equal(liveness.check(now, signs(now > 0 ? 5 : 4, 4)), 'fine');
      checks.push(now);
      if (liveness.isWatched) watched.push(now);
    }
    const begin = checks[1]! / 2; // when it was heard
    t.same(checks, [...first.slice(0, 3), ...checks.slice(3)]);
    t.same(watched, [checks[3]]);
    t.equal(checks.length, 5, checks.join(', '));
    t.equal(liveness.nextCheck, begin + 25_000, 'when its keepalive is due');
    // Others may look in between.
    t.equal(liveness.check(11_000, signs(5, 4)), 'fine');
    t.equal(liveness.nextCheck, begin + 25_000);
    liveness.awake(12_000);
    t.ok(liveness.nextCheck <= 12_500);
    t.same(next(liveness, 12_000, signs(5, 5)), ['probe', patience]);
  }
});

t.test('what is sent beside the check that wants to hear of it is found by the next one', async (t) => {
  const liveness = new Liveness({ ...OPTIONS, acknowledges: { roundTrip: 5 } }, 0, signs(4, 4));
  let now = 0;
  for (; !liveness.isWatched; now = liveness.nextCheck) t.equal(liveness.check(now, signs(4, 4)), 'fine');
  t.ok(now <= 3000, `${now} ms`);
  t.equal(liveness.check(now, signs(4, 5)), 'probe');
});

t.test('while an idle peer sends its keepalive counts from the last segment', async (t) => {
  const liveness = new Liveness({ ...OPTIONS, acknowledges: { roundTrip: 5 } }, 0, signs(4, 4));
  let now = 0;
  for (; now < 25_000; now = liveness.nextCheck) t.equal(liveness.check(now, signs(4, 4)), 'fine');
  // One came, at some time since the last check.
  t.equal(liveness.check(now, signs(5, 4)), 'fine');
  t.ok(next(liveness, now, signs(5, 4))[1] <= 25_000 - 20_000);
});

t.test('without keepalive an idle peer is left alone', async (t) => {
  const liveness = new Liveness({ keepalive: Infinity, deadAfter: 5000 }, 0, signs(0, 0));
  t.same(next(liveness, 0, signs(0, 0)), ['fine', Infinity]);
  t.same(next(liveness, 0, signs(0, 1))[0], 'probe');
});

const acknowledges = { roundTrip: 5 };
const FAST = { ...OPTIONS, acknowledges };

/** Checks until the end, with a server that answers a SYN or does not; what was found, and when. */
function silence(liveness: Liveness, from: number, what: Signs, answers: boolean): [number, string][] {
  const found: [number, string][] = [];
  for (let now = from; now < from + 60_000; now = liveness.nextCheck) {
    const finding = liveness.check(now, what);
    if (finding !== 'fine') found.push([now - from, finding]);
    if (finding === 'ask' && answers) liveness.answered();
    if (finding === 'dead') break;
  }
  return found;
}

t.test('a peer that acknowledges is given up after 2 s when its server answers a SYN and no probe', async (t) => {
  const found = silence(new Liveness(FAST, 0, signs(0, 0)), 0, signs(0, 3), true);
  t.same(found[0], [300, 'probe']);
  t.equal(found.filter(([, finding]) => finding === 'ask').length, 1);
  const [after, finding] = found.at(-1)!;
  t.equal(finding, 'dead');
  t.ok(after >= 1000 && after <= 2100, `${after} ms`);
});

t.test('where the server answers no SYN either, it is waited for as long as is allowed', async (t) => {
  const found = silence(new Liveness(FAST, 0, signs(0, 0)), 0, signs(0, 3), false);
  t.ok(found.filter(([, finding]) => finding === 'ask').length >= 4, 'it is asked again');
  const [after, finding] = found.at(-1)!;
  t.equal(finding, 'dead');
  t.ok(after >= 6500 && after <= 7000, `${after} ms`);
});

t.test('what the user allows is the most that is waited', async (t) => {
  const found = silence(new Liveness({ ...FAST, deadAfter: 200 }, 0, signs(0, 0)), 0, signs(0, 3), false);
  t.ok(found.at(-1)![0] <= 200 + (probes + 1) * probeWait, `${found.at(-1)![0]} ms`);
  t.equal(found.at(-1)![1], 'dead');
  const never = new Liveness({ keepalive: Infinity, deadAfter: Infinity, acknowledges }, 0, signs(0, 0));
  t.same(next(never, 0, signs(0, 1)), ['fine', Infinity]);
});

t.test('a long round trip is waited for', async (t) => {
  const far = { ...OPTIONS, acknowledges: { roundTrip: 600 } };
  const [[first]] = silence(new Liveness(far, 0, signs(0, 0)), 0, signs(0, 3), true) as [[number, string]];
  t.ok(first >= 800, `probed after ${first} ms`);
});

t.test('what was not looked at is no silence', async (t) => {
  const liveness = new Liveness(FAST, 0, signs(0, 0));
  t.equal(liveness.check(250, signs(1, 1)), 'fine');
  t.not(liveness.check(10_000, signs(1, 2)), 'dead', 'the process was suspended');
  const [after, finding] = silence(liveness, 10_000, signs(1, 2), true).at(-1)!;
  t.equal(finding, 'dead');
  t.ok(after >= 1000, `${after} ms`);
});

/** Numbers from 0 to 1, the same each time (Mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Path {
  /** Fraction that is lost, each way. */
  readonly loss: number;
  /** Milliseconds of a round trip. */
  readonly roundTrip: number;
  /** Milliseconds from one datagram to the next. */
  readonly interval: number;
  /** When the peer's host does nothing, milliseconds: what comes waits. */
  readonly suspended?: readonly [from: number, to: number];
}

/** What the stack needs of `Liveness`. */
type Rule = Pick<Liveness, 'check' | 'nextCheck' | 'answered' | 'isWatched' | 'awake'>;

/** One-way datagrams for a while to a peer that acknowledges as guise does. When it is given up, or Infinity. */
function givenUp(rule: Rule, path: Path, until: number, random: () => number): number {
  const events: [at: number, what: () => void][] = [];
  const later = (at: number, what: () => void): void => {
    let index = events.length;
    while (index > 0 && events[index - 1]![0] > at) index--;
    events.splice(index, 0, [at, what]);
  };
  let now = 0;
  let [received, sent, acknowledged, arrived, ackDue, challengedAt] = [0, 0, 0, 0, false, -Infinity];
  const pass = (what: () => void): void => {
    if (random() < path.loss) return;
    const at = now + path.roundTrip / 2;
    const [from, to] = path.suspended ?? [0, 0];
    later(at >= from && at < to ? to : at, what);
  };
  const acknowledge = (): void => {
    const has = arrived;
    pass(() => {
      received++;
      acknowledged = has;
    });
  };
  const onDatagram = (number: number): void => {
    arrived = Math.max(arrived, number);
    if (ackDue) return;
    ackDue = true;
    later(now + DATA_PLANE.ackInterval, () => {
      ackDue = false;
      acknowledge();
    });
  };
  const onProbe = (): void => {
    if (now - challengedAt < DATA_PLANE.challengeInterval) return;
    challengedAt = now;
    acknowledge();
  };
  let watched = false;
  const send = (): void => {
    const number = ++sent;
    pass(() => onDatagram(number));
    if (watched) {
      watched = false;
      rule.awake(now);
      lookLater();
    }
    later(now + path.interval, send);
  };
  let dead = Infinity;
  const look = (): void => {
    const finding = rule.check(now, { received, sent, acknowledged: acknowledged === sent });
    if (finding === 'dead') dead = now;
    if (finding === 'probe' || finding === 'ask') pass(onProbe);
    if (finding === 'ask') pass(() => pass(() => rule.answered()));
    watched ||= rule.isWatched;
    lookLater();
  };
  // There is one time: a new one takes the place of the last.
  let looks = 0;
  const lookLater = (): void => {
    const mine = ++looks;
    const at = Math.ceil(Math.max(rule.nextCheck, now + 1) / CONNECTION.roundInterval) * CONNECTION.roundInterval;
    later(at, () => {
      if (mine === looks) look();
    });
  };
  later(0, send);
  later(0, look);
  while (now < until && dead === Infinity) {
    const [at, what] = events.shift()!;
    now = at;
    what();
  }
  return dead;
}

const HOUR = 3_600_000;
const nobody = signs(0, 0);

t.test('an hour of 20 % loss is no silence, however often and far is sent', async (t) => {
  for (const roundTrip of [5, 100, 600]) {
    for (const interval of [20, 300, 1000, 7000, 60_000]) {
      const rule = new Liveness({ ...OPTIONS, acknowledges: { roundTrip } }, 0, nobody);
      const path = { loss: 0.2, roundTrip, interval };
      t.equal(
        givenUp(rule, path, HOUR, chance(interval + roundTrip)),
        Infinity,
        `${roundTrip} ms, each ${interval} ms`,
      );
    }
  }
});

t.test('the hour tells a rule that believes three probes, or one round trip', async (t) => {
  const naive = (probesOfRule: number): Rule => {
    const rule = new Liveness({ ...OPTIONS, acknowledges: { roundTrip: 5 } }, 0, nobody);
    let unanswered = 0;
    return {
      get nextCheck() {
        return rule.nextCheck;
      },
      get isWatched() {
        return rule.isWatched;
      },
      answered: () => rule.answered(),
      awake: (now) => rule.awake(now),
      check: (now, what) => {
        const finding = rule.check(now, what);
        unanswered = finding === 'fine' ? 0 : unanswered + 1;
        return unanswered > probesOfRule ? 'dead' : finding;
      },
    };
  };
  for (const count of [1, 3]) {
    t.not(givenUp(naive(count), { loss: 0.2, roundTrip: 5, interval: 1000 }, HOUR, chance(1)), Infinity, `${count}`);
  }
});

t.test('a peer whose host is suspended for 5 s is not given up, over any round trip', async (t) => {
  for (const roundTrip of [5, 600]) {
    const rule = new Liveness({ ...OPTIONS, acknowledges: { roundTrip } }, 0, nobody);
    const path = { loss: 0, roundTrip, interval: 50, suspended: [20_000, 25_000] as const };
    t.equal(givenUp(rule, path, 120_000, chance(1)), Infinity, `${roundTrip} ms`);
  }
});
