import t from 'tap';
import { STATE } from '../../../src/netstack/tcp/states.js';
import { ACK, FIN, RST, SYN } from '../../../src/netstack/tcp/segment.js';
import { pattern, Simulation, type Sent } from './simulation.js';

const MB = 1_000_000;

t.test('handshake', (t) => {
  const s = new Simulation();
  s.connect();
  t.same(
    s.log.slice(0, 3).map(({ flags }) => flags),
    [SYN, SYN | ACK, ACK],
  );
  t.equal(s.a.connection!.segmentSize, 1448, 'an MTU of 1500 less headers and time stamps');
  t.equal(s.a.connection!.roundTrip.smoothed, 20);
  t.end();
});

t.test('a port on which nobody listens refuses', (t) => {
  const s = new Simulation();
  s.b.listens = false;
  s.a.connect();
  s.until(() => s.a.isClosed);
  t.equal(s.a.failure, 'ECONNREFUSED');
  t.end();
});

t.test('a SYN that nobody answers comes again after 1, 2, 4 … seconds, and gives up', (t) => {
  const s = new Simulation({ a: { synRetries: 3 }, path: () => [] });
  s.a.connect();
  s.until(() => s.a.isClosed);
  t.equal(s.a.failure, 'ETIMEDOUT');
  t.same(
    s.log.map(({ at }) => at - 1000),
    [0, 1000, 3000, 7000],
  );
  t.equal(s.now - 1000, 15_000);
  t.end();
});

t.test('both open at once', (t) => {
  const s = new Simulation();
  s.a.connect();
  s.b.connect();
  s.until(() => s.a.isEstablished && s.b.isEstablished);
  s.a.connection!.write(pattern(5000), s.now);
  s.b.connection!.write(pattern(5000), s.now);
  s.until(() => s.a.received_ === 5000 && s.b.received_ === 5000);
  t.end();
});

for (const [name, options] of [
  ['with all options', {}],
  ['without SACK', { sack: false }],
  ['without time stamps', { timestamps: false }],
  ['without window scaling', { windowScaling: false }],
  ['with BBR', { congestion: 'bbr' }],
  ['with Reno', { congestion: 'reno' }],
  ['with Nagle', { noDelay: false }],
  ['with ECN', { ecn: 'ask' }],
] as const) {
  t.test(`a megabyte each way ${name}`, (t) => {
    const s = new Simulation({ a: { ...options, sendBuffer: 4 * MB }, b: { ...options, sendBuffer: 4 * MB } });
    s.connect();
    const up = pattern(MB);
    const down = pattern(MB, 77);
    for (let i = 0; i < MB; i += 50_000) {
      s.a.connection!.write(up.subarray(i, i + 50_000), s.now);
      s.b.connection!.write(down.subarray(i, i + 50_000), s.now);
    }
    s.a.connection!.end(s.now);
    s.b.connection!.end(s.now);
    s.until(() => s.a.isClosed && s.b.isClosed);
    t.equal(s.a.failure, undefined);
    t.equal(s.b.failure, undefined);
    t.ok(s.b.bytes.equals(up));
    t.ok(s.a.bytes.equals(down));
    t.notOk(
      s.log.some(({ payload }) => payload.length > 1460),
      'no segment is too large',
    );
    t.end();
  });
}

t.test('sequence numbers wrap', (t) => {
  const s = new Simulation({ a: { isn: -5000, sendBuffer: 4 * MB }, b: { isn: 0x7fffff00 } });
  s.connect();
  const up = pattern(MB);
  s.a.connection!.write(up, s.now);
  s.until(() => s.b.received_ === MB);
  t.ok(s.b.bytes.equals(up));
  t.end();
});

t.test('half-close: the other direction goes on', (t) => {
  const s = new Simulation();
  s.connect();
  s.a.connection!.end(s.now);
  s.until(() => s.b.hasEnded);
  t.equal(s.b.connection!.state, STATE.closeWait);
  s.until(() => s.a.connection!.state === STATE.finWait2);
  s.b.connection!.write(pattern(10_000), s.now);
  s.until(() => s.a.received_ === 10_000);
  s.b.connection!.end(s.now);
  s.until(() => s.a.isClosed && s.b.isClosed);
  t.equal(s.a.connection!.state, STATE.timeWait);
  s.run(60_100);
  t.equal(s.a.connection, undefined, 'TIME-WAIT is over');
  t.end();
});

t.test('both close at once', (t) => {
  const s = new Simulation();
  s.connect();
  s.a.connection!.end(s.now);
  s.b.connection!.end(s.now);
  s.until(() => s.a.isClosed && s.b.isClosed);
  t.equal(s.a.connection!.state, STATE.timeWait);
  t.equal(s.b.connection!.state, STATE.timeWait);
  t.end();
});

t.test('an abort resets the peer', (t) => {
  const s = new Simulation();
  s.connect();
  s.a.connection!.abort(s.now);
  s.until(() => s.b.isClosed);
  t.equal(s.b.failure, 'ECONNRESET');
  t.equal(s.a.isClosed, false, 'who aborts is not told');
  t.equal(s.b.released_, 1);
  t.end();
});

t.test('a user that leaves: what comes later is answered with RST', (t) => {
  const s = new Simulation();
  s.connect();
  s.a.connection!.leave(s.now);
  s.until(() => s.b.hasEnded);
  s.b.connection!.write(pattern(10), s.now);
  s.until(() => s.b.isClosed);
  t.equal(s.b.failure, 'ECONNRESET');
  t.end();
});

t.test('a reader that stops closes the window; when it reads, everything comes', (t) => {
  const s = new Simulation({ b: { receiveBufferMost: 65_536 }, a: { sendBuffer: MB } });
  s.b.reads = false;
  s.connect();
  const up = pattern(500_000);
  s.a.connection!.write(up, s.now);
  s.run(60_000);
  t.ok(s.b.received_ <= 65_536, 'no more than the buffer');
  const probes = s.sentBy(s.a).filter(({ at, payload }) => at > 10_000 && payload.length <= 1).length;
  t.ok(probes >= 3 && probes < 20, `the window is asked about, ever more slowly: ${probes}`);
  s.b.reads = true;
  s.b.read();
  s.until(() => s.b.received_ === up.length);
  t.ok(s.b.bytes.equals(up));
  t.end();
});

t.test('a peer that takes back its window hears ACKs that lie within it', (t) => {
  const s = new Simulation();
  s.connect();
  const base = s.sentBy(s.b).at(-1)!;
  s.path = (segment) => (segment.from === s.a ? [] : [10]);
  s.a.connection!.write(pattern(10_000), s.now);
  s.run(1);
  const { una, nxt } = s.a.connection!;
  t.equal((nxt - una) | 0, 10_000, 'all of it is under way, and the peer drops it');
  const tell = { ...base, flags: ACK, seq: s.a.connection!.rcvNxt, ack: una, sack: [] };
  s.inject({ ...tell, window: 0, payload: new Uint8Array(0) });
  s.run(1);
  const before = s.log.length;
  s.inject({ ...tell, window: 0, payload: pattern(100) });
  s.run(1);
  t.equal(s.a.received_, 100);
  const [answer] = s.sentBy(s.a, before).filter(({ payload }) => payload.length === 0);
  t.equal(answer?.seq, una);
  t.end();
});

t.test('a window update that gets lost is no end', (t) => {
  const s = new Simulation({ b: { receiveBufferMost: 65_536 }, a: { sendBuffer: MB } });
  s.b.reads = false;
  s.connect();
  s.a.connection!.write(pattern(200_000), s.now);
  s.run(5000);
  s.path = (segment) => (segment.from === s.b ? [] : [10]);
  s.b.reads = true;
  s.b.read();
  s.run(100);
  s.path = () => [10];
  s.until(() => s.b.received_ === 200_000);
  t.end();
});

/** Loses the segments that a function chooses, once each. */
function losing(chosen: (segment: Sent) => boolean): (segment: Sent) => number[] {
  const seen = new Set<number>();
  return (segment) => {
    if (segment.payload.length === 0 || seen.has(segment.seq) || !chosen(segment)) return [10];
    seen.add(segment.seq);
    return [];
  };
}

for (const sack of [true, false]) {
  t.test(
    `one lost segment comes again within a round trip or two, no time-out ${sack ? 'with' : 'without'} SACK`,
    (t) => {
      const s = new Simulation({ a: { sack, sendBuffer: MB }, b: { sack } });
      s.connect();
      let count = 0;
      s.path = losing(() => ++count === 5);
      s.a.connection!.write(pattern(100_000), s.now);
      const began = s.now;
      s.until(() => s.b.received_ === 100_000);
      t.equal(s.a.connection!.timeouts, 0);
      t.equal(s.a.connection!.recoveries, 1);
      t.ok(s.now - began < 150, `${s.now - began} ms`);
      t.equal(s.a.connection!.bytesResent, 1448, 'nothing else is sent again');
      t.end();
    },
  );
}

t.test('ACKs do not wait behind a gap: the peer recovers by them', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  for (let i = 0; i < 40; ++i) {
    s.a.connection!.write(pattern(100), s.now);
    s.run(100);
  }
  const waited = (): number => {
    const sent = s.now;
    s.a.connection!.write(pattern(100), s.now);
    s.until(() => s.a.connection!.queue.size === 0);
    return s.now - sent;
  };
  t.equal(waited(), 60, 'one segment waits 40 ms for company');
  s.path = losing(() => true);
  s.a.connection!.write(pattern(100), s.now);
  s.a.connection!.flush(s.now);
  s.path = () => [10];
  s.a.connection!.write(pattern(100), s.now);
  s.until(() => s.a.connection!.queue.size === 0);
  t.equal(waited(), 20);
  t.end();
});

t.test('the last segment is lost: a probe finds out before the time-out', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  s.path = losing(({ seq, payload }) => ((seq + payload.length) | 0) === 1001 + 20_000);
  s.a.connection!.write(pattern(20_000), s.now);
  s.until(() => s.b.received_ === 20_000);
  t.equal(s.a.connection!.timeouts, 0);
  s.run(500);
  t.equal(s.a.connection!.info().inFlight, 0);
  t.end();
});

t.test('everything is lost for a while: time-outs back off, then all comes', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  s.path = () => [];
  s.a.connection!.write(pattern(50_000), s.now);
  s.run(10_000);
  const times = s.sentBy(s.a, 3).map(({ at }) => at);
  t.ok(new Set(times).size <= 8, 'few attempts');
  s.path = () => [10];
  s.until(() => s.b.received_ === 50_000);
  t.ok(s.a.connection!.timeouts >= 4);
  t.end();
});

t.test('a peer that is gone: ETIMEDOUT', (t) => {
  const s = new Simulation({ a: { retries: 4 } });
  s.connect();
  s.path = () => [];
  s.a.connection!.write(pattern(10), s.now);
  s.until(() => s.a.isClosed);
  t.equal(s.a.failure, 'ETIMEDOUT');
  t.end();
});

t.test('user time-out', (t) => {
  const s = new Simulation({ a: { userTimeout: 3000 } });
  s.connect();
  s.path = () => [];
  s.a.connection!.write(pattern(10), s.now);
  const began = s.now;
  s.until(() => s.a.isClosed);
  t.equal(s.a.failure, 'ETIMEDOUT');
  t.equal(s.now - began, 3000);
  t.end();
});

t.test('keepalive: a peer that is there stays, one that is gone is noticed', (t) => {
  const s = new Simulation({ a: { keepAliveTime: 10_000, keepAliveInterval: 1000, keepAliveProbes: 3 } });
  s.connect();
  s.run(60_000);
  t.notOk(s.a.isClosed);
  s.path = () => [];
  s.until(() => s.a.isClosed);
  t.equal(s.a.failure, 'ETIMEDOUT');
  t.end();
});

t.test('a late segment is not a lost one: the reduction is taken back', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB }, b: { sendBuffer: MB } });
  s.connect();
  s.a.connection!.write(pattern(100_000), s.now);
  s.until(() => s.b.received_ === 100_000);
  const before = s.a.connection!.congestion.window;
  s.path = (segment) => [segment.payload.length > 0 ? 600 : 10]; // the path stops for a while
  s.a.connection!.write(pattern(2000), s.now);
  s.until(() => s.a.connection!.queue.size === 0);
  t.ok(s.a.connection!.timeouts > 0, 'a time-out came');
  s.run(2000);
  t.ok(s.a.connection!.spurious > 0, 'and was for nothing');
  t.ok(s.a.connection!.congestion.window >= before * 0.9);
  t.end();
});

t.test('what came twice of an earlier time says nothing of this loss', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  s.a.connection!.write(pattern(20_000), s.now);
  s.until(() => s.a.connection!.queue.size === 0);
  const old = s.a.connection!.una;
  let count = 0;
  s.path = losing(() => ++count === 2);
  s.a.connection!.write(pattern(50_000), s.now);
  s.until(() => s.a.connection!.bytesResent > 0);
  const ack = s.sentBy(s.b).at(-1)!;
  const { window } = s.a.connection!.congestion;
  s.inject({ ...ack, sack: [(old - 1448) | 0, old] });
  s.run(1);
  t.equal(s.a.connection!.spurious, 0);
  t.ok(s.a.connection!.congestion.window <= window);
  s.until(() => s.b.received_ === 70_000);
  t.end();
});

t.test('all that was sent again came twice: nothing was lost', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB, timestamps: false } });
  s.connect();
  let count = 0;
  s.path = losing(() => ++count === 2);
  s.a.connection!.write(pattern(50_000), s.now);
  s.until(() => s.a.connection!.bytesResent > 0);
  const ack = s.sentBy(s.b).at(-1)!;
  const hole = s.a.connection!.una;
  s.inject({ ...ack, ack: (hole + 1460) | 0, sack: [hole, (hole + 1460) | 0] });
  s.run(1);
  t.equal(s.a.connection!.spurious, 1);
  s.until(() => s.b.received_ === 50_000);
  t.end();
});

t.test('forged RST, SYN and data', (t) => {
  const s = new Simulation();
  s.connect();
  const base = s.sentBy(s.a).at(-1)!;
  const forge = (change: Partial<Sent>): Sent => ({
    ...base,
    hasTimestamp: false,
    sack: [],
    payload: new Uint8Array(0),
    ...change,
  });
  const next = s.b.connection!.rcvNxt;
  s.inject(forge({ flags: RST, seq: (next + 100) | 0 }));
  s.inject(forge({ flags: RST, seq: (next - 1) | 0 }));
  s.inject(forge({ flags: SYN, seq: (next + 5) | 0 }));
  s.inject(forge({ flags: ACK, seq: next, ack: (base.ack + 100_000) | 0, payload: pattern(5) }));
  s.inject(forge({ flags: ACK, seq: (next + 100_000_000) | 0, payload: pattern(5) }));
  s.run(100);
  t.notOk(s.b.isClosed, 'RFC 5961: none of it ends the connection');
  t.equal(s.b.received_, 0);
  t.ok(s.b.challenges >= 3);
  s.inject(forge({ flags: RST, seq: next }));
  s.run(100);
  t.equal(s.b.failure, 'ECONNRESET', 'the exact number does');
  t.end();
});

t.test('PAWS: a segment of long ago is not taken', (t) => {
  const s = new Simulation();
  s.connect();
  s.a.connection!.write(pattern(100), s.now);
  s.until(() => s.b.received_ === 100);
  s.run(1000);
  s.a.connection!.write(pattern(100), s.now);
  s.until(() => s.b.received_ === 200);
  const last = s.sentBy(s.a).at(-1)!;
  const next = s.b.connection!.rcvNxt;
  s.inject({ ...last, seq: next, payload: pattern(100), timestamp: (last.timestamp - 900) | 0 });
  s.run(1);
  t.equal(s.b.received_, 200);
  t.end();
});

t.test('a new SYN ends TIME-WAIT', (t) => {
  const s = new Simulation();
  s.connect();
  s.b.connection!.end(s.now);
  s.until(() => s.a.hasEnded);
  s.a.connection!.end(s.now);
  s.until(() => s.b.connection?.state === STATE.timeWait && s.a.connection === undefined);
  s.a.options = { ...s.a.options, isn: 900_000 };
  s.a.isEstablished = s.b.isEstablished = s.a.isClosed = s.b.isClosed = false;
  s.connect();
  t.equal(s.b.connection!.state, STATE.established);
  t.end();
});

t.test('ICMP: a smaller path is kept to, forged errors are not', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  s.path = ({ payload, from }) => (from === s.a && payload.length > 1348 ? [] : [10]);
  s.a.connection!.write(pattern(100_000), s.now);
  s.a.connection!.flush(s.now);
  s.a.connection!.tooBig(600, 999_999, s.now);
  t.equal(s.a.connection!.segmentSize, 1448, 'a number that is not under way');
  s.a.connection!.tooBig(1400, s.a.connection!.una, s.now);
  t.equal(s.a.connection!.segmentSize, 1348);
  s.until(() => s.b.received_ === 100_000);
  t.equal(s.a.connection!.timeouts, 0);
  t.end();
});

t.test('a black hole for full segments is found without ICMP', (t) => {
  const s = new Simulation({ a: { sendBuffer: MB } });
  s.connect();
  s.path = ({ payload, from }) => (from === s.a && payload.length > 1300 ? [] : [10]);
  s.a.connection!.write(pattern(100_000), s.now);
  const began = s.now;
  s.until(() => s.b.received_ === 100_000);
  t.ok(s.now - began < 5000, `${s.now - began} ms`);
  t.end();
});

t.test('ECN: a mark reduces the window once, nothing is sent again', (t) => {
  const s = new Simulation({ a: { sendBuffer: 4 * MB, ecn: 'ask' } });
  s.connect();
  t.ok(s.a.connection!.ecn && s.b.connection!.ecn);
  let count = 0;
  s.path = (segment) => {
    if (segment.payload.length > 0 && ++count === 50) segment.ecn = 3;
    return [10];
  };
  s.a.connection!.write(pattern(2 * MB), s.now);
  s.until(() => s.b.received_ === 2 * MB);
  t.equal(s.a.connection!.bytesResent, 0);
  t.ok(s.a.connection!.congestion.threshold < Infinity, 'slow start has ended');
  t.ok(
    s.sentBy(s.a).some(({ flags }) => flags & 0x80),
    'CWR',
  );
  t.end();
});

t.test('FIN that comes before what precedes it', (t) => {
  const s = new Simulation();
  s.connect();
  s.path = losing(({ flags }) => (flags & FIN) === 0);
  s.a.connection!.write(pattern(3000), s.now);
  s.a.connection!.end(s.now);
  s.until(() => s.b.hasEnded);
  t.equal(s.b.received_, 3000);
  t.end();
});
