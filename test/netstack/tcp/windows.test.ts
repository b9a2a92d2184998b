/** The window that is announced, and the congestion window behind a silence and behind reordering. */
import t from 'tap';
import { pattern, Simulation } from './simulation.js';

t.test('without window scaling, a read is told only when it opens the window', (t) => {
  const s = new Simulation({ b: { windowScaling: false, receiveBuffer: 540_000 } });
  s.b.reads = false;
  s.connect();
  for (let i = 0; i < 5; ++i) {
    s.a.connection!.write(pattern(1000), s.now);
    s.until(() => s.b.unread === 1000);
    s.run(100);
    s.b.read();
    s.run(100);
  }
  const told = s.sentBy(s.b).map(({ ack, window }) => `${ack} ${window}`);
  t.same(told, [...new Set(told)], 'no ACK twice');
  t.end();
});

t.test('behind a silence of more than a time-out the congestion window is the initial one', (t) => {
  const s = new Simulation({ a: { sendBuffer: 400_000 } });
  s.connect();
  const first = s.a.connection!.congestion.window;
  s.a.connection!.write(pattern(300_000), s.now);
  s.until(() => s.b.received_ === 300_000);
  s.run(100);
  const grown = s.a.connection!.congestion.window;
  t.ok(grown > 2 * first, 'it has grown');

  s.a.connection!.write(pattern(1000), s.now);
  s.run(100);
  t.ok(s.a.connection!.congestion.window >= grown, 'a pause of less changes nothing');

  s.run(5000);
  const before = s.log.length;
  s.a.connection!.write(pattern(300_000), s.now);
  s.flush();
  const burst = s.sentBy(s.a, before).reduce((bytes, { payload }) => bytes + payload.length, 0);
  t.equal(burst, first);
  t.end();
});

t.test('without SACK, what came out of order grows the congestion window once', (t) => {
  const s = new Simulation({ a: { sack: false, timestamps: false } });
  s.connect();
  const { connection } = s.a;
  const { segmentSize } = connection!;
  // An ACK that tells of another window is no duplicate: let it be told before.
  connection!.write(pattern(segmentSize), s.now);
  s.run(1000);
  const first = connection!.congestion.window;
  const begin = s.log.length;
  // The first of ten comes behind the third, so that there are two duplicate ACKs.
  s.path = (segment) => {
    const index = s.log.indexOf(segment) - begin;
    if (segment.from === s.b) return [10];
    return [index === 0 ? 12.5 : 10 + index];
  };
  connection!.write(pattern(10 * segmentSize), s.now);
  s.until(() => s.b.received_ === 11 * segmentSize);
  s.run(1000);
  t.equal(connection!.bytesResent, 0);
  t.equal(connection!.congestion.window, first + 8 * segmentSize, 'not by the two that duplicates told of');
  t.end();
});
