import t from 'tap';
import { headersOf, PathMtu, type PathMtuInit, type PathStep } from '../../src/fake_tcp/path_mtu.js';
import { PATH } from '../../src/policy.js';

const INIT: PathMtuInit = { family: 4, most: 1500, route: undefined, peerMss: undefined, probes: true };
const ROUTER = '192.0.2.1';
const MINUTE = 60_000;

/** Numbers from 0 to 1, the same ones for a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The largest packet of those that are searched among that a path of `mtu` carries. */
function found(mtu: number, { most, family }: PathMtuInit = INIT): number {
  const least = family === 4 ? PATH.least4 : PATH.least6;
  return [most, ...PATH.sizes, least].find((size) => size <= Math.min(mtu, most) && size >= least) ?? least;
}

interface PathInit {
  /** Bytes of the largest packet that arrives. */
  mtu: number;
  /** Which of the packets that leave and of the answers are lost besides. */
  loss?: number;
  /** Milliseconds of a round trip. */
  roundTrip?: number;
  fragmentsPass?: boolean;
  /** Routers say so when they drop a packet. */
  icmp?: boolean;
  /** The peer answers probes. */
  answers?: boolean;
  seed?: number;
}

/** A path, an application that sends over it, and a clock: what stands between the machine and the world. */
class Path {
  now = 1000;
  readonly machine: PathMtu;
  readonly init: Required<PathInit>;
  /** Sizes that `machine` has had, one after the other. */
  readonly sizes: number[];
  probes = 0;
  readonly #headers: number;
  readonly #random: () => number;
  #timer = Infinity;
  #events: { at: number; run: () => PathStep }[] = [];

  constructor(machine: PathMtuInit, init: PathInit) {
    this.init = { loss: 0, roundTrip: 40, fragmentsPass: true, icmp: false, answers: true, seed: 1, ...init };
    this.machine = new PathMtu(machine);
    this.#headers = headersOf(machine.family);
    this.#random = randomOf(this.init.seed);
    this.sizes = [this.machine.size];
  }

  /** `milliseconds` pass, in which a datagram of `payload` bytes leaves every `interval`. */
  run(milliseconds: number, payload: number, interval = 100): void {
    const end = this.now + milliseconds;
    let nextSend = this.now;
    for (;;) {
      const event = this.#events[0]?.at ?? Infinity;
      const next = Math.min(nextSend, event, this.#timer);
      if (next > end) break;
      this.now = next;
      if (next === event) {
        this.#do(this.#events.shift()!.run());
      } else if (next === this.#timer) {
        this.#timer = Infinity;
        this.#do(this.machine.timeout(this.now));
      } else {
        nextSend += interval;
        const { watched } = this.machine;
        this.#leave(Math.min(payload, this.machine.payload) + this.#headers, false);
        if (watched !== undefined && payload > watched) this.#do(this.machine.sent(payload, this.now));
      }
    }
    this.now = end;
  }

  #do({ probes = [], wait }: PathStep): void {
    if (wait !== undefined) this.#timer = this.now + wait;
    for (const { token, size, fragment } of probes) {
      this.probes++;
      const arrives = this.#leave(size + this.#headers, fragment === true);
      if (!arrives || !this.init.answers || this.#isLost()) continue;
      this.#at(() => this.machine.answer(token, size, this.now));
    }
    if (this.machine.size !== this.sizes.at(-1)) this.sizes.push(this.machine.size);
  }

  /** Whether a packet of this size, or its fragments, arrive. */
  #leave(size: number, fragment: boolean): boolean {
    const { mtu, icmp, fragmentsPass } = this.init;
    if (fragment && size > this.machine.size) return fragmentsPass && !this.#isLost() && !this.#isLost();
    if (size > mtu && icmp) this.#at(() => this.machine.tooBig(mtu, ROUTER, this.now));
    return size <= mtu && !this.#isLost();
  }

  #at(run: () => PathStep): void {
    this.#events.push({ at: this.now + this.init.roundTrip, run });
    this.#events.sort((a, b) => a.at - b.at);
  }

  #isLost(): boolean {
    return this.#random() < this.init.loss;
  }
}

t.test('the limit is the least of what is known at the start', async (t) => {
  const cases: [given: Partial<PathMtuInit>, size: number, reason: string][] = [
    [{}, 1500, 'own'],
    [{ route: 1500, peerMss: 1460 }, 1500, 'own'],
    [{ route: 9000, peerMss: 8960 }, 1500, 'own'],
    [{ route: 1492 }, 1492, 'route'],
    [{ route: 1492, peerMss: 1412 }, 1452, 'peer'],
    [{ route: 1400, peerMss: 1360 }, 1400, 'route'],
    [{ most: 1400, route: 1492, peerMss: 1460 }, 1400, 'own'],
    [{ family: 6, peerMss: 1380 }, 1440, 'peer'],
    [{ family: 6, route: 1280 }, 1280, 'route'],
    [{ most: 65_535, route: 65_535, peerMss: 65_495 }, 65_535, 'own'],
  ];
  for (const [given, size, reason] of cases) {
    const path = new PathMtu({ ...INIT, ...given });
    t.equal(path.size, size, JSON.stringify(given));
    t.equal(path.reason, reason);
    t.equal(path.router, undefined);
    t.equal(path.payload, size - (given.family === 6 ? 60 : 40));
    t.equal(path.fragments, given.family !== 6);
    t.equal(path.watched, (given.family === 6 ? PATH.least6 - 20 : PATH.least4) - 40);
  }
});

t.test('no limit is below 576 or 1280 bytes, but that of --mtu', async (t) => {
  for (const family of [4, 6] as const) {
    const least = family === 4 ? 576 : 1280;
    for (const [given, reason] of [
      [{ route: 400 }, 'route'],
      [{ peerMss: 100 }, 'peer'],
      [{ route: 1400, peerMss: 100 }, 'peer'],
    ] as const) {
      const path = new PathMtu({ ...INIT, family, ...given });
      t.equal(path.size, least);
      t.equal(path.reason, reason, JSON.stringify(given));
    }
    const path = new PathMtu({ ...INIT, family });
    path.tooBig(68, ROUTER, 0);
    t.equal(path.size, least);
    t.equal(path.reason, 'router');
    path.routeIs(100);
    t.equal(path.size, least);
  }
  const own = new PathMtu({ ...INIT, family: 6, most: 600, route: 100, peerMss: 10 });
  t.equal(own.size, 600);
  own.tooBig(100, ROUTER, 0);
  t.equal(own.size, 600, 'there is nothing to lower');
});

t.test('a route that changes is followed, up and down', async (t) => {
  const path = new PathMtu({ ...INIT, route: 1500 });
  for (const route of [1400, 1300, 1450, 9000]) {
    path.routeIs(route);
    t.equal(path.size, Math.min(1500, route));
    t.equal(path.reason, route < 1500 ? 'route' : 'own');
  }
});

t.test('what a router says lowers the limit and never raises it', async (t) => {
  const path = new PathMtu(INIT);
  path.tooBig(1400, ROUTER, 0);
  t.same([path.size, path.reason, path.router], [1400, 'router', ROUTER]);
  for (const larger of [1400, 1401, 1500, 65_535]) {
    path.tooBig(larger, '192.0.2.9', 0);
    t.same([path.size, path.router], [1400, ROUTER]);
  }
  path.tooBig(1300, '192.0.2.9', 0);
  t.same([path.size, path.reason, path.router], [1300, 'router', '192.0.2.9']);
});

t.test('a router that does not say how much takes the limit down size by size', async (t) => {
  for (const family of [4, 6] as const) {
    const least = family === 4 ? PATH.least4 : PATH.least6;
    const path = new PathMtu({ ...INIT, family });
    for (const size of PATH.sizes.filter((each) => each < 1500 && each >= least)) {
      path.tooBig(0, ROUTER, 0);
      t.equal(path.size, size);
    }
    for (let times = 0; times < 3; times++) {
      path.tooBig(0, ROUTER, 0);
      t.equal(path.size, least);
    }
  }
});

t.test('a large datagram is confirmed with a probe of the limit and a small one, and then there is rest', async (t) => {
  const path = new PathMtu(INIT);
  t.equal(path.watched, 536);
  const { probes = [], wait } = path.sent(1400, 0);
  t.same(
    probes.map(({ size, fragment }) => [size, fragment]),
    [
      [1460, false],
      [24, false],
    ],
  );
  t.ok(probes.every(({ size, span }) => span >= size));
  t.equal(wait, PATH.firstWait);
  t.equal(path.watched, undefined, 'one is enough');
  t.same(path.sent(1400, 1), {});
  t.same(path.answer(probes[1]!.token, 24, 30), {}, 'a small one tells nothing');
  t.same(path.answer(probes[0]!.token, 1460, 31), { wait: PATH.rest });
  t.equal(path.watched, undefined);
  t.same(path.answer(probes[0]!.token, 1460, 32), {}, 'once more');
  t.same(path.timeout(31 + PATH.rest), {});
  t.equal(path.watched, 536);
  t.equal(path.size, 1500);
});

t.test('no probe is larger than a packet can be', async (t) => {
  for (const family of [4, 6] as const)
    for (let most = 65_335; most <= 65_535; most++) {
      const headers = headersOf(family);
      const path = new PathMtu({ ...INIT, family, most, route: most - 20 });
      // Fragments, the limit, and all sizes.
      let step = path.sent(65_535 - headers, 0);
      for (let round = 1; round <= 2 * PATH.tries + PATH.searches; round++) {
        for (const { token, size, span } of step.probes ?? []) {
          if (!(size >= 24 && size <= 65_535 - headers && span >= size && span <= 65_535))
            t.fail(`${size} of ${span} bytes over IPv${family}, MTU ${most}`);
          if (size === 24) path.answer(token, size, round);
        }
        step = path.timeout(round);
      }
      t.equal(path.reason, 'probe');
    }
});

t.test('rounds of probes keep to the round trip, within limits', async (t) => {
  for (const [roundTrip, wait] of [
    [10, PATH.shortestWait],
    [300, 600],
    [5000, PATH.longestWait],
  ] as const) {
    const path = new PathMtu(INIT);
    const { probes = [] } = path.sent(1400, 0);
    path.answer(probes[0]!.token, 1460, roundTrip);
    path.timeout(roundTrip + PATH.rest);
    t.equal(path.sent(1400, 10_000).wait, wait);
  }
});

t.test('a path that swallows without a word is found out, whatever it carries', async (t) => {
  for (const family of [4, 6] as const)
    for (let mtu = family === 4 ? 576 : 1280; mtu <= 1500; mtu++) {
      const init = { ...INIT, family };
      const path = new Path(init, { mtu });
      path.run(4000, 1400);
      t.equal(path.machine.size, found(mtu, init), `${mtu} bytes over IPv${family}`);
      t.equal(path.machine.reason, mtu === 1500 ? 'own' : 'probe');
      const { machine } = path;
      t.ok(path.sizes.length <= 2, 'in one step');
      t.equal(machine.router, undefined);
    }
});

t.test('datagrams that any path carries are no reason to ask', async (t) => {
  const path = new Path(INIT, { mtu: 1300 });
  path.run(60 * MINUTE, 536);
  t.equal(path.probes, 0);
});

t.test('with every fifth packet and answer lost a limit is never above what the path carries in the end', async (t) => {
  for (let seed = 1; seed <= 300; seed++) {
    const family = seed % 2 ? 4 : 6;
    const mtu = 1280 + (seed % 220);
    const path = new Path({ ...INIT, family }, { mtu, loss: 0.2, seed, fragmentsPass: seed % 3 > 0 });
    path.run(2 * MINUTE, 1400);
    t.ok(path.machine.size <= mtu, `${path.machine.size} on ${mtu}, seed ${seed}`);
    t.ok(path.sizes.at(-1)! >= 1200, 'nor much below');
    path.init.loss = 0;
    path.run(11 * MINUTE, 1400);
    t.equal(path.machine.size, found(mtu, { ...INIT, family }), `found when the loss has ended, seed ${seed}`);
  }
});

t.test(
  'with every fifth packet and answer lost most paths that carry all are not lowered, and those that are recover',
  async (t) => {
    let lowered = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const path = new Path(INIT, { mtu: 1500, loss: 0.2, seed });
      path.run(10 * MINUTE, 1400);
      if (path.sizes.length > 1) lowered++;
      // It goes on: two tries.
      path.run(21 * MINUTE, 1400);
      t.ok(path.sizes.includes(1500));
      path.init.loss = 0;
      path.run(11 * MINUTE, 1400);
      t.equal(path.machine.size, 1500, `seed ${seed}`);
      t.equal(path.machine.reason, 'own');
    }
    t.ok(lowered < 15, `${lowered} of 100 within 10 minutes`);
  },
);

t.test('without loss nothing is lowered, and probes are few', async (t) => {
  const path = new Path(INIT, { mtu: 1500 });
  path.run(60 * MINUTE, 1460);
  t.same(path.sizes, [1500]);
  t.ok(path.probes <= 2 * ((60 * MINUTE) / PATH.rest), `${path.probes} probes in an hour`);
});

t.test('a limit is tried again after ten minutes, and goes up in one step', async (t) => {
  for (const icmp of [false, true])
    for (const after of [1500, 1492, 1440, 1400]) {
      const path = new Path(INIT, { mtu: 1300, icmp });
      path.run(10_000, 1400);
      t.same(path.sizes, [1500, 1300]);
      path.init.mtu = after;
      path.run(9.5 * MINUTE, 1400);
      t.same(path.sizes, [1500, 1300], 'not sooner');
      path.run(MINUTE, 1400);
      t.same(path.sizes, [1500, 1300, after]);
      t.equal(path.machine.reason, after === 1500 ? 'own' : 'probe');
    }
});

t.test('a limit that holds after ten minutes stays what it was, and whose it was', async (t) => {
  for (const mtu of [1400, 1443, 1299]) {
    const path = new Path(INIT, { mtu, icmp: true });
    path.run(60 * MINUTE, 1460);
    t.same(path.sizes, [1500, mtu]);
    t.same([path.machine.reason, path.machine.router], ['router', ROUTER]);
  }
});

t.test('a path that carries less than it did is found out', async (t) => {
  const path = new Path(INIT, { mtu: 1450 });
  path.run(10_000, 1460);
  t.equal(path.machine.size, 1450);
  path.init.mtu = 1350;
  path.run(10_000, 1460);
  t.equal(path.machine.size, 1350);
});

t.test('where probes are not answered, whatever their size, nothing is known and nothing changes', async (t) => {
  for (const mtu of [1500, 1400]) {
    const path = new Path(INIT, { mtu, answers: false });
    path.run(30 * MINUTE, 1460);
    t.same(path.sizes, [1500]);
    t.ok(path.machine.fragments);
  }
  const path = new Path(INIT, { mtu: 1400 });
  path.run(10_000, 1460);
  path.init.answers = false;
  path.run(30 * MINUTE, 1460);
  t.equal(path.machine.size, 1400, 'what was known stays');
});

t.test('a phantun peer gets no probes, and what a router said is forgotten after ten minutes', async (t) => {
  const path = new Path({ ...INIT, probes: false }, { mtu: 1400, icmp: true });
  path.run(9 * MINUTE, 1460);
  t.same(path.sizes, [1500, 1400]);
  path.init.mtu = 1500;
  path.run(2 * MINUTE, 1460);
  t.equal(path.machine.size, 1500);
  t.equal(path.probes, 0);
});

t.test('whether fragments arrive is asked before the limit is confirmed', async (t) => {
  for (const fragmentsPass of [true, false]) {
    const path = new Path({ ...INIT, route: 1400 }, { mtu: 1400, fragmentsPass });
    t.ok(path.machine.fragments, 'until it is known');
    path.run(10_000, 1360);
    t.ok(path.machine.fragments);
    path.run(10_000, 1460);
    t.equal(path.machine.fragments, fragmentsPass);
    t.equal(path.machine.size, 1400);
    const { probes } = path;
    path.run(10_000, 1460);
    t.ok(path.probes - probes <= 6, 'once');
  }
});

t.test('fragments that were lost by chance are tried again', async (t) => {
  let refused = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const path = new Path({ ...INIT, route: 1400 }, { mtu: 1400, loss: 0.2, seed });
    path.run(MINUTE, 1460);
    if (!path.machine.fragments) refused++;
    path.init.loss = 0;
    path.run(11 * MINUTE, 1460);
    t.ok(path.machine.fragments, `seed ${seed}`);
  }
  t.ok(refused > 0, 'or this test tells nothing');
});

t.test('an answer that comes late tells nothing of what is asked now', async (t) => {
  // Routers cut fragments once more: that of a probe that leaves in some says nothing of one that must not be cut.
  for (const roundTrip of [40, 400, 600, 900, 1600, 3000]) {
    const path = new Path({ ...INIT, peerMss: 1400 }, { mtu: 1300, roundTrip });
    path.run(4 * roundTrip + 8000, 1460);
    if (roundTrip < 1000) t.equal(path.machine.size, 1300, `${roundTrip} ms`);
    const machine = new PathMtu({ ...INIT, peerMss: 1400 });
    const cut = machine.sent(1460, 0).probes![0]!;
    t.ok(cut.fragment);
    for (let tried = 1; tried <= PATH.tries; tried++) machine.timeout(500 * tried);
    t.same(machine.answer(cut.token, cut.size, roundTrip), {}, 'it goes on to confirm');
  }
});
