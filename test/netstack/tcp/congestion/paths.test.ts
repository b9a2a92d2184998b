/** Controls on whole paths: what each reaches, and how they share. */
import t from 'tap';
import { Bbr } from '../../../../src/netstack/tcp/congestion/bbr.js';
import { chooseCongestion, CONGESTION_NAMES } from '../../../../src/netstack/tcp/congestion/choose.js';
import { Cubic } from '../../../../src/netstack/tcp/congestion/cubic.js';
import { Reno } from '../../../../src/netstack/tcp/congestion/reno.js';
import { MSS, mbit, product, Simulation, type Path, type Sender } from './simulator.js';

/** Share of the path that a sender gets from now on, for `time` milliseconds. */
function share(sim: Simulation, sender: Sender, time: number): number {
  const before = sender.delivered;
  sim.run(sim.now + time);
  return (sender.delivered - before) / (time * sim.path.rate);
}

t.test('each fills a path that loses nothing but by its queue', async (t) => {
  for (const name of CONGESTION_NAMES) {
    const path: Path = { rate: mbit(50), rtt: 20, queue: mbit(50) * 20 };
    const sim = new Simulation(path);
    const sender = sim.add(chooseCongestion(name)(MSS, 1));
    sim.run(5000);
    const found = share(sim, sender, 10_000);
    t.ok(found > 0.95, `${name}: ${found}`);
    t.equal(sender.timeouts, 0, name);
  }
});

t.test('Reno halves when the queue overflows, and needs a round trip for each segment more', async (t) => {
  const path: Path = { rate: mbit(20), rtt: 50, queue: mbit(20) * 50 };
  const sim = new Simulation(path);
  const reno = new Reno(MSS);
  const sender = sim.add(reno);
  const peaks: { at: number; window: number; left: number }[] = [];
  let window = 0;
  let recoveries = 0;
  sender.watch = () => {
    if (sender.recoveries > recoveries && reno.window < window) {
      recoveries = sender.recoveries;
      peaks.push({ at: sim.now, window, left: reno.window });
    }
    window = reno.window;
  };
  sim.run(60_000);
  t.ok(peaks.length > 4, `${peaks.length} losses`);
  for (const { window: before, left } of peaks.slice(1)) {
    t.ok(Math.abs(left / before - 0.5) < 0.03, `${before} to ${left}`);
    t.ok(Math.abs(before / (2 * product(path)) - 1) < 0.05, 'path and queue are full by then');
  }
});

t.test('slow start of CUBIC ends before the queue overflows', async (t) => {
  for (const [rate, rtt] of [
    [100, 40],
    [20, 100],
    [300, 20],
  ] as const) {
    const path: Path = { rate: mbit(rate), rtt, queue: mbit(rate) * rtt };
    const sim = new Simulation(path);
    const cubic = new Cubic(MSS);
    const sender = sim.add(cubic);
    while (cubic.threshold === Infinity && sim.now < 10_000) sim.run(sim.now + 1);
    t.equal(sim.overflows, 0, `${rate} Mbit/s, ${rtt} ms`);
    t.equal(sender.recoveries, 0);
    t.ok(cubic.window > 0.9 * product(path), `${cubic.window} of ${product(path)}`);
  }
});

t.test('slow start of Reno, which has nothing like that, overflows it', async (t) => {
  const path: Path = { rate: mbit(100), rtt: 40, queue: mbit(100) * 40 };
  const sim = new Simulation(path);
  const reno = new Reno(MSS);
  sim.add(reno);
  while (reno.threshold === Infinity && sim.now < 10_000) sim.run(sim.now + 1);
  t.ok(sim.overflows > 0);
});

t.test('at 1 % loss BBR fills 300 Mbit/s over 20 ms, and CUBIC does not', async (t) => {
  const path: Path = { rate: mbit(300), rtt: 20, queue: 500 * 1500, loss: 0.01 };
  const shares = [new Bbr(MSS, 5), new Cubic(MSS)].map((control) => {
    const sim = new Simulation(path);
    const sender = sim.add(control);
    sim.run(1000);
    return share(sim, sender, 5000);
  });
  t.ok(shares[0]! >= 0.9, `BBR: ${shares[0]}`);
  t.ok(shares[1]! < 0.1, `CUBIC: ${shares[1]}`);
});

t.test('at 1 % loss CUBIC reaches what Reno does: they have the same law there', async (t) => {
  const path: Path = { rate: mbit(300), rtt: 20, queue: 500 * 1500, loss: 0.01 };
  const [reno, cubic] = [new Reno(MSS), new Cubic(MSS)].map((control) => {
    const sim = new Simulation(path);
    const sender = sim.add(control);
    return share(sim, sender, 60_000);
  });
  // Mathis: MSS / RTT * 1.22 / sqrt(loss).
  const law = ((MSS / 20) * 1.22) / Math.sqrt(0.01) / path.rate;
  t.ok(reno! > 0.75 * law && reno! < 1.25 * law, `Reno ${reno} of ${law}`);
  t.ok(cubic! > 0.9 * reno! && cubic! < 1.5 * reno!, `CUBIC ${cubic}, Reno ${reno}`);
});

t.test('on a long fast path CUBIC is back long before Reno would be', async (t) => {
  const path: Path = { rate: mbit(100), rtt: 100, queue: mbit(100) * 30 };
  const [reno, cubic] = [new Reno(MSS), new Cubic(MSS)].map((control) => {
    const sim = new Simulation(path);
    const sender = sim.add(control);
    sim.run(4000);
    return share(sim, sender, 20_000);
  });
  t.ok(cubic! > 0.9, `CUBIC ${cubic}`);
  t.ok(cubic! > reno!, `Reno ${reno}`);
});

t.test("BBR's queue is short where CUBIC's is long", async (t) => {
  const path: Path = { rate: mbit(20), rtt: 40, queue: mbit(20) * 200 };
  const queues = [new Bbr(MSS, 1), new Cubic(MSS)].map((control) => {
    const sim = new Simulation(path);
    sim.add(control);
    sim.run(10_000);
    sim.meanQueue();
    sim.run(30_000);
    return sim.meanQueue() / path.rate;
  });
  t.ok(queues[0]! < 10, `BBR: ${queues[0]} ms`);
  t.ok(queues[1]! > 50, `CUBIC: ${queues[1]} ms`);
});
