/** The heats of a race: what is run in turns by whom, and which figures come out of it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RigOptions } from '../test/net/rig.js';
import { GUISE, NO_OFFLOAD, ONE_RELAY, STRAIGHT_UDP, TWO_RELAYS } from './contenders.js';
import { library } from './library_measure.js';
import {
  flood,
  flowSetUp,
  idle,
  kernelTcp,
  openFlows,
  roundTrips,
  throughWireGuard,
  type Flood,
  type Track,
} from './measures.js';
import { less, more, type DrawCurve, type Figure, type Heat as AnyHeat } from './race.js';

/** The paths between client and server. */
export const PROFILES = {
  tso: { title: 'links with TSO', rig: { liberal: true } },
  noTso: { title: 'links without TSO', rig: { liberal: true, noTso: true } },
  jumbo: { title: 'MTU 9000', rig: { liberal: true, mtu: 9000 } },
  strict: { title: 'strict connection tracking', rig: { strict: true } },
} as const satisfies Record<string, { title: string; rig: RigOptions }>;

export type Profile = keyof typeof PROFILES;

export const FIGURES = {
  plain: more('goodput, plain sender', 'Gbit/s', 2),
  plainCost: less('processor time, plain sender flat out', 's/GB', 2),
  segmented: more('goodput, UDP_SEGMENT sender', 'Gbit/s', 2),
  segmentedCost: less('processor time, UDP_SEGMENT sender flat out', 's/GB', 2),
  tcp: more('goodput, kernel TCP (iperf3)', 'Gbit/s', 2),
  flows5: more('goodput, 5 flows', 'Gbit/s', 2),
  flows100: more('goodput, 100 flows', 'Gbit/s', 2),
  flows1000: more('goodput, 1 000 flows', 'Gbit/s', 2),
  flows10000: more('goodput, 10 000 flows', 'Gbit/s', 2),
  small: more('datagrams of 64 bytes', 'k/s', 0),
  imix: more('Internet mix (64, 576, 1400 bytes)', 'k/s', 0),
  loss50: less('lost at 50 % of what straight UDP carries', '%', 2),
  loss80: less('lost at 80 %', '%', 2),
  loss90: less('lost at 90 %', '%', 2),
  loss100: less('lost at 100 %', '%', 2),
  cost: less('processor time of the machine, 40 000 datagrams/s', 's/GB', 2),
  ownCost: less('processor time of client and server, 40 000 datagrams/s', 's/GB', 2),
  burstyOwnCost: less('processor time of both programs, 40 000/s in bursts of 1 ms', 's/GB', 2),
  segmentedOwnCost: less('the same, each burst a UDP_SEGMENT datagram', 's/GB', 2),
  roundTrip: less('round trip, p50', 'µs', 0),
  roundTrip99: less('round trip, p99', 'µs', 0),
  roundTrip999: less('round trip, p99.9', 'µs', 0),
  loadedRoundTrip: less('round trip beside half the load of straight UDP, p50', 'µs', 0),
  loadedRoundTrip99: less('the same, p99', 'µs', 0),
  loadedRoundTrip999: less('the same, p99.9', 'µs', 0),
  setUp: less('first datagram of a new flow to its answer', 'ms', 2),
  newFlows: more('new flows, 1 000 at once', '/s', 0),
  idleMemory: less('resident memory, no flow', 'MiB', 1),
  idleCpu: less('processor time, no flow', '%', 2),
  flowMemory: less('resident memory of an idle flow, of 1 000', 'KiB', 2),
  flowMemory10000: less('resident memory of an idle flow, of 10 000', 'KiB', 2),
  idleCpu10000: less('processor time, 10 000 idle flows', '%', 2),
  wireGuard: more('kernel TCP inside WireGuard', 'Gbit/s', 2),
  tcpBeside: more('goodput, kernel TCP that does not pass through it', 'Gbit/s', 2),
  library: more('JavaScript to JavaScript, a core a side', 'k/s', 0),
} as const satisfies Record<string, Figure>;

export type FigureId = keyof typeof FIGURES;
export type Values = Partial<Record<FigureId, number>>;

export interface Context {
  /** Datagrams a second that straight UDP carried in this round on this profile. */
  straightRate: number;
  readonly curve: DrawCurve;
}

export interface Heat extends AnyHeat<Track, Context> {
  readonly profiles: readonly Profile[];
  /** Who takes part, or everybody. */
  readonly only?: readonly string[];
  /** Part of a quick run, with everybody or only those that its goals compare. */
  readonly quick?: 'everybody' | 'compared';
  run(track: Track, context: Context): Promise<Values>;
}

const EVERY = ['tso', 'noTso', 'jumbo', 'strict'] as const;
const goodputOf =
  (id: FigureId) =>
  (result: Flood): Values => ({ [id]: result.goodput });
const kiloRateOf =
  (id: FigureId) =>
  (result: Flood): Values => ({ [id]: result.rate / 1000 });

function flooding(name: string, flags: string, take: (result: Flood) => Values, more: Partial<Heat> = {}): Heat {
  return { name, profiles: ['tso'], run: async (track) => take(await flood(track, flags)), ...more };
}

/** Milliseconds in which a heap has recovered from what opening left, and no keepalive is due yet. */
const SETTLE = 12_000;

/** So many flows, after the time that it takes to open them. */
function crowd(name: string, flows: number, figure: FigureId): Heat {
  return {
    name,
    profiles: ['tso'],
    only: [STRAIGHT_UDP, GUISE],
    fresh: true,
    run: async (track) => ({ [figure]: (await flood(track, `--flows ${flows}`, 1000 + flows / 2)).goodput }),
  };
}

function losing(percent: 50 | 80 | 90 | 100, more: Partial<Heat> = {}): Heat {
  return {
    name: `loss at ${percent} %`,
    profiles: ['tso'],
    run: async (track, { straightRate }) => {
      const { loss } = await flood(track, `--rate ${Math.round((straightRate * percent) / 100)}`);
      return { [`loss${percent}`]: Math.max(0, loss) * 100 };
    },
    ...more,
  };
}

export const HEATS: readonly Heat[] = [
  {
    name: 'plain sender',
    profiles: EVERY,
    quick: 'everybody',
    async run(track, context) {
      const result = await flood(track, '');
      if (track.way.programs.length === 0) context.straightRate = result.rate;
      return { plain: result.goodput, plainCost: result.machinePerGb };
    },
  },
  flooding(
    'UDP_SEGMENT sender',
    '--gso',
    (result) => ({
      segmented: result.goodput,
      segmentedCost: result.machinePerGb,
    }),
    { profiles: EVERY, quick: 'everybody' },
  ),
  {
    name: 'kernel TCP',
    profiles: EVERY,
    only: [STRAIGHT_UDP],
    quick: 'everybody',
    run: async (track) => ({ tcp: await kernelTcp(track) }),
  },
  losing(50),
  losing(80),
  losing(90, { quick: 'compared' }),
  losing(100),
  flooding('5 flows', '--flows 5', goodputOf('flows5')),
  flooding('100 flows', '--flows 100', goodputOf('flows100')),
  crowd('1 000 flows', 1000, 'flows1000'),
  crowd('10 000 flows', 10_000, 'flows10000'),
  flooding('64 bytes', '--size 64', kiloRateOf('small'), { quick: 'compared' }),
  flooding('Internet mix', '--size imix', kiloRateOf('imix'), { quick: 'compared' }),
  flooding(
    '40 000 datagrams/s',
    '--rate 40000',
    (result) => ({
      cost: result.machinePerGb,
      ownCost: result.processesPerGb,
    }),
    { quick: 'everybody' },
  ),
  // What iperf3 does unless told: its --pacing-timer is 1000 µs.
  flooding('40 000 datagrams/s in bursts', '--rate 40000 --tick 1000', (result) => ({
    burstyOwnCost: result.processesPerGb,
  })),
  flooding('40 000 datagrams/s in UDP_SEGMENT bursts', '--rate 40000 --tick 1000 --gso', (result) => ({
    segmentedOwnCost: result.processesPerGb,
  })),
  {
    name: 'round trips',
    profiles: ['tso'],
    quick: 'everybody',
    async run(track, { curve }) {
      const { p50, p99, p999, percentiles } = await roundTrips(track);
      curve('idle', percentiles);
      return { roundTrip: p50, roundTrip99: p99, roundTrip999: p999 };
    },
  },
  {
    name: 'round trips beside a load',
    profiles: ['tso'],
    async run(track, { straightRate, curve }) {
      const { p50, p99, p999, percentiles } = await roundTrips(track, straightRate / 2);
      curve('loaded', percentiles);
      return { loadedRoundTrip: p50, loadedRoundTrip99: p99, loadedRoundTrip999: p999 };
    },
  },
  {
    name: 'set-up of a flow',
    profiles: ['tso'],
    fresh: true,
    run: async (track) => ({ setUp: await flowSetUp(track) }),
  },
  {
    name: 'new flows',
    profiles: ['tso'],
    fresh: true,
    run: async (track) => ({ newFlows: (await openFlows(track, 1000)).rate }),
  },
  {
    name: 'idle flows',
    profiles: ['tso'],
    only: [GUISE, 'phantun'],
    fresh: true,
    async run(track) {
      const none = await idle(track, 3);
      await openFlows(track, 1000);
      const some = await idle(track, 1);
      return {
        idleMemory: none.resident / 1024,
        idleCpu: none.cpu * 100,
        flowMemory: (some.resident - none.resident) / 1000,
      };
    },
  },
  {
    name: '10 000 idle flows',
    profiles: ['tso'],
    only: [GUISE],
    fresh: true,
    async run(track) {
      const none = await idle(track, 1);
      await openFlows(track, 10_000);
      await delay(SETTLE);
      const many = await idle(track, 5);
      return { flowMemory10000: (many.resident - none.resident) / 10_000, idleCpu10000: many.cpu * 100 };
    },
  },
  {
    // Its packet sockets see each packet of the host: what does that cost those that are not its own?
    name: 'kernel TCP beside it, idle',
    profiles: ['tso', 'noTso'],
    only: [STRAIGHT_UDP, GUISE],
    run: async (track) => ({ tcpBeside: await kernelTcp(track) }),
  },
  { name: 'WireGuard', profiles: ['tso'], run: async (track) => ({ wireGuard: await throughWireGuard(track) }) },
  {
    name: 'library',
    profiles: ['tso'],
    only: [STRAIGHT_UDP],
    run: async (track) => ({ library: (await library(track)) / 1000 }),
  },
];

/** Leaves out of a contender what would be no comparison. */
export function meets(heat: Heat, contender: string): boolean {
  if (heat.only) return heat.only.includes(contender);
  if (contender === ONE_RELAY || contender === TWO_RELAYS) return heat.name === 'round trips';
  // The build without offload is there to show what offload is worth, not to race.
  if (contender === NO_OFFLOAD) return heat.name === 'plain sender' || heat.name === 'UDP_SEGMENT sender';
  return true;
}
