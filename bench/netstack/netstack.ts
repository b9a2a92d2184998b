/** The netstack race: guise/netstack against the kernel and stacks in Go, C and Rust. */
import type { Race } from '../race.js';
import { barChart, type Chart } from '../report/charts.js';
import type { Report } from '../report/report.js';
import { CONTENDERS, GVISOR, KERNEL, LWIP, OURS, SMOLTCP, type Contender } from './contenders.js';
import { GOALS } from './goals.js';
import { FIGURES, HEATS, PROFILES, type FigureId, type ProfileId, type StackHeat } from './heats.js';
import type { Track } from './measures.js';

const CHARTS: readonly (readonly [ProfileId, FigureId])[] = [
  ['tso', 'up'],
  ['tso', 'down'],
  ['noTso', 'up'],
  ['noTso', 'down'],
  ['tso', 'roundTrip'],
  ['tso', 'churn'],
  ['tso', 'idleMemory'],
  ['lan1', 'up'],
  ['lan1', 'down'],
];

export const NETSTACK: Race<Track, undefined, Contender, StackHeat> = {
  name: 'netstack',
  title: 'guise/netstack against the kernel, gVisor, lwIP and smoltcp',
  setting:
    'kernel TCP as the peer of each, in a namespace on the same cores, packets of 1500 bytes, contents verified at ' +
    'both ends',
  profiles: PROFILES,
  figures: FIGURES,
  heats: HEATS,
  goals: GOALS,
  contenders: CONTENDERS,
  ours: OURS,
  yardstick: { name: KERNEL, profile: 'tso', figure: 'up' },
  colors: { [GVISOR]: '#c2a878', [LWIP]: '#a79bbd', [SMOLTCP]: '#7fa08a' },
  charts: (report: Report): Chart[] => CHARTS.flatMap(([profile, figure]) => barChart(report, profile, figure)),

  takesPart: ({ heat, contender }) => heat.only?.includes(contender.name) ?? true,

  async open(profile, contender, seconds) {
    const conditions = PROFILES[profile as ProfileId];
    const stand = await contender.start(conditions);
    return { ...stand, conditions, seconds, [Symbol.asyncDispose]: () => stand.site[Symbol.asyncDispose]() };
  },

  newRound: () => undefined,
};
