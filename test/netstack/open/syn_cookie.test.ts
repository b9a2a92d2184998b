import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { makeCookie, mayComeBack, readCookie, type Hash } from '../../../src/netstack/open/syn_cookie.js';

/** Of one tuple. */
const hashOf =
  (tuple: string): Hash =>
  (word) =>
    createHash('sha256').update(`${tuple} ${word}`).digest().readInt32LE();
const hash = hashOf('a');

const facts = fc.record({
  mss: fc.integer({ min: 0, max: 65_535 }),
  scale: fc.integer({ min: -1, max: 14 }),
  sackPermitted: fc.boolean(),
});

t.test('what a SYN said comes back, its MSS rounded down', async () => {
  fc.assert(
    fc.property(facts, fc.integer(), fc.nat(1e9), fc.nat(60_000), (said, seq, now, later) => {
      const isn = makeCookie(hash, seq | 0, said, now);
      const read = readCookie(hash, seq | 0, isn, now + later)!;
      if (read.scale !== said.scale || read.sackPermitted !== said.sackPermitted) throw new Error('others');
      if (read.mss > Math.max(said.mss, 536) || (said.mss === 1460 && read.mss !== 1460)) throw new Error('MSS');
    }),
  );
});

t.test('a cookie is good for its own ends, its own SYN and two slots of time', async (t) => {
  const said = { mss: 1460, scale: 7, sackPermitted: true };
  const isn = makeCookie(hash, 99, said, 1000);
  t.same(readCookie(hash, 99, isn, 127_000), said);
  t.equal(readCookie(hash, 99, isn, 129_000), undefined, 'too old');
  t.equal(readCookie(hash, 100, isn, 1000), undefined, 'another SYN');
  t.equal(readCookie(hashOf('b'), 99, isn, 1000), undefined, 'another client');
  t.equal(readCookie(hash, 99, isn ^ 1, 1000), undefined, 'another MSS');
  t.ok(mayComeBack(1000, 100_000));
  t.notOk(mayComeBack(1000, 130_000));
});

t.test('a number that was guessed is a cookie once in 2^23 times', async (t) => {
  let taken = 0;
  for (let guess = 0; guess < 20_000; guess++) if (readCookie(hash, 5, Math.imul(guess, 0x9e3779b1), 1000)) taken++;
  t.ok(taken <= 1, `${taken}`);
});
