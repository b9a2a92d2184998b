/** What the stack has to reach, each as ratios of the same round. */
import { ratio, type Goal, type Term } from '../goal.js';
import { GVISOR, KERNEL, LWIP, OURS, SMOLTCP } from './contenders.js';
import { LOSSES, PROFILES, type FigureId, type LossProfile, type ProfileId } from './heats.js';

const of = (contender: string, figure: FigureId, profile: ProfileId = 'tso'): Term => ({
  of: contender,
  figure,
  profile,
});

function against(
  other: string,
  figure: FigureId,
  title: string,
  goal: number,
  { profile = 'tso', atLeast = true }: { profile?: ProfileId; atLeast?: boolean } = {},
): Goal {
  return ratio(`${title} / ${other}`, of(OURS, figure, profile), of(other, figure, profile), goal, atLeast);
}

const UP = 'kernel → stack';
const DOWN = 'stack → kernel';
const noTso = { profile: 'noTso' } as const;

function underLoss(profile: LossProfile): Goal[] {
  const path = PROFILES[profile].title;
  return [
    against(KERNEL, 'up', `CUBIC, ${path}: ${UP}`, 0.9, { profile }),
    against(KERNEL, 'down', `CUBIC, ${path}: ${DOWN}`, 0.9, { profile }),
  ];
}

export const GOALS: readonly Goal[] = [
  against(KERNEL, 'up', UP, 0.7),
  against(KERNEL, 'down', DOWN, 2),
  against(GVISOR, 'up', UP, 2.5),
  against(GVISOR, 'down', DOWN, 8),
  against(LWIP, 'up', UP, 6),
  against(LWIP, 'down', DOWN, 20),
  against(GVISOR, 'up', `${UP}, one packet each`, 2, noTso),
  against(GVISOR, 'down', `${DOWN}, one packet each`, 2, noTso),
  against(SMOLTCP, 'up', `${UP}, one packet each`, 1.2, noTso),
  against(SMOLTCP, 'down', `${DOWN}, one packet each`, 1.2, noTso),
  against(KERNEL, 'roundTrip', 'round trip of a byte p50', 1, { atLeast: false }),
  against(KERNEL, 'churn', 'connections a second', 1.2),
  against(GVISOR, 'churn', 'connections a second', 2),
  {
    title: 'memory of an idle connection, KiB',
    goal: 3,
    atLeast: false,
    digits: 2,
    values: (results) => results.values('tso', 'idleMemory', OURS),
  },
  ...LOSSES.flatMap((loss) => underLoss(`lan${loss}`)),
  ...LOSSES.flatMap((loss) => underLoss(`wan${loss}`)),
  against(KERNEL, 'down', `${PROFILES.wan1bbr.title}: ${DOWN}`, 0.9, { profile: 'wan1bbr' }),
  {
    title: 'beside a kernel CUBIC flow: the smaller share / the larger',
    goal: 0.8,
    atLeast: true,
    digits: 2,
    values: (results) => results.values('shared', 'share', OURS).map((share) => Math.min(share, 1 / share)),
  },
  against(KERNEL, 'requests', "Node's web server, requests a second", 0.8),
];
