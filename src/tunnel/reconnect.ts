/**
 * How a client gets a connection back for one application: what happened, the time and chance in; the next state and
 * what to do out. No I/O, no clock, no randomness.
 *
 * Each attempt to connect has a number, and so has the connection that comes of it: news of one that is no longer
 * wanted changes nothing.
 */
import { RECONNECT } from '../policy.js';

export interface ReconnectState {
  /**
   * `new`: not started. `waiting`: before the next attempt. `connecting`: attempt `current` is under way. `carrying`:
   * connection `current` carries the application. `ended`: nothing carries it any more, for good.
   */
  readonly phase: 'new' | 'waiting' | 'connecting' | 'carrying' | 'ended';
  /** The number of the attempt or of the connection; 0 for none. */
  readonly current: number;
  /** The number of the latest attempt. */
  readonly latest: number;
  /** An attempt under way to replace a connection whose address the name has left. */
  readonly move: { readonly attempt: number; readonly replaces: number } | undefined;
  /** When `current` began to carry. */
  readonly connectedAt: number;
  /** When the last connection was lost, or the first could not be had; undefined while one carries. */
  readonly failedAt: number | undefined;
  /** Milliseconds before the next attempt, before chance; 0 for at once. */
  readonly wait: number;
  /** The tunnel ends: nothing is opened any more. */
  readonly stopped: boolean;
}

export type ReconnectEvent =
  /** The application has sent its first datagram. */
  | { readonly type: 'start' }
  /** The time of a `wait` is over. */
  | { readonly type: 'waited' }
  | { readonly type: 'connected' | 'failed'; readonly connection: number }
  /** It ended with an error; in order; it cannot carry the application, because one of them is gone already. */
  | { readonly type: 'lost' | 'closed' | 'unfit'; readonly connection: number }
  /** It ended, because no datagram comes whole over its path: another one will not be better. */
  | { readonly type: 'damaged'; readonly connection: number }
  /** The name does not lead to the address of the current connection any more. */
  | { readonly type: 'moved' }
  /** The tunnel ends, and closes its connections in order. */
  | { readonly type: 'stop' };

export type ReconnectAction =
  | { readonly type: 'wait'; readonly milliseconds: number }
  /** `timeout` in milliseconds. */
  | { readonly type: 'connect'; readonly connection: number; readonly timeout: number }
  /** `moved`: it replaces one whose address the name has left. */
  | { readonly type: 'carry'; readonly connection: number; readonly moved: boolean }
  /** What the application sends waits for another connection; what comes on this one still goes to it. */
  | { readonly type: 'release'; readonly connection: number }
  | { readonly type: 'reset'; readonly connection: number }
  /** Close it in order, after this many milliseconds. */
  | { readonly type: 'close'; readonly connection: number; readonly after: number }
  /** `forget`: the application is still known, and has to be forgotten, so that its next datagram makes it new. */
  | { readonly type: 'end'; readonly forget: boolean };

export interface ReconnectInput {
  /** Milliseconds, of a clock that never goes back. */
  readonly now: number;
  /** 0 up to 1. */
  readonly random: number;
  /** Milliseconds without a connection after which it is given up. */
  readonly idleTimeout: number;
  /** Milliseconds that the first attempt may take. */
  readonly connectTimeout: number;
}

export interface ReconnectStep {
  readonly state: ReconnectState;
  /** In this order. */
  readonly actions: readonly ReconnectAction[];
}

export const NOT_STARTED: ReconnectState = {
  phase: 'new',
  current: 0,
  latest: 0,
  move: undefined,
  connectedAt: 0,
  failedAt: undefined,
  wait: 0,
  stopped: false,
};

/** What to do when something has happened. */
export function reconnect(state: ReconnectState, event: ReconnectEvent, input: ReconnectInput): ReconnectStep {
  if (event.type === 'connected') return onConnected(state, event.connection, input);
  if (state.phase === 'ended') return nothing(state);
  switch (event.type) {
    case 'start':
      return state.phase === 'new' ? connect(state, input.connectTimeout) : nothing(state);
    case 'waited':
      return state.phase === 'waiting' ? connect(state, timeoutAgain(input)) : nothing(state);
    case 'failed':
      return onFailed(state, event.connection, input);
    case 'lost':
      return carries(state, event.connection) ? onLost(state, input) : nothing(state);
    case 'damaged':
      return carries(state, event.connection) ? onDamaged(state, input) : nothing(state);
    case 'closed':
      return carries(state, event.connection) ? end(state, false) : nothing(state);
    case 'unfit':
      return carries(state, event.connection) ? end(state, true) : nothing(state);
    case 'moved':
      return onMoved(state, input);
    case 'stop':
      return state.phase === 'carrying' ? nothing({ ...state, stopped: true }) : end(state, true);
  }
}

function onConnected(state: ReconnectState, connection: number, { now }: ReconnectInput): ReconnectStep {
  const { phase, current, move, stopped } = state;
  const carrying = { ...state, phase: 'carrying', current: connection, connectedAt: now, failedAt: undefined } as const;
  if (phase === 'connecting' && connection === current) {
    return { state: carrying, actions: [{ type: 'carry', connection, moved: false }] };
  }
  const reset = { type: 'reset', connection } as const;
  if (connection !== move?.attempt) return { state, actions: [reset] };
  // The old one has ended meanwhile.
  if (!carries(state, move.replaces) || stopped) return { state: { ...state, move: undefined }, actions: [reset] };
  return {
    state: { ...carrying, move: undefined },
    actions: [
      { type: 'release', connection: current },
      { type: 'carry', connection, moved: true },
      { type: 'close', connection: current, after: RECONNECT.drain },
    ],
  };
}

function onFailed(state: ReconnectState, connection: number, input: ReconnectInput): ReconnectStep {
  if (connection === state.move?.attempt) return nothing({ ...state, move: undefined }); // the next look-up tries again
  if (state.phase !== 'connecting' || connection !== state.current) return nothing(state);
  const failedAt = state.failedAt ?? input.now;
  if (input.now - failedAt > input.idleTimeout) return end(state, true);
  return connectLater({ ...state, failedAt, wait: longer(state.wait) }, input);
}

function onLost(state: ReconnectState, input: ReconnectInput): ReconnectStep {
  if (state.stopped) return end(state, true);
  const stable = input.now - state.connectedAt >= RECONNECT.stable;
  return connectLater({ ...state, failedAt: input.now, wait: stable ? 0 : longer(state.wait) }, input);
}

function onDamaged(state: ReconnectState, input: ReconnectInput): ReconnectStep {
  if (state.stopped) return end(state, true);
  return connectLater({ ...state, failedAt: input.now, wait: RECONNECT.damagedWait }, input);
}

function onMoved(state: ReconnectState, input: ReconnectInput): ReconnectStep {
  if (state.phase !== 'carrying' || state.move || state.stopped) return nothing(state);
  const attempt = state.latest + 1;
  return {
    state: { ...state, latest: attempt, move: { attempt, replaces: state.current } },
    actions: [{ type: 'connect', connection: attempt, timeout: timeoutAgain(input) }],
  };
}

function connectLater(state: ReconnectState, input: ReconnectInput): ReconnectStep {
  if (state.wait === 0) return connect(state, timeoutAgain(input));
  const milliseconds = state.wait * (0.5 + input.random);
  return { state: { ...state, phase: 'waiting', current: 0 }, actions: [{ type: 'wait', milliseconds }] };
}

function connect(state: ReconnectState, timeout: number): ReconnectStep {
  const connection = state.latest + 1;
  return {
    state: { ...state, phase: 'connecting', current: connection, latest: connection },
    actions: [{ type: 'connect', connection, timeout }],
  };
}

function end(state: ReconnectState, forget: boolean): ReconnectStep {
  return { state: { ...state, phase: 'ended', current: 0, move: undefined }, actions: [{ type: 'end', forget }] };
}

function nothing(state: ReconnectState): ReconnectStep {
  return { state, actions: [] };
}

function carries({ phase, current }: ReconnectState, connection: number): boolean {
  return phase === 'carrying' && connection === current;
}

function longer(wait: number): number {
  return Math.max(RECONNECT.firstWait, Math.min(RECONNECT.longestWait, 2 * wait));
}

function timeoutAgain({ connectTimeout }: ReconnectInput): number {
  return Math.min(connectTimeout, RECONNECT.timeout);
}
