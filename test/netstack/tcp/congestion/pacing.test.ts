import t from 'tap';
import { sendQuantum } from '../../../../src/netstack/tcp/congestion/pacing.js';

t.test('a millisecond of the rate leaves at once: whole segments, two at least, a super-segment at most', async (t) => {
  t.equal(sendQuantum(100, 1000), 1000, 'one below 1.2 Mbit/s');
  t.equal(sendQuantum(200, 1000), 2000);
  t.equal(sendQuantum(10_240, 1000), 10_000);
  t.equal(sendQuantum(1e9, 1448), 45 * 1448);
  t.equal(sendQuantum(Infinity, 1448), 45 * 1448);
  t.equal(sendQuantum(1e9, 60_000), 120_000);
});
