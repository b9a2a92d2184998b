import t from 'tap';
import { Rack } from '../../../src/netstack/tcp/rack.js';
import { RESENT, Run } from '../../../src/netstack/tcp/scoreboard.js';

/** One segment of 1000 bytes that left at `sentAt`, as transmission number `order`. */
function segment(start: number, sentAt: number, order: number, state = 0): Run {
  const run = new Run(start, start + 1000, 1000);
  run.sentAt = sentAt;
  run.order = order;
  run.state = state;
  return run;
}

t.test('a segment that a hole held back counts with all the time that it took', (t) => {
  const rack = new Rack();
  rack.arrived(segment(8001, 0, 1), 10, 10, false);
  // The retransmission fills the hole; the rest of what was sent at 0 shows by the same ACK.
  rack.arrived(segment(1, 10, 2, RESENT), 22, 10, false);
  t.equal(rack.rtt, 12);
  rack.arrived(segment(3001, 0, 1), 22, 10, false);
  t.equal(rack.rtt, 22);
  t.end();
});

t.test('reordering is the most segments by which one was overtaken', (t) => {
  const rack = new Rack();
  rack.arrived(segment(2001, 0, 1), 10, 10, false);
  rack.arrived(segment(8001, 0, 1), 10, 10, false);
  t.equal(rack.reordering, 3, 'at first, what duplicate ACKs allow for');
  rack.arrived(segment(4001, 5, 2, RESENT), 15, 10, false);
  t.equal(rack.reordering, 3, 'a retransmission is behind because it left late');
  rack.arrived(segment(3001, 0, 1), 15, 10, false);
  t.equal(rack.reordering, 6);
  rack.arrived(segment(5001, 0, 1), 15, 10, false);
  t.equal(rack.reordering, 6);
  t.end();
});
