/**
 * An established connection until its end (RFC 9293 §3.6): what the peer, the user and the clock do in, what to send out.
 * No I/O, no clock, no randomness; the data plane has judged the numbers of what the peer sends.
 */
import { Liveness, type LivenessOptions, type Signs } from './liveness.js';
import type { Profile } from '../wire/profile.js';
import { CONNECTION } from '../policy.js';

/**
 * `finWait`: we have closed, the peer's FIN is to come. `lastAck`: the peer has closed, and may not have heard our FIN.
 */
export type ConnectionState = 'established' | 'finWait' | 'lastAck' | 'closed';

export interface ConnectionStep {
  /** `finAgain` has the number of the FIN before it; `probe` is an ACK that the peer has to answer. */
  readonly send?: 'ack' | 'fin' | 'finAgain' | 'reset' | 'probe';
  /** Find out whether the server answers a SYN from another port, and call `answeredElsewhere` if it does. */
  readonly ask?: true;
  /** Milliseconds after which to call `timeout`, instead of at the time asked for before. */
  readonly wait?: number;
  /** Once in a connection: nothing more is sent or received. `closed` is in order, the others are errors. */
  readonly ended?: 'closed' | 'ECONNRESET' | 'ETIMEDOUT' | 'EADDRNOTAVAIL' | 'EBADMSG';
  /** Once, with `ended` or after it: the tuple is free again. */
  readonly forget?: true;
}

const NOTHING: ConnectionStep = {};

export class Connection {
  readonly #profile: Profile;
  readonly #ignoreRst: boolean;
  #state: ConnectionState = 'established';
  #finTries = 0;
  #liveness: Liveness | undefined;

  /** @param ignoreRst the peer's RSTs change nothing: for networks that inject them */
  constructor({ profile, ignoreRst }: { profile: Profile; ignoreRst: boolean }) {
    this.#profile = profile;
    this.#ignoreRst = ignoreRst;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Whether the peer has to show signs of life. */
  get hasLiveness(): boolean {
    return this.#liveness !== undefined;
  }

  /** From now on the peer has to show signs of life. `now` in milliseconds. */
  startLiveness(options: LivenessOptions, now: number, signs: Signs): void {
    this.#liveness = new Liveness(options, now, signs);
  }

  /** The user closes. phantun knows no FIN. */
  close(): ConnectionStep {
    if (this.#state !== 'established') return NOTHING;
    if (this.#profile === 'phantun') return this.abort();
    this.#state = 'finWait';
    this.#finTries = 1;
    return { send: 'fin', wait: CONNECTION.finWait };
  }

  /** The user ends it at once. */
  abort(): ConnectionStep {
    return this.#state === 'closed' ? NOTHING : { send: 'reset', ...this.#end('closed') };
  }

  /** The peer's FIN has come. */
  finished(): ConnectionStep {
    switch (this.#state) {
      case 'established':
        this.#state = 'lastAck';
        return { send: 'fin', wait: CONNECTION.linger, ended: 'closed' };
      case 'finWait':
        return { send: 'ack', ...this.#end('closed') };
      case 'lastAck':
        return { send: 'finAgain' };
      case 'closed':
        return NOTHING;
    }
  }

  /** The peer's RST has come. */
  reset(): ConnectionStep {
    if (this.#state === 'closed' || this.#ignoreRst) return NOTHING;
    return this.#end(this.#state === 'established' ? 'ECONNRESET' : 'closed');
  }

  /** Something on the path cuts or joins segments: no datagram is whole. */
  recut(): ConnectionStep {
    return this.#state === 'established' ? { send: 'reset', ...this.#end('EBADMSG') } : NOTHING;
  }

  /** The host has lost the address of this side: nothing of the peer comes here any more. */
  addressLost(): ConnectionStep {
    return this.#state === 'closed' ? NOTHING : this.#end(this.#state === 'established' ? 'EADDRNOTAVAIL' : 'closed');
  }

  /** The time that a step asked to wait is over. */
  timeout(): ConnectionStep {
    switch (this.#state) {
      case 'finWait':
        if (this.#finTries === CONNECTION.finTries) return this.#end('closed');
        this.#finTries++;
        return { send: 'finAgain', wait: CONNECTION.finWait };
      case 'lastAck':
        return this.#end('closed');
      default:
        return NOTHING;
    }
  }

  /** When to call `checkLiveness`: never where the peer need not show signs of life. */
  get nextCheck(): number {
    return this.#state === 'established' && this.#liveness ? this.#liveness.nextCheck : Infinity;
  }

  /** Whether `awake` is to be called when a datagram is sent. */
  get isWatched(): boolean {
    return this.#state === 'established' && (this.#liveness?.isWatched ?? false);
  }

  /** A datagram has been sent, the first for some time. */
  awake(now: number): void {
    this.#liveness?.awake(now);
  }

  /** Probes the peer when it has been silent, and gives it up. */
  checkLiveness(now: number, signs: Signs): ConnectionStep {
    if (this.#state !== 'established') return NOTHING;
    switch (this.#liveness?.check(now, signs)) {
      case 'probe':
        return { send: 'probe' };
      case 'ask':
        return { send: 'probe', ask: true };
      case 'dead':
        return { send: 'reset', ...this.#end('ETIMEDOUT') };
      default:
        return NOTHING;
    }
  }

  /** The server has answered a SYN from another port. */
  answeredElsewhere(): void {
    this.#liveness?.answered();
  }

  #end(why: NonNullable<ConnectionStep['ended']>): ConnectionStep {
    const heard = this.#state === 'lastAck';
    this.#state = 'closed';
    return heard ? { forget: true } : { ended: why, forget: true };
  }
}
