/**
 * The client's side of the handshake (RFC 9293 §3.5): segments and timeouts in, segments and an outcome out.
 * No I/O, no clock, no randomness.
 */
import { ACK, RST, SYN } from '../wire/flags.js';
import { synOptions, type Profile } from '../wire/profile.js';
import { parseSynOptions, type SynOptions } from '../wire/syn_options.js';
import { CONNECTION } from '../policy.js';

/** What goes onto the wire; the ports and addresses are the caller's matter. */
export interface ControlSegment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly options: Uint8Array;
}

export type OpenOutcome =
  | {
      readonly type: 'established';
      readonly sendNext: number;
      readonly receiveNext: number;
      readonly profile: Profile;
      /** The SYN-ACK's. */
      readonly options: SynOptions;
    }
  | { readonly type: 'refused' }
  /** Somebody else than was expected has answered. */
  | { readonly type: 'mistaken' }
  | { readonly type: 'timedOut' };

export interface OpenStep {
  readonly send?: ControlSegment;
  /** Milliseconds after which to call `timeout`, unless a segment decided first. */
  readonly wait?: number;
  readonly outcome?: OpenOutcome;
  /** The segment is one that nobody would send who has seen the SYN. */
  readonly strange?: 'SYN-ACK' | 'RST';
}

export const NO_OPTIONS = new Uint8Array(0);

export class ActiveOpen {
  readonly #profile: Profile;
  readonly #iss: number;
  readonly #syn: ControlSegment;
  readonly #expected: number | undefined;
  #left: number;
  #wait = CONNECTION.synWait;

  /**
   * @param iss initial send sequence number, 0 to 2^32-1; phantun answers only 0
   * @param mss bytes of payload that one segment may carry
   * @param limit milliseconds until the open has timed out
   * @param expected the peer's ISN, if it is to have this one and no other
   */
  constructor({
    profile,
    iss,
    mss,
    limit,
    expected,
  }: {
    profile: Profile;
    iss: number;
    mss: number;
    limit: number;
    expected?: number | undefined;
  }) {
    this.#profile = profile;
    this.#iss = iss;
    this.#left = limit;
    this.#expected = expected;
    this.#syn = { flags: SYN, seq: iss, ack: 0, options: synOptions(profile, mss) };
  }

  start(): OpenStep {
    const wait = Math.min(this.#wait, this.#left);
    this.#left -= wait;
    this.#wait *= 2;
    return { send: this.#syn, wait };
  }

  timeout(): OpenStep {
    return this.#left > 0 ? this.start() : { outcome: { type: 'timedOut' } };
  }

  segment({ flags, seq, ack, options }: ControlSegment): OpenStep {
    const acknowledges = (flags & ACK) !== 0 && ack === (this.#iss + 1) >>> 0;
    if (flags & RST) return acknowledges ? { outcome: { type: 'refused' } } : { strange: 'RST' };
    const reset: ControlSegment = { flags: RST, seq: ack, ack: 0, options: NO_OPTIONS };
    if (flags & SYN && acknowledges) {
      if (seq !== (this.#expected ?? seq)) return { send: reset, outcome: { type: 'mistaken' } };
      const receiveNext = (seq + 1) >>> 0;
      return {
        outcome: {
          type: 'established',
          sendNext: (this.#iss + 1) >>> 0,
          receiveNext,
          profile: this.#profile,
          options: parseSynOptions(options),
        },
      };
    }
    // Somebody at the other end holds an old connection of this tuple: end it, the next SYN finds the way free
    // (RFC 9293 §3.10.7.3).
    if (flags & ACK && !acknowledges) return { send: reset, ...(flags & SYN ? { strange: 'SYN-ACK' } : {}) };
    return {};
  }
}
