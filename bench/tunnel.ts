/** The tunnel's race: guise against everybody who carries datagrams. */
import { Rig } from '../test/net/rig.js';
import { CONTENDERS, GUISE, ON_TUN, STRAIGHT_UDP, type Contender } from './contenders.js';
import { GOALS } from './goals.js';
import { FIGURES, HEATS, meets, PROFILES, type Context, type Heat, type Profile } from './heats.js';
import type { Track } from './measures.js';
import type { Race } from './race.js';
import { tunnelCharts } from './report/tunnel_charts.js';

const COMPARED = [STRAIGHT_UDP, GUISE, ON_TUN];
const QUICK_PROFILES = ['tso', 'noTso'];

export const TUNNEL: Race<Track, Context, Contender, Heat> = {
  name: 'tunnel',
  title: 'guise against everybody',
  setting: 'client, NAT router and server in namespaces on the same cores, 1400 bytes unless said',
  profiles: PROFILES,
  figures: FIGURES,
  heats: HEATS,
  goals: GOALS,
  contenders: CONTENDERS,
  ours: GUISE,
  yardstick: { name: STRAIGHT_UDP, profile: 'tso', figure: 'plain' },
  colors: { 'kernel TCP': '#3c4a5d', phantun: '#c2a878', udp2raw: '#a79bbd', mimic: '#7fa08a' },
  charts: tunnelCharts,

  takesPart({ profile, heat, contender: { name } }, quick) {
    if (!meets(heat, name)) return false;
    const forEverybody = profile === 'tso' && heat.quick === 'everybody';
    return !quick || (QUICK_PROFILES.includes(profile) && (forEverybody || COMPARED.includes(name)));
  },

  async open(profile, contender, seconds) {
    const rig = await Rig.create(PROFILES[profile as Profile].rig);
    try {
      const way = await contender.start(rig);
      return { rig, way, seconds, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  },

  newRound: (curve) => ({ straightRate: 0, curve }),
};
