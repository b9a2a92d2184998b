/** What guise has to reach, each as ratios or differences of the same round. */
import { GUISE, NO_OFFLOAD, ONE_RELAY, STRAIGHT_UDP, TWO_RELAYS } from './contenders.js';
import { pairs, ratio, type Goal, type Term } from './goal.js';
import type { FigureId, Profile } from './heats.js';
import type { Results } from './results.js';

const of = (contender: string, figure: FigureId, profile: Profile = 'tso'): Term => ({
  of: contender,
  figure,
  profile,
});
const guise = (figure: FigureId, profile: Profile = 'tso'): Term => of(GUISE, figure, profile);
const straight = (figure: FigureId, profile: Profile = 'tso'): Term => of(STRAIGHT_UDP, figure, profile);

function above(title: string, other: string, goal: number): Goal {
  const values = (results: Results): number[] =>
    pairs(results, guise('roundTrip'), of(other, 'roundTrip'), (x, y) => x - y);
  return { title, goal, atLeast: false, digits: 0, values };
}

function most(title: string, figure: FigureId, goal: number, profile: Profile = 'tso'): Goal {
  return { title, goal, atLeast: false, digits: 2, values: (results) => results.values(profile, figure, GUISE) };
}

export const GOALS: readonly Goal[] = [
  ratio('plain sender / straight UDP', guise('plain'), straight('plain'), 1.6),
  ratio('plain sender / straight UDP, no TSO', guise('plain', 'noTso'), straight('plain', 'noTso'), 1.5),
  most('lost at 90 % of straight UDP, %', 'loss90', 0.001),
  ratio('UDP_SEGMENT sender / kernel TCP', guise('segmented'), straight('tcp'), 1),
  ratio('UDP_SEGMENT sender / kernel TCP, no TSO', guise('segmented', 'noTso'), straight('tcp', 'noTso'), 0.95),
  ratio('UDP_SEGMENT sender, offload on / off', guise('segmented'), of(NO_OFFLOAD, 'segmented'), 8),
  ratio('plain sender / phantun', guise('plain'), of('phantun', 'plain'), 5),
  ratio('UDP_SEGMENT sender / phantun', guise('segmented'), of('phantun', 'segmented'), 25),
  ratio('plain sender / udp2raw', guise('plain'), of('udp2raw', 'plain'), 5.5),
  ratio('plain sender / mimic', guise('plain'), of('mimic', 'plain'), 1.4),
  ratio('processor time / phantun, 40 000/s one by one', guise('ownCost'), of('phantun', 'ownCost'), 0.3, false),
  ratio('the same, in a burst each millisecond', guise('burstyOwnCost'), of('phantun', 'burstyOwnCost'), 0.2, false),
  ratio('the same, bursts of UDP_SEGMENT', guise('segmentedOwnCost'), of('phantun', 'segmentedOwnCost'), 0.2, false),
  ratio('64-byte datagrams / straight UDP', guise('small'), straight('small'), 0.9),
  ratio('Internet mix / straight UDP', guise('imix'), straight('imix'), 0.9),
  ratio('1 000 flows / 1 flow', guise('flows1000'), guise('plain'), 0.8),
  ratio('10 000 flows / 1 flow', guise('flows10000'), guise('plain'), 0.8),
  ratio('round trip p50 / udp2raw', guise('roundTrip'), of('udp2raw', 'roundTrip'), 1, false),
  ratio('beside half the load, p50 / udp2raw', guise('loadedRoundTrip'), of('udp2raw', 'loadedRoundTrip'), 1, false),
  ratio('the same, p99', guise('loadedRoundTrip99'), of('udp2raw', 'loadedRoundTrip99'), 1, false),
  ratio('set-up of a flow / phantun', guise('setUp'), of('phantun', 'setUp'), 1, false),
  above('round trip p50 above straight UDP, µs', STRAIGHT_UDP, 50),
  above('round trip p50 above a plain UDP relay at the client, µs', ONE_RELAY, 15),
  above('round trip p50 above plain UDP relays on both hosts, µs', TWO_RELAYS, 15),
  ratio('WireGuard through guise / WireGuard alone', guise('wireGuard'), straight('wireGuard'), 0.95),
  ratio('kernel TCP beside an idle guise / without', guise('tcpBeside'), straight('tcpBeside'), 0.98),
  ratio('the same, no TSO', guise('tcpBeside', 'noTso'), straight('tcpBeside', 'noTso'), 0.98),
  {
    title: 'JavaScript to JavaScript, thousand datagrams/s',
    goal: 300,
    atLeast: true,
    digits: 0,
    values: (results) => results.values('tso', 'library', STRAIGHT_UDP),
  },
  most('processor time with no flow, %', 'idleCpu', 0.2),
  most('processor time with 10 000 idle flows, %', 'idleCpu10000', 0.2),
  most('memory of an idle flow of 10 000, KiB', 'flowMemory10000', 2.5),
];
