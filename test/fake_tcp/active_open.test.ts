import fc from 'fast-check';
import t from 'tap';
import { ActiveOpen, NO_OPTIONS, type OpenOutcome, type OpenStep } from '../../src/fake_tcp/active_open.js';

const SYN = 2,
  RST = 4,
  ACK = 16;

const number = fc.integer({ min: 0, max: 2 ** 32 - 1 });
/** Numbers that mean something to the machine come up often. */
const near = (iss: number): fc.Arbitrary<number> =>
  fc.oneof(number, fc.constantFrom(iss, (iss + 1) >>> 0, (iss + 2) >>> 0, 0));

const story = number.chain((iss) =>
  fc.record({
    iss: fc.constant(iss),
    limit: fc.integer({ min: 1, max: 60_000 }),
    happenings: fc.array(
      fc.oneof(
        fc.constant('timeout' as const),
        fc.record({ flags: fc.integer({ min: 0, max: 63 }), seq: near(iss), ack: near(iss) }),
      ),
      { maxLength: 30 },
    ),
  }),
);

t.test('an open is decided once, by its own SYN-ACK or RST or by its time, and by nothing else', async () => {
  fc.assert(
    fc.property(story, ({ iss, limit, happenings }) => {
      const open = new ActiveOpen({ profile: 'guise', iss, mss: 1460, limit });
      let waited = 0;
      const take = ({ send, wait = 0, outcome }: OpenStep): OpenOutcome | undefined => {
        waited += wait;
        if (send?.flags === SYN && send.seq !== iss) throw new Error('another ISN');
        if (send && outcome) throw new Error('sends and is decided');
        return outcome;
      };
      let outcome = take(open.start());
      for (const each of happenings) {
        if (outcome) break;
        if (each === 'timeout') {
          outcome = take(open.timeout());
          if (outcome?.type === 'timedOut' && waited !== limit)
            throw new Error(`timed out after ${waited} of ${limit} ms`);
          continue;
        }
        outcome = take(open.segment({ ...each, options: NO_OPTIONS }));
        const ours = (each.flags & ACK) !== 0 && each.ack === (iss + 1) >>> 0;
        const expected = !ours
          ? undefined
          : each.flags & RST
            ? 'refused'
            : each.flags & SYN
              ? 'established'
              : undefined;
        if (outcome?.type !== expected) throw new Error(`${outcome?.type} instead of ${expected}`);
        if (outcome?.type === 'established' && outcome.receiveNext !== (each.seq + 1) >>> 0) throw new Error('RCV.NXT');
      }
    }),
    { numRuns: 5000 },
  );
});

t.test('who is expected to have another ISN is sent a RST', async (t) => {
  const open = (): ActiveOpen => new ActiveOpen({ profile: 'phantun', iss: 0, mss: 1460, limit: 15_000, expected: 0 });
  t.match(open().segment({ flags: SYN | ACK, seq: 0, ack: 1, options: NO_OPTIONS }), {
    outcome: { type: 'established', receiveNext: 1 },
  });
  t.match(open().segment({ flags: SYN | ACK, seq: 7, ack: 1, options: NO_OPTIONS }), {
    send: { flags: RST, seq: 1 },
    outcome: { type: 'mistaken' },
  });
});

t.test('SYNs leave at 0, 1, 3 and 7 s', async (t) => {
  const open = new ActiveOpen({ profile: 'guise', iss: 1, mss: 1460, limit: 15_000 });
  const waits = [open.start(), open.timeout(), open.timeout(), open.timeout()].map(({ wait }) => wait);
  t.same(waits, [1000, 2000, 4000, 8000]);
  t.same(open.timeout(), { outcome: { type: 'timedOut' } });
});
