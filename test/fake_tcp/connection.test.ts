/**
 * Two ends of a connection over a network that loses, duplicates and delays, under any interleaving of what the network,
 * the users and the clocks do. Invariants:
 *
 * 1. An end ends once, and forgets its tuple once, not before; it sends nothing afterwards, and asks to wait for nothing.
 * 2. States go forward only: established, finWait or lastAck, closed.
 * 3. Whoever closes has ended within finTries * finWait, whatever the network does; whoever was closed has forgotten
 *    within linger.
 * 4. ECONNRESET comes from a RST that arrived, and never where RSTs are ignored.
 * 5. A client whose network is dead ends with ETIMEDOUT within its patience, three probes and a check.
 * 6. A client whose network loses nothing never ends with ETIMEDOUT.
 * 7. Over a network that loses nothing, when one closes both end in order.
 */
import fc from 'fast-check';
import t from 'tap';
import { Connection, type ConnectionState, type ConnectionStep } from '../../src/fake_tcp/connection.js';
import { CONNECTION, LIVENESS } from '../../src/policy.js';

const { finTries, finWait, linger } = CONNECTION;
const { probes, probeWait, checkInterval } = LIVENESS;

const SILENCE = 5000;
const KEEPALIVE = 25_000;
const ORDER: readonly ConnectionState[] = ['established', 'finWait', 'lastAck', 'closed'];

type Sent = NonNullable<ConnectionStep['send']> | 'data';

/** One end with its clock, its counters and what it has done; fails when it breaks an invariant of its own. */
class End {
  readonly connection: Connection;
  readonly network: Sent[] = [];
  ended: string | undefined;
  endedAt = Infinity;
  closedAt = Infinity;
  #forgotten = false;
  #signs = { received: 0, sent: 0, acknowledged: false };
  #resets = 0;
  #deadline = Infinity;
  #checkAt = 0;
  #watched = false;
  #state: ConnectionState = 'established';
  readonly #ignoreRst: boolean;

  constructor({ checksPeer, ignoreRst }: { checksPeer: boolean; ignoreRst: boolean }) {
    this.connection = new Connection({ profile: 'guise', ignoreRst });
    this.#ignoreRst = ignoreRst;
    if (checksPeer) this.connection.startLiveness({ keepalive: KEEPALIVE, deadAfter: SILENCE }, 0, this.#signs);
  }

  get forgotten(): boolean {
    return this.#forgotten;
  }

  user(what: 'close' | 'abort' | 'send', now: number): void {
    if (what === 'send') {
      if (this.connection.state !== 'established') return;
      this.#signs = { ...this.#signs, sent: this.#signs.sent + 1 };
      this.network.push('data');
      if (!this.#watched) return;
      this.#watched = false;
      this.connection.awake(now);
      this.#checkAt = this.connection.nextCheck;
      return;
    }
    if (what === 'close' && this.connection.state === 'established') this.closedAt = now;
    this.#take(this.connection[what](), now);
  }

  /** What the data plane does with a segment that arrives. */
  receive(segment: Sent, now: number): void {
    if (this.#forgotten) {
      if (segment !== 'reset') this.network.push('reset');
      return;
    }
    if (segment === 'reset') {
      this.#resets++;
      return this.#take(this.connection.reset(), now);
    }
    if (segment === 'fin' || segment === 'finAgain') return this.#take(this.connection.finished(), now);
    this.#signs = { ...this.#signs, received: this.#signs.received + 1 };
    if (segment === 'probe') this.network.push('ack');
  }

  tick(now: number): void {
    if (now >= this.#deadline) {
      this.#deadline = Infinity;
      this.#take(this.connection.timeout(), now);
    }
    if (now < this.#checkAt) return;
    this.#take(this.connection.checkLiveness(now, this.#signs), now);
    this.#checkAt = this.connection.nextCheck;
    this.#watched ||= this.connection.isWatched;
  }

  #take({ send, wait, ended, forget }: ConnectionStep, now: number): void {
    const broken = (rule: string): never => {
      throw new Error(rule);
    };
    if (this.#forgotten && (send || ended || forget)) broken('does something after it has forgotten');
    if (ended && this.ended) broken('ends twice');
    if (forget && !ended && !this.ended) broken('forgets before it ends');
    if ((forget || this.#forgotten) && wait !== undefined) broken('waits for nothing');
    if (ended === 'ECONNRESET' && (this.#resets === 0 || this.#ignoreRst)) broken('reset by nobody');
    const state = this.connection.state;
    if (ORDER.indexOf(state) < ORDER.indexOf(this.#state)) broken(`${this.#state} -> ${state}`);
    this.#state = state;
    if (send) this.network.push(send);
    if (wait !== undefined) this.#deadline = now + wait;
    if (ended) [this.ended, this.endedAt] = [ended, now];
    if (forget) this.#forgotten = true;
  }
}

/** Milliseconds between two ticks: all times of the state machine are multiples. */
const TICK = 100;

class World {
  readonly client: End;
  readonly server: End;
  now = 0;

  constructor({ ignoreRst = false } = {}) {
    this.client = new End({ checksPeer: true, ignoreRst });
    this.server = new End({ checksPeer: false, ignoreRst });
  }

  get ends(): readonly [End, End] {
    return [this.client, this.server];
  }

  pass(milliseconds: number, { lossless = false } = {}): void {
    for (const until = this.now + milliseconds; this.now < until;) {
      this.now += TICK;
      for (const end of this.ends) end.tick(this.now);
      if (lossless) this.deliverAll();
    }
  }

  /** The segment at `index` of what an end has sent arrives, stays in the network (a duplicate), or is lost. */
  carry(from: 0 | 1, index: number, how: 'deliver' | 'duplicate' | 'lose'): void {
    const { network } = this.ends[from];
    if (network.length === 0) return;
    const at = index % network.length;
    const segment = network[at]!;
    if (how !== 'duplicate') network.splice(at, 1);
    if (how !== 'lose') this.ends[1 - from]!.receive(segment, this.now);
  }

  deliverAll(): void {
    while (this.ends.some(({ network }) => network.length > 0)) {
      for (const from of [0, 1] as const) if (this.ends[from].network.length > 0) this.carry(from, 0, 'deliver');
    }
  }
}

const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('carry' as const),
      from: fc.constantFrom(0 as const, 1 as const),
      index: fc.nat(20),
      how: fc.constantFrom('deliver' as const, 'duplicate' as const, 'lose' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('pass' as const), ticks: fc.integer({ min: 1, max: 80 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('user' as const),
      who: fc.constantFrom(0 as const, 1 as const),
      what: fc.constantFrom('send' as const, 'send' as const, 'close' as const, 'abort' as const),
    }),
  },
);

t.test('any interleaving keeps the invariants', async () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(happening, { maxLength: 60 }), (ignoreRst, happenings) => {
      const world = new World({ ignoreRst });
      for (const each of happenings) {
        if (each.type === 'pass') world.pass(each.ticks * TICK);
        else if (each.type === 'user') world.ends[each.who].user(each.what, world.now);
        else world.carry(each.from, each.index, each.how);
      }
      world.pass(finTries * finWait + linger);
      for (const { closedAt, endedAt, ended, forgotten } of world.ends) {
        if (closedAt < Infinity && endedAt > closedAt + finTries * finWait) throw new Error('closes too late');
        if (ended && !forgotten) throw new Error('does not forget');
      }
    }),
    { numRuns: 3000 },
  );
});

t.test('a dead network is noticed in time, by a client that sends and by one that is idle', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 20 }), fc.boolean(), (pauses, sends) => {
      const world = new World();
      for (const pause of pauses) {
        world.client.user('send', world.now);
        world.pass(pause * TICK, { lossless: true });
      }
      const dead = world.now;
      if (sends) world.client.user('send', dead);
      const patience = sends ? SILENCE : KEEPALIVE;
      world.pass(patience + probes * probeWait + 2 * checkInterval);
      if (world.client.ended !== 'ETIMEDOUT') throw new Error(`${world.client.ended} after ${world.now - dead} ms`);
    }),
  );
});

t.test('over a network that loses nothing nobody is given up, and a close ends both in order', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 1, max: 600 })), { maxLength: 20 }),
      fc.constantFrom([0], [1], [0, 1]),
      (sends, closers) => {
        const world = new World();
        for (const [who, ticks] of sends) {
          world.ends[who].user('send', world.now);
          world.pass(ticks * TICK, { lossless: true });
        }
        if (world.ends.some(({ ended }) => ended)) throw new Error('ended by itself');
        for (const who of closers) world.ends[who].user('close', world.now);
        world.pass(linger + TICK, { lossless: true });
        if (world.ends.some(({ ended, forgotten }) => ended !== 'closed' || !forgotten))
          throw new Error('not in order');
      },
    ),
  );
});
