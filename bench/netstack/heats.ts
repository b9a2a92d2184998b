/** The heats of the netstack race, the paths that they are run on, and their figures. */
import { less, more, type Figure, type Heat } from '../race.js';
import { CONTENDERS, KERNEL, OURS, type Conditions } from './contenders.js';
import { churn, down, idleMemory, requests, roundTrips, share, up, type Track } from './measures.js';

interface Profile extends Conditions {
  readonly title: string;
}

/** Packets that are lost, both ways: 0.1, 1 and 5 %. */
export const LOSSES = ['01', '1', '5'] as const;

const LAN = '--delay 10';
/** The queue holds what the path does. */
const WAN = '--delay 10000 --rate 300 --queue 500';
const losing = (
  title: string,
  path: string,
  percent: number,
  congestion: Conditions['congestion'] = 'cubic',
): Profile => ({
  title: `${title}, ${percent} % lost`,
  path: `${path} --lose ${percent / 100}`,
  offload: true,
  congestion,
});

export const PROFILES = {
  tso: { title: 'with super-segments', offload: true, congestion: 'cubic' },
  noTso: { title: 'one packet each', offload: false, congestion: 'cubic' },
  lan01: losing('LAN', LAN, 0.1),
  lan1: losing('LAN', LAN, 1),
  lan5: losing('LAN', LAN, 5),
  wan01: losing('20 ms, 300 Mbit/s', WAN, 0.1),
  wan1: losing('20 ms, 300 Mbit/s', WAN, 1),
  wan5: losing('20 ms, 300 Mbit/s', WAN, 5),
  wan1bbr: losing('BBR, 20 ms, 300 Mbit/s', WAN, 1, 'bbr'),
  shared: { title: 'one bottleneck of 300 Mbit/s, 20 ms', offload: true, path: WAN, congestion: 'cubic' },
} as const satisfies Record<string, Profile>;

export type ProfileId = keyof typeof PROFILES;
export type LossProfile = `${'lan' | 'wan'}${(typeof LOSSES)[number]}`;

export const FIGURES = {
  up: more('kernel → stack', 'Gbit/s', 3),
  down: more('stack → kernel', 'Gbit/s', 3),
  roundTrip: less('round trip of a byte, p50', 'µs', 1),
  roundTrip99: less('round trip of a byte, p99', 'µs', 1),
  churn: more('connections: open, a byte each way, close', '/s', 0),
  idleMemory: less('memory of an idle connection, of 10 000', 'KiB', 2),
  requests: more("Node's web server", 'requests/s', 0),
  share: more('bytes beside a kernel CUBIC flow, by its bytes', '', 2),
} as const satisfies Record<string, Figure>;

export type FigureId = keyof typeof FIGURES;

export interface StackHeat extends Heat<Track, undefined> {
  readonly profiles: readonly ProfileId[];
  /** Who takes part, or everybody. */
  readonly only?: readonly string[];
  run(track: Track): Promise<Partial<Record<FigureId, number>>>;
}

const DIRECT = ['tso', 'noTso'] as const;
const LAN_LOSSES = ['lan01', 'lan1', 'lan5'] as const;
const WAN_LOSSES = ['wan01', 'wan1', 'wan5'] as const;
/** By how much longer a load lasts on a path of 20 ms, and beside another. */
const LONGER = 3;
const SHARING = 10;

export const HEATS: readonly StackHeat[] = [
  { name: 'up', profiles: [...DIRECT, ...LAN_LOSSES], run: async (track) => ({ up: await up(track) }) },
  { name: 'down', profiles: [...DIRECT, ...LAN_LOSSES], run: async (track) => ({ down: await down(track) }) },
  {
    name: 'up, far',
    profiles: WAN_LOSSES,
    run: async (track) => ({ up: await up(track, track.seconds * LONGER) }),
  },
  {
    name: 'down, far',
    profiles: WAN_LOSSES,
    run: async (track) => ({ down: await down(track, track.seconds * LONGER) }),
  },
  {
    name: 'BBR',
    profiles: ['wan1bbr'],
    only: [KERNEL, OURS],
    run: async (track) => ({ down: await down(track, track.seconds * LONGER) }),
  },
  {
    name: 'round trips',
    profiles: DIRECT,
    async run(track) {
      const { p50, p99 } = await roundTrips(track);
      return { roundTrip: p50, roundTrip99: p99 };
    },
  },
  { name: 'connections', profiles: ['tso'], fresh: true, run: async (track) => ({ churn: await churn(track) }) },
  {
    // The kernel's are not in its server's memory.
    name: 'idle connections',
    profiles: ['tso'],
    only: CONTENDERS.map(({ name }) => name).filter((name) => name !== KERNEL),
    fresh: true,
    run: async (track) => ({ idleMemory: await idleMemory(track, 10_000) }),
  },
  {
    name: 'web server',
    profiles: ['tso'],
    only: [KERNEL, OURS],
    run: async (track) => ({ requests: await requests(track) }),
  },
  {
    name: 'fair share',
    profiles: ['shared'],
    only: [KERNEL, OURS],
    run: async (track) => ({ share: await share(track, track.seconds * SHARING) }),
  },
];
