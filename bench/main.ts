/**
 * `npm run bench`: what the tunnel costs, in ratios of interleaved rounds of one run. Absolute figures belong to the
 * machine; every contender of a round runs within seconds of the others.
 */
import { noRig, Rig, type Host } from '../test/net/rig.js';
import { ping, startPeer, type PeerResult } from '../test/net/traffic.js';

const ROUNDS = Number(process.env['GUISE_BENCH_ROUNDS'] ?? 5);
const SECONDS = 2;

type Measure = () => Promise<number>;

interface Rigs {
  /** guise as it is. */
  readonly fast: Rig;
  /** The same build with offload off. */
  readonly slow: Rig;
}

async function tunnel(options: readonly string[]): Promise<Rig> {
  const rig = await Rig.create({ strict: true });
  await rig.server.guise('server', ['--local', '4567', '--remote', '127.0.0.1:7000', ...options]);
  await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567', ...options]);
  return rig;
}

/** Goodput in Gbit/s at the receiver. */
async function goodput(rig: Rig, to: string, bind: string, sender: string): Promise<number> {
  const sink = await startPeer(rig.server, `--bind ${bind} --gro --no-verify --idle 0.3`);
  const peer = await startPeer(rig.client, `--to ${to} --seconds ${SECONDS} --no-verify --idle 0 ${sender}`.trim());
  await peer.result();
  const result: PeerResult = await sink.result();
  if (result.corrupted + result.duplicated > 0) throw new Error(`wrong datagrams arrived: ${JSON.stringify(result)}`);
  return result.gbits;
}

async function kernelTcp(client: Host, server: Host): Promise<number> {
  await using sink = server.start('iperf3', ['-s', '-1', '--forceflush']);
  await sink.waitFor(/Server listening/);
  const report = JSON.parse(await client.run('iperf3', ['-c', '10.0.2.2', '-t', `${SECONDS}`, '-J'])) as {
    end: { sum_received: { bits_per_second: number } };
  };
  return report.end.sum_received.bits_per_second / 1e9;
}

/** Median round trip in µs. */
async function roundTrip(rig: Rig, to: string, bind: string): Promise<number> {
  const echo = await startPeer(rig.server, `--bind ${bind} --echo`);
  const result = await ping(rig.client, `--to ${to} --count 5000 --size 100`);
  await echo.stop();
  return result.p50;
}

function measures({ fast, slow }: Rigs): Record<string, Measure> {
  const straight = ['10.0.2.2:7000', '0.0.0.0:7000'] as const;
  const through = ['127.0.0.1:5000', '127.0.0.1:7000'] as const;
  return {
    'UDP straight, plain': () => goodput(fast, ...straight, ''),
    'guise, plain': () => goodput(fast, ...through, ''),
    'kernel TCP straight': () => kernelTcp(fast.client, fast.server),
    'guise, UDP_SEGMENT': () => goodput(fast, ...through, '--gso'),
    'guise, no offload': () => goodput(slow, ...through, '--gso'),
    'UDP straight, round trip': () => roundTrip(fast, ...straight),
    'guise, round trip': () => roundTrip(fast, ...through),
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function show(name: string, values: readonly number[], unit: string): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${name.padEnd(26)} ${median(values).toFixed(2).padStart(8)} ${unit.padEnd(7)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

async function bench(): Promise<boolean> {
  await using fast = await tunnel([]);
  await using slow = await tunnel(['--no-offload']);
  const all = Object.entries(measures({ fast, slow }));
  const results = new Map<string, number[]>(all.map(([name]) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [name, measure]] of all.entries()) {
      process.stderr.write(`\x1b[2K\rround ${round + 1} of ${ROUNDS}, ${index + 1} of ${all.length}: ${name}`);
      results.get(name)!.push(await measure());
    }
  }
  process.stderr.write('\x1b[2K\r');
  for (const [name, values] of results) console.log(show(name, values, name.includes('trip') ? 'µs' : 'Gbit/s'));
  const of = (name: string): number[] => results.get(name)!;
  const ratio = (a: string, b: string): number => median(of(a).map((value, round) => value / of(b)[round]!));
  const difference = median(of('guise, round trip').map((value, round) => value - of('UDP straight, round trip')[round]!));
  const goals: [string, number, (value: number) => boolean, string][] = [
    ['plain sender / straight UDP', ratio('guise, plain', 'UDP straight, plain'), (v) => v >= 0.95, '>= 0.95'],
    ['UDP_SEGMENT sender / kernel TCP', ratio('guise, UDP_SEGMENT', 'kernel TCP straight'), (v) => v >= 0.6, '>= 0.6'],
    ['offload on / off', ratio('guise, UDP_SEGMENT', 'guise, no offload'), (v) => v >= 8, '>= 8'],
    ['round trip above straight UDP, µs', difference, (v) => v <= 60, '<= 60'],
  ];
  console.log(`\nmedians of ${ROUNDS} interleaved rounds, 1400-byte datagrams, one flow, strict conntrack on the router`);
  for (const [name, value, good, goal] of goals) {
    console.log(`${good(value) ? 'ok    ' : 'MISSED'} ${name.padEnd(36)} ${value.toFixed(2).padStart(7)}   (goal ${goal})`);
  }
  console.log(`INVALID segments at the router: ${(await fast.invalid()) + (await slow.invalid())}`);
  return goals.every(([, value, good]) => good(value));
}

const reason = noRig();
if (reason) {
  process.stderr.write(`The benchmark makes network namespaces: ${reason}.\n`);
  process.exit(1);
}
try {
  process.exitCode = (await bench()) ? 0 : 1;
} catch (error) {
  process.stderr.write(`\nbench: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
