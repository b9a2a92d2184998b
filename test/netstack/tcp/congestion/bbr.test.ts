import t from 'tap';
import { Bbr, BBR_MODE } from '../../../../src/netstack/tcp/congestion/bbr.js';
import { AckSample } from '../../../../src/netstack/tcp/congestion/control.js';
import { MSS, mbit, product, Simulation, type Path, type Sender } from './simulator.js';

const PATH: Path = { rate: mbit(40), rtt: 40, queue: mbit(40) * 80 };

/** A BBR sender alone on a path. */
function alone(path: Path = PATH, chance = 3): { sim: Simulation; bbr: Bbr; sender: Sender } {
  const sim = new Simulation(path);
  const bbr = new Bbr(MSS, chance);
  return { sim, bbr, sender: sim.add(bbr) };
}

/** Runs up to the time when `holds`, at most until `most`. */
function runUntil(sim: Simulation, most: number, holds: () => boolean): void {
  while (!holds() && sim.now < most) sim.run(sim.now + 0.5);
}

/** Share of the path's rate from now on, for `time` milliseconds. */
function share(sim: Simulation, sender: Sender, time: number): number {
  const before = sender.delivered;
  sim.run(sim.now + time);
  return (sender.delivered - before) / (time * sim.path.rate);
}

t.test('it begins with ten segments, as fast as if the RTT were a millisecond', async (t) => {
  const bbr = new Bbr(MSS, 0);
  t.match(bbr, { window: 10 * MSS, threshold: Infinity, mode: BBR_MODE.startup });
  t.ok(Math.abs(bbr.pacingRate / ((10 * MSS * 2) / Math.LN2) - 1) < 1e-9);
  bbr.setSegmentSize(536);
  t.equal(bbr.window, 5360);
  t.ok(Math.abs(bbr.pacingRate / ((5360 * 2) / Math.LN2) - 1) < 1e-9);
});

t.test('startup finds the bandwidth in rounds that double, drain empties the queue', async (t) => {
  const { sim, bbr, sender } = alone();
  runUntil(sim, 2000, () => bbr.mode !== BBR_MODE.startup);
  t.equal(bbr.mode, BBR_MODE.drain);
  // log2 of the product over ten segments, and three rounds of doubt; the queue lengthens the last ones.
  t.ok(sim.now < 20 * 40, `${sim.now} ms`);
  const full = sender.inFlight;
  t.ok(full > 1.5 * product(PATH), 'a queue was made');
  runUntil(sim, 4000, () => bbr.mode !== BBR_MODE.drain);
  t.equal(bbr.mode, BBR_MODE.probeBandwidth);
  t.ok(sender.inFlight < 1.2 * product(PATH), `${sender.inFlight} of ${product(PATH)}`);
  t.ok(Math.abs(bbr.threshold / product(PATH) - 1) < 0.3, `${bbr.threshold}`);
});

t.test('it holds the rate with hardly a queue: a cycle of eight phases, one faster, one slower', async (t) => {
  const { sim, bbr, sender } = alone();
  sim.run(2000);
  const gains = new Set<number>();
  sender.watch = () => gains.add(Math.round((bbr.pacingRate / PATH.rate) * 100) / 100);
  sim.meanQueue();
  sim.overflows = 0;
  t.ok(share(sim, sender, 6000) > 0.95);
  t.equal(sim.overflows, 0);
  t.ok(sim.meanQueue() < 0.15 * product(PATH));
  t.same(
    [...gains].sort((a, b) => a - b).map((gain) => Math.round(gain * 50) / 50),
    [0.74, 1, 1.24].map((gain) => Math.round(gain * 50) / 50),
  );
});

t.test('phases go by the least RTT, and begin where chance says, but not in the one that drains', async (t) => {
  const begins = new Set<number>();
  for (let chance = 0; chance < 60; chance++) {
    const { sim, bbr } = alone({ ...PATH, rate: mbit(10), queue: mbit(10) * 100 }, chance * 7919);
    runUntil(sim, 3000, () => bbr.mode === BBR_MODE.probeBandwidth);
    begins.add(Math.round((bbr.pacingRate / mbit(10)) * 10) / 10);
  }
  t.same([...begins].sort(), [1, 1.2]);
});

t.test(
  'a phase that probes goes on until the flight shows it, one that drains until the flight is short',
  async (t) => {
    const { sim, bbr, sender } = alone();
    let sample = new AckSample();
    sender.watch = (told) => (sample = told);
    sim.run(3000);
    const full = Math.round(product(PATH) / MSS) * MSS;
    /** ACKs for a time, each of a segment, with so much in flight; what it paces at by then, in parts of the rate. */
    const gain = (time: number, priorInFlight: number, lost = 0): number => {
      for (const end = sample.now + time; sample.now < end;) {
        const { totalDelivered } = sample;
        const priorDelivered = totalDelivered - full;
        const inFlight = priorInFlight - MSS;
        Object.assign(sample, { priorInFlight, inFlight, lost, priorDelivered, rate: PATH.rate, delivered: MSS });
        sample.now += 0.5;
        sample.totalDelivered = totalDelivered + MSS;
        bbr.acknowledged(sample);
      }
      return Math.round((bbr.pacingRate / 0.99 / bbr['bandwidth']) * 100) / 100;
    };
    for (let i = 0; i < 1000 && gain(0.5, full) !== 1.25; i++);
    t.equal(gain(200, full), 1.25);
    t.equal(gain(0.5, full, MSS), 0.75, 'a loss shows it, too');
    t.equal(gain(20, 1.5 * full), 0.75);
    t.equal(gain(0.5, full), 1, 'before its time is over');
    for (let i = 0; i < 1000 && gain(0.5, full) !== 1.25; i++);
    t.equal(gain(20, 1.5 * full), 1.25, 'a round trip at least');
    t.equal(gain(30, 1.5 * full), 0.75);
    t.equal(gain(45, 1.5 * full), 1, 'and drains for a round trip at most');
    const { window } = bbr;
    gain(0.5, full, 10 * MSS);
    t.equal(bbr.window, window - 9 * MSS, 'what is lost leaves the window, until as much has arrived');
  },
);

t.test('behind a time-out and behind an undo it asks anew whether the pipe is full', async (t) => {
  for (const happens of ['timedOut', 'undo'] as const) {
    const { sim, bbr } = alone();
    while (sim.now < 1500) {
      sim.run(sim.now + 100);
      bbr[happens]();
      bbr.recovered();
    }
    t.equal(bbr.mode, BBR_MODE.startup);
    sim.run(2500);
    t.equal(bbr.mode, BBR_MODE.probeBandwidth);
  }
});

t.test('on a short path the small window lasts many rounds, and the bandwidth is not forgotten for that', async (t) => {
  const { sim, bbr } = alone({ ...PATH, rtt: 4 });
  runUntil(sim, 20_000, () => bbr.mode === BBR_MODE.probeRtt);
  runUntil(sim, 20_000, () => bbr.mode !== BBR_MODE.probeRtt);
  t.ok(bbr.pacingRate > 0.7 * PATH.rate, `${bbr.pacingRate} of ${PATH.rate}`);
});

t.test('every ten seconds the window is four segments for 200 ms, and as large as before behind that', async (t) => {
  const { sim, bbr, sender } = alone();
  sim.run(5000);
  const { window } = bbr;
  runUntil(sim, 20_000, () => bbr.mode === BBR_MODE.probeRtt);
  t.ok(sim.now > 10_000 && sim.now < 11_000, `${sim.now}`);
  const begin = sim.now;
  runUntil(sim, 20_000, () => sender.inFlight <= 4 * MSS);
  t.equal(bbr.window, 4 * MSS);
  runUntil(sim, 20_000, () => bbr.mode !== BBR_MODE.probeRtt);
  t.ok(sim.now - begin >= 200 && sim.now - begin < 400, `${sim.now - begin} ms`);
  t.equal(bbr.mode, BBR_MODE.probeBandwidth);
  t.ok(bbr.window > 0.8 * window);
  t.ok(share(sim, sender, 2000) > 0.9, 'the bandwidth is not forgotten for it');
});

t.test('a longer RTT is believed when the shorter one is ten seconds old', async (t) => {
  const { sim, bbr } = alone();
  sim.run(3000);
  sim.path = { ...PATH, rtt: 80 };
  sim.run(16_000);
  t.ok(bbr.window > 1.6 * PATH.rate * 80 * 1.1, `${bbr.window} of ${2 * PATH.rate * 80}`);
});

t.test('more bandwidth is found within some cycles, less within ten rounds', async (t) => {
  const { sim, sender } = alone();
  sim.run(3000);
  sim.path = { ...PATH, rate: mbit(80) };
  sim.run(7000);
  t.ok(share(sim, sender, 1000) > 0.9, 'twice as much');
  sim.path = { ...PATH, rate: mbit(20), queue: mbit(20) * 400 };
  // Ten rounds, each a third of a second long by now.
  sim.run(14_000);
  sim.meanQueue();
  t.ok(share(sim, sender, 2000) > 0.9, 'a quarter');
  const queue = sim.meanQueue() / mbit(20);
  t.ok(queue < 15, `the queue of the old rate is gone: ${queue} ms`);
});

t.test('loss by chance costs it what is lost', async (t) => {
  for (const loss of [0.01, 0.05]) {
    const { sim, sender } = alone({ ...PATH, loss });
    sim.run(2000);
    const found = share(sim, sender, 6000);
    t.ok(found > 0.9 * (1 - loss), `${found} at ${loss}`);
  }
});

t.test('a queue shorter than its startup needs: it gets through, and then loses little', async (t) => {
  const { sim, sender } = alone({ ...PATH, queue: 0.3 * product(PATH) });
  sim.run(3000);
  sim.overflows = 0;
  t.ok(share(sim, sender, 6000) > 0.9);
  t.ok(sim.overflows * MSS < 0.02 * 6000 * PATH.rate, `${sim.overflows} segments`);
});

t.test('ACKs that come in bursts do not hold it back', async (t) => {
  const { sim, bbr, sender } = alone({ ...PATH, rtt: 10, ackGrid: 25 });
  sim.run(2000);
  const found = share(sim, sender, 6000);
  t.ok(found > 0.85, `${found}`);
  t.ok(bbr.window > 2 * product(sim.path), 'more is in flight than twice the product');
});

t.test('an application that gives less does not lower the bandwidth', async (t) => {
  const { sim, bbr, sender } = alone();
  sim.run(3000);
  const { window } = bbr;
  sender.limitTo(mbit(8));
  t.ok(share(sim, sender, 5000) < 0.21);
  t.ok(bbr.window > 0.9 * window, `${bbr.window} of ${window}`);
  sender.limitTo(Infinity);
  t.ok(share(sim, sender, 200) > 0.7, 'it is there at once');
});

t.test('an application that is slow from the beginning never shows that the pipe is full', async (t) => {
  const { sim, bbr, sender } = alone();
  sender.limitTo(mbit(2));
  sim.run(3000);
  t.equal(bbr.mode, BBR_MODE.startup);
  sender.limitTo(Infinity);
  sim.run(4000);
  t.equal(bbr.mode, BBR_MODE.probeBandwidth);
});

t.test('silence: the window is kept, and what waits leaves no faster than the bandwidth', async (t) => {
  const { sim, bbr, sender } = alone();
  sim.run(3000);
  sender.limitTo(0);
  sim.run(15_000);
  const { window } = bbr;
  sender.limitTo(Infinity);
  sim.meanQueue();
  sim.run(15_100);
  t.equal(bbr.mode, BBR_MODE.probeBandwidth, 'the least RTT is old, but silence has measured it, too');
  t.ok(bbr.window > 0.9 * window);
  t.ok(sim.meanQueue() < 0.1 * product(PATH));
});

t.test('recovery: what arrives may leave in its first round, and the window is back behind it', async (t) => {
  const { sim, bbr, sender } = alone();
  sim.run(3000);
  const { window } = bbr;
  const flight = sender.inFlight;
  bbr.lossFound(flight);
  t.equal(bbr.window, flight + MSS);
  sim.run(3010);
  t.ok(bbr.window <= flight + 2 * MSS);
  bbr.recovered();
  t.equal(bbr.window, window);
  bbr.timedOut();
  t.equal(bbr.window, MSS);
  bbr.timedOut();
  bbr.undo();
  t.equal(bbr.window, window);
  bbr.undo();
  t.equal(bbr.window, window);
});
