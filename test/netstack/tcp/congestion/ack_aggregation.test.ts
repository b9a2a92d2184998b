import t from 'tap';
import { AckAggregation } from '../../../../src/netstack/tcp/congestion/ack_aggregation.js';
import { AckSample } from '../../../../src/netstack/tcp/congestion/control.js';

const MSS = 1000;
/** Bytes a millisecond. */
const BANDWIDTH = 100;
const WINDOW = 50_000;

/** `count` bursts of so many bytes, `apart` milliseconds one from the other; each is a round when `areRounds`. */
function bursts(links: AckAggregation, count: number, bytes: number, apart: number, areRounds = false): void {
  for (let i = 0; i < count; i++) {
    sample.now += apart;
    sample.delivered = bytes;
    links.acknowledged(sample, areRounds, BANDWIDTH, WINDOW, MSS);
  }
}
const sample = new AckSample();

t.test('ACKs that come one by one leave next to nothing', async (t) => {
  const links = new AckAggregation();
  bursts(links, 1000, MSS, 10);
  t.equal(links.extra(BANDWIDTH), MSS, 'a segment');
});

t.test('what comes beyond the share of the bandwidth counts', async (t) => {
  const links = new AckAggregation();
  bursts(links, 50, 4 * MSS, 40);
  t.equal(links.extra(BANDWIDTH), 4 * MSS);
  bursts(links, 1, 4 * MSS, 30);
  bursts(links, 1, 4 * MSS, 10);
  bursts(links, 1, 0, 10);
  t.equal(links.extra(BANDWIDTH), 8 * MSS, 'two bursts with less than their time between them');
});

t.test('it is forgotten behind five to ten rounds, and silence begins anew', async (t) => {
  const links = new AckAggregation();
  bursts(links, 1, 9 * MSS, 1000);
  bursts(links, 5, MSS, 1000, true);
  t.equal(links.extra(BANDWIDTH), 9 * MSS);
  bursts(links, 5, MSS, 1000, true);
  t.equal(links.extra(BANDWIDTH), MSS);
  bursts(links, 1, 4 * MSS, 1000);
  links.restart(sample.now);
  bursts(links, 1, 4 * MSS, 1);
  t.equal(links.extra(BANDWIDTH), 4 * MSS, 'not both together');
});

t.test('it is at most the window, and a tenth of a second of bandwidth', async (t) => {
  const links = new AckAggregation();
  bursts(links, 1, 2 * WINDOW, 1000);
  t.equal(links.extra(10 * BANDWIDTH), WINDOW);
  t.equal(links.extra(BANDWIDTH), 10_000);
});

t.test('an epoch ends when it has gone on for a million segments', async (t) => {
  const links = new AckAggregation();
  const slowly = 2 ** 20 * MSS;
  sample.now += 1000;
  sample.delivered = MSS;
  links.acknowledged(sample, false, 0, WINDOW, MSS);
  sample.delivered = slowly - MSS;
  links.acknowledged(sample, false, 0, slowly, MSS);
  t.equal(links.extra(Infinity), slowly - MSS, 'not the whole million');
});
