/** Imported before a program, it makes JavaScript's chance the same in every run. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { Boundaries } from '../../src/fake_tcp/boundaries.js';

let state = 1;
const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);

Math.random = () => next() / 2 ** 32;
crypto.randomInt = ((least: number, most?: number) =>
  most === undefined ? next() % least : least + (next() % (most - least))) as typeof crypto.randomInt;
syncBuiltinESMExports();

// Probes come when they are due, and none looks like another.
Boundaries.prototype.check = () => ({ probes: [], next: Infinity });
