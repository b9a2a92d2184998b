/** The congestion controls, by name. */
import { Bbr } from './bbr.js';
import type { CongestionControl } from './control.js';
import { Cubic } from './cubic.js';
import { Reno } from './reno.js';

/**
 * Makes a control for one connection. `segmentSize`: bytes of payload of a full segment, of which the initial window is
 * made. `chance`: any 32-bit number; a control that does something by chance takes it from there.
 */
export type CongestionMaker = (segmentSize: number, chance: number) => CongestionControl;

const MAKERS = {
  cubic: (segmentSize) => new Cubic(segmentSize),
  reno: (segmentSize) => new Reno(segmentSize),
  bbr: (segmentSize, chance) => new Bbr(segmentSize, chance),
} as const satisfies Readonly<Record<string, CongestionMaker>>;

/**
 * A congestion control.
 *
 * @example
 * ```ts
 * import type { CongestionName } from 'guise/netstack';
 *
 * const overLossyLinks: CongestionName = 'bbr';
 * ```
 */
export type CongestionName = keyof typeof MAKERS;

/** Their names, the default first. */
export const CONGESTION_NAMES = Object.keys(MAKERS) as readonly CongestionName[];

/** How the control of a name is made. */
export const chooseCongestion = (name: CongestionName): CongestionMaker => MAKERS[name];
