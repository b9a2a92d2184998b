/**
 * The server's side between a cookie that came back and a Socket: the data plane has the flow in its table a moment
 * after it was told, and what comes meanwhile is kept in order.
 */
import type { Engine } from '../native/engine.js';
import type { Segment } from '../native/types.js';
import { ACK, RST } from '../wire/flags.js';
import type { Profile } from '../wire/profile.js';
import type { TupleBytes } from '../wire/tuple.js';
import type { PeerSyn } from '../wire/syn_options.js';
import type { Backlog } from './backlog.js';
import type { FlowInit } from './flow_init.js';
import type { LocalEnds } from './local_ends.js';
import type { Socket } from './socket.js';

export interface AcceptorOptions {
  readonly engine: Engine;
  readonly ends: LocalEnds;
  /** Connections that one remote address may have opened. */
  readonly maxFlowsPerSource: number;
  readonly maxPayload: (family: 4 | 6, profile: Profile) => number;
  /** Makes the Socket. */
  readonly adopt: (init: FlowInit) => Socket;
}

interface Accepting extends FlowInit {
  readonly backlog: Backlog;
  readonly early: Uint8Array[];
  /** End of the last of them. */
  receiveNext: number;
}

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #accepting = new Map<string, Accepting>();
  /** Keys of `#accepting` by flow id. */
  readonly #flows = new Map<number, string>();
  /** Connections by remote address, see `sourceOf`. */
  readonly #sources = new Map<string, number>();

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** The first segment of a connection, or one behind it; the reason when it is refused. */
  take(backlog: Backlog, segment: Segment, syn: PeerSyn): 'flowsFull' | 'sourceFull' | undefined {
    const accepting = this.#accepting.get(segment.key);
    if (!accepting) return this.#open(backlog, segment, syn);
    if (segment.payload.length === 0) return undefined;
    accepting.early.push(segment.payload.slice());
    accepting.receiveNext = endOf(segment);
    return undefined;
  }

  /** The data plane has the flow: what comes from now on goes its way. */
  attached(flow: number): void {
    const key = this.#flows.get(flow);
    const accepting = key === undefined ? undefined : this.#accepting.get(key);
    if (key === undefined || !accepting) return;
    this.#flows.delete(flow);
    this.#accepting.delete(key);
    const { engine, adopt } = this.#options;
    // The data plane never saw the early ones: acknowledge them here.
    if (accepting.early.length > 0) engine.sendControl(flow, ACK, accepting.receiveNext);
    accepting.backlog.offer(adopt(accepting));
  }

  /** Nobody accepts any more: resets what is being accepted. */
  abandon(backlog: Backlog): void {
    const { engine } = this.#options;
    for (const accepting of this.#accepting.values()) {
      if (accepting.backlog !== backlog) continue;
      engine.sendControl(accepting.id, RST);
      engine.closeFlow(accepting.id);
      this.#flows.delete(accepting.id);
      this.#accepting.delete(accepting.key);
      this.forget(accepting.key);
      accepting.release();
    }
  }

  /** A connection that was accepted has ended. */
  forget(key: string): void {
    const source = sourceOf(key);
    const left = this.#sources.get(source)! - 1;
    if (left > 0) this.#sources.set(source, left);
    else this.#sources.delete(source);
  }

  #open(backlog: Backlog, segment: Segment, { profile, scaled, mss }: PeerSyn): 'flowsFull' | 'sourceFull' | undefined {
    const { engine, ends, maxFlowsPerSource } = this.#options;
    const { worker, key, tuple, payload } = segment;
    if (backlog.isFull) return 'flowsFull';
    const source = sourceOf(key);
    const before = this.#sources.get(source) ?? 0;
    if (before >= maxFlowsPerSource) return 'sourceFull';
    const maxPayload = this.#options.maxPayload(isMapped(tuple) ? 4 : 6, profile);
    const receiveNext = endOf(segment);
    const id = engine.openFlow(tuple, {
      worker,
      sendNext: segment.ack,
      receiveNext,
      maxPayload,
      push: profile === 'guise',
      limitInitialWindow: false,
      scaled,
      acknowledges: profile === 'guise',
      way: segment.way,
    });
    if (id < 0) return 'flowsFull';
    const early = payload.length > 0 ? [payload.slice()] : [];
    const { release } = ends.keep(backlog.local);
    const { foreign } = segment;
    const init = {
      id,
      worker,
      key,
      profile,
      scaled,
      foreign,
      peerMss: mss,
      maxPayload,
      early,
      accepted: true,
      release,
    };
    this.#accepting.set(key, { backlog, receiveNext, ...init });
    this.#flows.set(id, key);
    this.#sources.set(source, before + 1);
    return undefined;
  }
}

function endOf({ seq, payload }: Segment): number {
  return (seq + payload.length) >>> 0;
}

/** The remote address in a key of `tupleKey`. */
function sourceOf(key: string): string {
  return key.slice(16, 32);
}

/** IPv4 in its mapped form: the remote address begins at byte 16. */
function isMapped(tuple: TupleBytes): boolean {
  return tuple[26] === 0xff && tuple[27] === 0xff && tuple.subarray(16, 26).every((byte) => byte === 0);
}
