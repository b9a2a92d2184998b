/** The client's side: from a remote address to a Socket, whichever profile the server has. */
import { randomInt } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import { connectError, connectWarning, systemError, type ConnectTrouble } from '../errors.js';
import { NO_WAY, type Engine } from '../native/engine.js';
import type { IcmpError, Segment } from '../native/types.js';
import { CONNECTION, LIVENESS } from '../policy.js';
import { ACK, RST, SYN } from '../wire/flags.js';
import { unreachableBecause } from '../wire/icmp.js';
import { encodeTuple, localPort, remoteEnd, tupleKey, type TupleBytes } from '../wire/tuple.js';
import { ActiveOpen, NO_OPTIONS, type OpenOutcome, type OpenStep } from './active_open.js';
import { ConnectEvidence, type Leaving } from './connect_evidence.js';
import type { ConnectSettings } from './options.js';
import { PHANTUN_ISN, type Profile } from '../wire/profile.js';
import type { FlowInit } from './flow_init.js';
import { headersOf } from './path_mtu.js';
import type { Socket } from './socket.js';
import type { LocalEnds } from './local_ends.js';

export interface ConnectorOptions {
  readonly engine: Engine;
  readonly ends: LocalEnds;
  readonly maxPayload: (family: 4 | 6, profile: Profile) => number;
  /** Bytes of the largest IP packet. */
  readonly mtu: number;
  /** How this host sends from an end of the stack's to a remote; undefined where the stack cannot know. */
  readonly leaving: (local: Endpoint, remote: Endpoint) => Leaving | undefined;
  /** Whether a socket has the tuple of this key. */
  readonly isTaken: (key: string) => boolean;
  /** Makes the Socket, whose peer has to show signs of life. */
  readonly adopt: (init: FlowInit) => Socket;
}

/** How the last answer came. */
interface Answer {
  readonly way: bigint;
  /** See `Segment.foreign`. */
  readonly foreign: boolean;
  /** Milliseconds, where one SYN was enough. */
  readonly roundTrip: number | undefined;
}

/** What an attempt goes by. */
interface Attempt {
  readonly tuple: TupleBytes;
  readonly remote: Endpoint;
  readonly worker: number;
  readonly signal: AbortSignal | undefined;
  readonly evidence: ConnectEvidence;
  readonly iss: number;
}

/** How an attempt ends that has neither a socket nor an error. */
interface Refusal {
  readonly why: 'refused' | 'mistaken';
  readonly trouble: ConnectTrouble;
}

/** A connection between its SYN and its Socket. */
interface Opening {
  /** The ACK number of an answer to its SYN. */
  readonly answer: number;
  readonly remote: Endpoint;
  readonly evidence: ConnectEvidence;
  receive(segment: Segment): void;
  /** The kernel has not sent a segment of it. */
  unsent(errno: number): void;
  abort(): void;
}

/** What a server turned out to be. */
interface Known {
  readonly profile: Profile;
  /** What is left of the TTL of what it sends. */
  readonly hopLimit: number;
}

/** Who is refused by these is refused again: by the firewall of the host, and by its routes. */
const FINAL = ['EPERM', 'EACCES', 'EINVAL', 'EAFNOSUPPORT'];

export class Connector {
  readonly #options: ConnectorOptions;
  readonly #opening = new Map<string, Opening>();
  /** By `formatEndpoint`. */
  readonly #known = new Map<string, Known>();
  /** Servers that are being asked whether they are there. */
  readonly #asking = new Map<string, Promise<boolean>>();
  #closed = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** As `Stack.connect`. */
  async connect(options: ConnectSettings): Promise<Socket> {
    const remote = { address: options.address, port: options.port };
    const name = formatEndpoint(remote);
    const found =
      options.profile === 'auto'
        ? await this.#find(remote, this.#known.get(name)?.profile ?? 'guise', options)
        : await this.#attempt(remote, options.profile, options);
    if ('why' in found) throw connectError('ECONNREFUSED', remote, found.trouble);
    return found;
  }

  /** Whether a server of guise's answers a SYN from another port; who asks meanwhile hears the same. */
  ask(remote: Endpoint, worker: number): Promise<boolean> {
    const name = formatEndpoint(remote);
    const asking = this.#asking.get(name) ?? this.#ask(remote, worker).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  /** Its SYN-ACK is answered with a RST: it has kept nothing. */
  async #ask(remote: Endpoint, worker: number): Promise<boolean> {
    if (this.#closed) return false;
    let end: ReturnType<LocalEnds['open']> | undefined;
    try {
      end = this.#options.ends.open(remote, (local) => this.#isInUse(local, remote));
      const tuple = encodeTuple(end.local, remote);
      const iss = randomInt(2 ** 32);
      const open = new ActiveOpen({ profile: 'guise', iss, mss: this.#mss(remote), limit: LIVENESS.askWait });
      const evidence = new ConnectEvidence();
      const { outcome, way } = await this.#drive(open, { tuple, remote, worker, signal: undefined, evidence, iss });
      this.#opening.delete(tupleKey(tuple));
      if (outcome?.type !== 'established') return outcome?.type === 'refused';
      const reset = { flags: RST, seq: outcome.sendNext, ack: 0, options: NO_OPTIONS };
      this.#options.engine.sendSegment(worker, tuple, reset, way);
      return true;
    } catch {
      return false; // no port, no address, no route: nothing is known of the peer
    } finally {
      end?.release();
    }
  }

  /** Whether a segment of no flow belongs to a connection that is being opened, which then has it. */
  receive(segment: Segment): boolean {
    const opening = this.#opening.get(segment.key);
    opening?.receive(segment);
    if (!opening && (segment.flags & (SYN | ACK | RST)) === (SYN | ACK)) this.#noteOtherPort(segment);
    return opening !== undefined;
  }

  /** A segment of no flow has not left this host; `errno` is negative. */
  unsent(key: string, errno: number): void {
    this.#opening.get(key)?.unsent(errno);
  }

  /** Somebody on the path has not passed on a SYN. Who forges it would have to know the SYN's number. */
  icmpError({ key, seq, from, code, kind }: IcmpError): void {
    const opening = this.#opening.get(key);
    if (opening?.answer !== (seq + 1) >>> 0 || kind !== 'unreachable') return;
    opening.evidence.add({ type: 'unreachable', from, what: unreachableBecause(familyOf(from), code) });
  }

  /** Ends what is being opened with ECONNABORTED; opens nothing any more. */
  close(): void {
    this.#closed = true;
    for (const opening of [...this.#opening.values()]) opening.abort();
  }

  /**
   * Finds out which profile the server has. phantun refuses a SYN with a random ISN, and answers its own with ISN 0. Who
   * answers that one with another ISN is guise, and was not there yet when guise's SYN came; or phantun, behind
   * something that changes its numbers.
   */
  async #find(remote: Endpoint, first: Profile, options: ConnectSettings): Promise<Socket | Refusal> {
    let found = await this.#attempt(remote, first, options, PHANTUN_ISN);
    if (isRefusal(found, 'refused')) {
      found = await this.#attempt(remote, first === 'guise' ? 'phantun' : 'guise', options, PHANTUN_ISN);
    }
    if (isRefusal(found, 'mistaken')) {
      found = await this.#attempt(remote, 'guise', options);
      if (isRefusal(found, 'refused')) found = await this.#attempt(remote, 'phantun', options);
    }
    return found;
  }

  /** @param phantunIsn the ISN that a server has to have when it is asked as phantun */
  async #attempt(
    remote: Endpoint,
    profile: Profile,
    options: ConnectSettings,
    phantunIsn?: number,
  ): Promise<Socket | Refusal> {
    const { timeout, worker, signal, onUnanswered } = options;
    signal?.throwIfAborted();
    if (this.#isClosed()) throw systemError('ECONNABORTED', 'connect', remote);
    const end = this.#options.ends.open(remote, (local) => this.#isInUse(local, remote));
    const tuple = encodeTuple(end.local, remote);
    const phantun = profile === 'phantun';
    const iss = phantun ? PHANTUN_ISN : randomInt(2 ** 32);
    const open = new ActiveOpen({
      profile,
      iss,
      mss: this.#mss(remote),
      limit: timeout,
      expected: phantun ? phantunIsn : undefined,
    });
    const key = tupleKey(tuple);
    const evidence = new ConnectEvidence();
    const unanswered = (): ConnectTrouble => evidence.unanswered(this.#options.leaving(end.local, remote));
    const warning = setTimeout(() => onUnanswered?.(connectWarning(remote, unanswered())), CONNECTION.unansweredAfter);
    let established: Socket | undefined;
    try {
      const { outcome, way, foreign, hopLimit, roundTrip } = await this.#drive(open, {
        tuple,
        remote,
        worker,
        signal,
        evidence,
        iss,
      });
      // The stack may have been closed between the answer and this line.
      if (!outcome || this.#isClosed()) throw systemError('ECONNABORTED', 'connect', remote);
      if (outcome.type === 'timedOut') throw connectError('ETIMEDOUT', remote, unanswered());
      if (outcome.type === 'unsent') throw systemError(outcome.errno, 'connect', remote);
      const name = formatEndpoint(remote);
      if (outcome.type !== 'established') {
        const leaving = this.#options.leaving(end.local, remote);
        return { why: outcome.type, trouble: evidence.refused(leaving, this.#known.get(name)?.hopLimit) };
      }
      established = this.#establish(remote, tuple, outcome, { worker, way, foreign, roundTrip, release: end.release });
      this.#known.set(name, { profile, hopLimit });
      return established;
    } finally {
      clearTimeout(warning);
      if (!established) end.release();
      // Not before the socket has the tuple: other connections are opened in between.
      this.#opening.delete(key);
    }
  }

  #establish(
    remote: Endpoint,
    tuple: TupleBytes,
    { sendNext, receiveNext, profile, options }: Extract<OpenOutcome, { type: 'established' }>,
    { worker, way, foreign, roundTrip, release }: Answer & { worker: number; release: () => void },
  ): Socket {
    const maxPayload = this.#options.maxPayload(familyOf(remote.address), profile);
    const id = this.#options.engine.openFlow(tuple, {
      worker,
      sendNext,
      receiveNext,
      maxPayload,
      push: profile === 'guise',
      // phantun never acknowledges the first data, so there is nothing to wait for.
      limitInitialWindow: profile === 'guise',
      scaled: options.scaled,
      acknowledges: profile === 'guise',
      way,
    });
    if (id < 0) throw systemError(id, 'connect', remote);
    this.#options.engine.sendControl(id, ACK);
    return this.#options.adopt({
      id,
      worker,
      key: tupleKey(tuple),
      profile,
      scaled: options.scaled,
      foreign,
      peerMss: options.mss,
      maxPayload,
      early: [],
      accepted: false,
      ...(roundTrip === undefined ? {} : { roundTrip }),
      release,
    });
  }

  /** How it went, or undefined when the stack was closed meanwhile; and the way and the TTL of the last answer. */
  #drive(
    open: ActiveOpen,
    { tuple, remote, worker, signal, evidence, iss }: Attempt,
  ): Promise<Answer & { outcome: OpenOutcome | Unsent | undefined; hopLimit: number }> {
    const key = tupleKey(tuple);
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      let way = NO_WAY;
      let hopLimit = 0;
      let foreign = false;
      let syns = 0;
      let sentAt = 0;
      let roundTrip: number | undefined;
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal!.reason as Error);
      };
      const end = (outcome?: OpenOutcome | Unsent): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        resolve({ outcome, way, foreign, hopLimit, roundTrip });
      };
      const take = ({ send, wait, outcome, strange }: OpenStep): void => {
        if (send) this.#options.engine.sendSegment(worker, tuple, send);
        if (strange) evidence.add({ type: 'strange', what: strange });
        if (outcome?.type === 'refused') evidence.add({ type: 'reset', hopLimit });
        if (send && send.flags & SYN) {
          [syns, sentAt] = [syns + 1, performance.now()];
          evidence.add({ type: 'syn' });
        }
        if (wait !== undefined) timer = setTimeout(() => take(open.timeout()), wait);
        if (outcome) end(outcome);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const receive = (segment: Segment): void => {
        ({ way, foreign, hopLimit } = segment);
        // Of several SYNs nobody knows which was answered (RFC 6298 §3).
        if (syns === 1) roundTrip = performance.now() - sentAt;
        take(open.segment(segment));
      };
      const unsent = (errno: number): void => {
        const code = getSystemErrorName(errno);
        evidence.add({ type: 'unsent', code });
        if (FINAL.includes(code)) end({ type: 'unsent', errno });
      };
      const answer = (iss + 1) >>> 0;
      this.#opening.set(key, { answer, remote, evidence, receive, unsent, abort: end });
      take(open.start());
    });
  }

  /** Bytes of the largest segment that can come back, as far as this host knows. */
  #mss(remote: Endpoint): number {
    const { mtu, ends } = this.#options;
    return Math.min(mtu, ends.routeMtu(remote) ?? mtu) - headersOf(familyOf(remote.address));
  }

  /** An answer to a SYN of ours that was sent from another port: the host's NAT has changed it. */
  #noteOtherPort({ tuple, ack }: Segment): void {
    const remote = formatEndpoint(remoteEnd(tuple));
    for (const { answer, evidence, remote: asked } of this.#opening.values()) {
      if (answer !== ack || formatEndpoint(asked) !== remote) continue;
      evidence.add({ type: 'otherPort', port: localPort(tuple) });
    }
  }

  #isClosed(): boolean {
    return this.#closed;
  }

  #isInUse(local: Endpoint, remote: Endpoint): boolean {
    const key = tupleKey(encodeTuple(local, remote));
    return this.#opening.has(key) || this.#options.isTaken(key);
  }
}

/** The kernel does not send its SYN, and will not. */
interface Unsent {
  readonly type: 'unsent';
  /** Negative. */
  readonly errno: number;
}

function isRefusal(found: Socket | Refusal, why: Refusal['why']): boolean {
  return 'why' in found && found.why === why;
}

function familyOf(address: string): 4 | 6 {
  return isIPv4(address) ? 4 : 6;
}
