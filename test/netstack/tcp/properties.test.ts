import fc from 'fast-check';
import t from 'tap';
import type { ConnectionOptions } from '../../../src/netstack/tcp/options.js';
import { pattern, Simulation, type Path } from './simulation.js';

/** What a network does to a share of the segments, each in 1000; delays in ms. */
interface Network {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  readonly delay: number;
  readonly lateBy: number;
  readonly seed: number;
}

/** A network that is as bad as said until `fair`, and loses nothing from then on. */
function pathOf({ lost, doubled, late, delay, lateBy, seed }: Network, fair: number): Path {
  let state = seed >>> 0 || 1;
  const chance = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) % 1000;
  };
  return (_, now) => {
    if (now > fair) return [delay];
    if (chance() < lost) return [];
    const times = [delay + (chance() < late ? lateBy : 0)];
    if (chance() < doubled) times.push(delay + (chance() % 50));
    return times;
  };
}

const networks = fc.record({
  lost: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 })),
  doubled: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 })),
  late: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 })),
  delay: fc.integer({ min: 0, max: 300 }),
  lateBy: fc.integer({ min: 1, max: 400 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 }),
});

const options: fc.Arbitrary<Partial<ConnectionOptions>> = fc.record({
  isn: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  mtu: fc.constantFrom(576, 1280, 1500, 9000),
  sack: fc.boolean(),
  timestamps: fc.boolean(),
  windowScaling: fc.boolean(),
  noDelay: fc.boolean(),
  ecn: fc.constantFrom('off', 'accept', 'ask'),
  congestion: fc.constantFrom('cubic', 'reno', 'bbr'),
  receiveBuffer: fc.constantFrom(2000, 20_000, 200_000),
  sendBuffer: fc.constantFrom(2000, 100_000),
});

const steps = fc.array(
  fc.record({
    wait: fc.integer({ min: 0, max: 500 }),
    who: fc.constantFrom('a', 'b'),
    what: fc.oneof(
      fc.record({ write: fc.integer({ min: 1, max: 40_000 }) }),
      fc.constantFrom('stop reading', 'read', 'end'),
    ),
  }),
  { maxLength: 30 },
);

t.test('every byte once and in order, and both ends close, whatever the network does', (t) => {
  fc.assert(
    fc.property(options, options, networks, steps, (a, b, network, calls) => {
      // Nobody gives up: what is looked for is what comes of it.
      const patient = { synRetries: 20, retries: 30, timeWait: 4 * 3_600_000 };
      const s = new Simulation({ a: { ...a, ...patient }, b: { ...b, ...patient } });
      s.path = pathOf(network, s.now + 120_000);
      s.connect();
      const written = { a: 0, b: 0 };
      const ended = new Set<string>();
      for (const { wait, who, what } of calls) {
        s.run(wait);
        const end = s[who];
        if (typeof what === 'object') {
          if (ended.has(who)) continue;
          end.connection!.write(pattern(what.write, written[who]), s.now);
          written[who] += what.write;
        } else if (what === 'end') {
          ended.add(who);
          end.connection?.end(s.now);
        } else if (what === 'read') {
          end.reads = true;
          if (end.connection) end.read();
        } else {
          end.reads = false;
        }
      }
      for (const end of [s.a, s.b]) {
        end.reads = true;
        end.read();
        end.connection?.end(s.now);
      }
      s.until(() => s.a.isClosed && s.b.isClosed, 24 * 3_600_000);
      for (const [end, from] of [
        [s.a, 'b'],
        [s.b, 'a'],
      ] as const) {
        if (end.failure) throw new Error(`${end.name}: ${end.failure}`);
        if (!end.bytes.equals(pattern(written[from])))
          throw new Error(`${end.name} has ${end.received_} of ${written[from]}`);
      }
      if (s.a.granted < 0 || s.b.granted < 0) throw new Error('more was given back than granted');
    }),
    { numRuns: Number(process.env['RUNS'] ?? 300) },
  );
  t.end();
});
