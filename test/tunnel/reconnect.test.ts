import fc from 'fast-check';
import t from 'tap';
import { RECONNECT } from '../../src/policy.js';
import {
  NOT_STARTED,
  reconnect,
  type ReconnectAction,
  type ReconnectEvent,
  type ReconnectState,
} from '../../src/tunnel/reconnect.js';

const LIMITS = { idleTimeout: 60_000, connectTimeout: 15_000 };

/** Tells a state what happens, one event after the other. */
class Story {
  state: ReconnectState = NOT_STARTED;
  now = 1000;
  /** Half way: a wait is as long as it is without chance. */
  random = 0.5;

  tell(type: ReconnectEvent['type'], connection = 0): ReconnectAction[] {
    const event = { type, connection } as ReconnectEvent;
    const { state, actions } = reconnect(this.state, event, { ...LIMITS, now: this.now, random: this.random });
    this.state = state;
    return [...actions];
  }

  /** Has a connection that carries, with the number 1. */
  static carrying(): Story {
    const story = new Story();
    story.tell('start');
    story.tell('connected', 1);
    return story;
  }
}

const AGAIN = { type: 'connect', timeout: RECONNECT.timeout } as const;

t.test('the first connection is opened at once, and may take as long as it was told', async (t) => {
  const story = new Story();
  t.same(story.tell('start'), [{ type: 'connect', connection: 1, timeout: 15_000 }]);
  t.same(story.tell('connected', 1), [{ type: 'carry', connection: 1, moved: false }]);
  t.equal(story.state.phase, 'carrying');
});

t.test('a connection that was one is replaced at once when it is lost', async (t) => {
  const story = Story.carrying();
  story.now += RECONNECT.stable;
  t.same(story.tell('lost', 1), [{ ...AGAIN, connection: 2 }]);
  t.same(story.tell('connected', 2), [{ type: 'carry', connection: 2, moved: false }]);
});

t.test('a path over which no datagram comes whole is not tried again soon', async (t) => {
  const story = Story.carrying();
  story.now += RECONNECT.stable;
  t.same(story.tell('damaged', 1), [{ type: 'wait', milliseconds: RECONNECT.damagedWait }]);
  t.same(story.tell('waited'), [{ ...AGAIN, connection: 2 }]);
  story.tell('connected', 2);
  t.same(story.tell('damaged', 2), [{ type: 'wait', milliseconds: RECONNECT.damagedWait }]);
});

t.test('one that is lost right after it was opened is replaced after a wait', async (t) => {
  const story = Story.carrying();
  story.now += RECONNECT.stable - 1;
  t.same(story.tell('lost', 1), [{ type: 'wait', milliseconds: RECONNECT.firstWait }]);
  t.same(story.tell('waited'), [{ ...AGAIN, connection: 2 }]);
});

t.test(
  'waits double up to the longest, by half to one and a half, and start anew behind a stable connection',
  async (t) => {
    const story = new Story();
    story.tell('start');
    const waits = Array.from({ length: 6 }, () => {
      const [action] = story.tell('failed', story.state.current);
      story.tell('waited');
      return action?.type === 'wait' ? action.milliseconds : undefined;
    });
    t.same(waits, [250, 500, 1000, 2000, 2000, 2000]);
    story.random = 0;
    t.same(story.tell('failed', story.state.current), [{ type: 'wait', milliseconds: 1000 }]);
    story.tell('waited');
    story.random = 0.9;
    t.same(story.tell('failed', story.state.current), [{ type: 'wait', milliseconds: 2800 }]);
    story.tell('waited');
    story.tell('connected', story.state.current);
    story.now += RECONNECT.stable;
    t.same(story.tell('lost', story.state.current)[0]?.type, 'connect');
    story.random = 0.5;
    t.same(story.tell('failed', story.state.current), [{ type: 'wait', milliseconds: RECONNECT.firstWait }]);
  },
);

t.test('it is given up when none could be had for as long as one may be idle, from the loss on', async (t) => {
  const story = Story.carrying();
  story.now += 1e6;
  story.tell('lost', 1);
  story.now += LIMITS.idleTimeout;
  t.same(story.tell('failed', 2)[0]?.type, 'wait');
  story.tell('waited');
  story.now += 1;
  t.same(story.tell('failed', 3), [{ type: 'end', forget: true }]);
  t.equal(story.state.phase, 'ended');
});

t.test('a connection that is closed in order is not replaced', async (t) => {
  t.same(Story.carrying().tell('closed', 1), [{ type: 'end', forget: false }]);
  t.same(Story.carrying().tell('unfit', 1), [{ type: 'end', forget: true }], 'one that cannot carry is forgotten');
});

t.test('where the name leads now is gone to with the old connection open until the new one is', async (t) => {
  const story = Story.carrying();
  t.same(story.tell('moved'), [{ ...AGAIN, connection: 2 }]);
  t.same(story.tell('moved'), [], 'one attempt at a time');
  t.same(story.tell('connected', 2), [
    { type: 'release', connection: 1 },
    { type: 'carry', connection: 2, moved: true },
    { type: 'close', connection: 1, after: RECONNECT.drain },
  ]);
  t.same([...story.tell('lost', 1), ...story.tell('closed', 1)], [], 'the end of the old one is no news');
  t.same(story.tell('moved'), [{ ...AGAIN, connection: 3 }]);
  t.same(story.tell('failed', 3), [], 'the old one carries on');
  t.same(story.tell('moved'), [{ ...AGAIN, connection: 4 }], 'and the next look-up tries again');
});

t.test('a move whose old connection ends meanwhile comes to nothing', async (t) => {
  const story = Story.carrying();
  story.now += RECONNECT.stable;
  story.tell('moved');
  t.same(story.tell('lost', 1), [{ ...AGAIN, connection: 3 }]);
  t.same(story.tell('connected', 2), [{ type: 'reset', connection: 2 }]);
  t.same(story.tell('connected', 3), [{ type: 'carry', connection: 3, moved: false }]);
  t.same(story.tell('moved'), [{ ...AGAIN, connection: 4 }], 'the next move is free');
});

t.test('nothing is opened while a tunnel stops', async (t) => {
  const connecting = new Story();
  connecting.tell('start');
  t.same(connecting.tell('stop'), [{ type: 'end', forget: true }]);
  t.same(connecting.tell('connected', 1), [{ type: 'reset', connection: 1 }]);
  const carrying = Story.carrying();
  carrying.tell('moved');
  t.same(carrying.tell('stop'), [], 'the stack closes what is open');
  t.same(carrying.tell('connected', 2), [{ type: 'reset', connection: 2 }]);
  t.same(carrying.tell('moved'), []);
  t.same(carrying.tell('lost', 1), [{ type: 'end', forget: true }]);
});

t.test('whatever happens: one carries at most, none is left behind, and there is always a next step', async () => {
  const event = fc.record({
    type: fc.constantFrom<ReconnectEvent['type']>(
      'waited',
      'connected',
      'connected',
      'failed',
      'lost',
      'damaged',
      'closed',
      'unfit',
      'moved',
      'stop',
    ),
    pick: fc.nat(5),
    after: fc.nat(5000),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const story = new Story();
      const attempts = new Set<number>();
      const open = new Set<number>();
      const seen = { carrying: 0, waiting: false, ends: 0 };
      const act = (actions: readonly ReconnectAction[]): void => {
        for (const action of actions) {
          if (seen.ends > 0 && action.type !== 'reset') throw new Error(`${action.type} after the end`);
          switch (action.type) {
            case 'connect':
              if (attempts.has(action.connection) || open.has(action.connection)) throw new Error('a number twice');
              if (!(action.timeout > 0 && action.timeout <= LIMITS.connectTimeout)) throw new Error('timeout');
              attempts.add(action.connection);
              break;
            case 'wait':
              if (seen.waiting) throw new Error('waits twice');
              if (action.milliseconds < RECONNECT.firstWait / 2) throw new Error(`waits ${action.milliseconds}`);
              if (action.milliseconds > RECONNECT.damagedWait * 1.5) throw new Error(`waits ${action.milliseconds}`);
              seen.waiting = true;
              break;
            case 'carry':
              if (seen.carrying !== 0) throw new Error('two carry');
              if (!open.has(action.connection)) throw new Error('carries on what is not open');
              seen.carrying = action.connection;
              break;
            case 'release':
              if (seen.carrying !== action.connection) throw new Error('releases another one');
              seen.carrying = 0;
              break;
            case 'close':
            case 'reset':
              if (!open.delete(action.connection)) throw new Error(`${action.type} of what is not open`);
              break;
            case 'end':
              seen.ends++;
          }
        }
      };
      act(story.tell('start'));
      for (const { type, pick, after, random } of events) {
        story.now += after;
        story.random = random;
        if (type === 'waited') {
          if (!seen.waiting) continue;
          seen.waiting = false;
          act(story.tell(type));
        } else if (type === 'connected' || type === 'failed') {
          const attempt = [...attempts][pick % attempts.size];
          if (attempt === undefined) continue;
          attempts.delete(attempt);
          if (type === 'connected') open.add(attempt);
          act(story.tell(type, attempt));
        } else if (type === 'lost' || type === 'damaged' || type === 'closed' || type === 'unfit') {
          const connection = [...open][pick % open.size];
          if (connection === undefined) continue;
          open.delete(connection);
          if (connection === seen.carrying) seen.carrying = 0;
          act(story.tell(type, connection));
        } else {
          act(story.tell(type));
        }
        const { phase } = story.state;
        if ((phase === 'carrying') !== (seen.carrying !== 0)) throw new Error(`${phase} with ${seen.carrying}`);
        if (phase === 'waiting' && !seen.waiting) throw new Error('waits for nothing');
        if (phase === 'connecting' && attempts.size === 0) throw new Error('connects to nothing');
        if ((phase === 'ended') !== (seen.ends === 1)) throw new Error(`${phase} after ${seen.ends} ends`);
        const left = [...open].filter((each) => each !== seen.carrying);
        if (left.length > 0) throw new Error(`${left.join()} left behind in ${phase}`);
      }
    }),
    { numRuns: 2000 },
  );
});
