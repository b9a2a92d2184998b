/** Two flows on one bottleneck. */
import t from 'tap';
import { Bbr } from '../../../../src/netstack/tcp/congestion/bbr.js';
import { Cubic } from '../../../../src/netstack/tcp/congestion/cubic.js';
import { MSS, mbit, product, Simulation, type Path } from './simulator.js';

t.test('two flows of CUBIC share fairly, whichever began first', async (t) => {
  for (const seed of [1, 2]) {
    const path: Path = { rate: mbit(20), rtt: 40, queue: mbit(20) * 40, jitter: 0.3, seed };
    const sim = new Simulation(path);
    const first = sim.add(new Cubic(MSS));
    const second = sim.add(new Cubic(MSS), 3000);
    sim.run(30_000);
    const begin = [first.delivered, second.delivered];
    sim.run(150_000);
    const ratio = (first.delivered - begin[0]!) / (second.delivered - begin[1]!);
    t.ok(ratio > 0.8 && ratio < 1.25, `${ratio}`);
  }
});

t.test('two flows of BBR share, too, and the queue stays short', async (t) => {
  const path: Path = { rate: mbit(20), rtt: 40, queue: mbit(20) * 200 };
  const sim = new Simulation(path);
  const first = sim.add(new Bbr(MSS, 11));
  const second = sim.add(new Bbr(MSS, 12), 3000);
  sim.run(30_000);
  const begin = [first.delivered, second.delivered];
  sim.meanQueue();
  sim.run(90_000);
  const [a, b] = [first.delivered - begin[0]!, second.delivered - begin[1]!];
  t.ok((a + b) / (60_000 * path.rate) > 0.95);
  t.ok(a / b > 0.6 && a / b < 1.67, `${a / b}`);
  const queue = sim.meanQueue() / product(path);
  t.ok(queue < 1.5, `${queue} products, where the queue has room for five`);
});
