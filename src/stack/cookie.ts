/**
 * The server's initial sequence number is a keyed cookie over the tuple and a coarse clock (RFC 4987 §3.6): it keeps
 * nothing of a SYN until an ACK brings the cookie back. The lowest bit remembers the client's profile.
 */
import { createHmac } from 'node:crypto';
import type { Profile } from './profile.js';

/** A cookie is good for its own slot of the clock and the next: 32 to 64 s. */
const SLOT = 32_000;

export class CookieJar {
  readonly #key: Uint8Array;

  /** @param key 32 random bytes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** The ISN for a SYN-ACK. `now` in milliseconds. */
  make(tuple: Uint8Array, profile: Profile, now: number): number {
    return this.#cookie(tuple, profile, Math.floor(now / SLOT));
  }

  /** The client's profile when `isn` is a cookie of ours for this tuple that has not expired. */
  check(tuple: Uint8Array, isn: number, now: number): Profile | undefined {
    const profile: Profile = isn & 1 ? 'phantun' : 'guise';
    const slot = Math.floor(now / SLOT);
    return [slot, slot - 1].some((each) => this.#cookie(tuple, profile, each) === isn) ? profile : undefined;
  }

  #cookie(tuple: Uint8Array, profile: Profile, slot: number): number {
    const digest = createHmac('sha256', this.#key).update(tuple).update(`${profile} ${slot}`).digest();
    return (digest.readUInt32LE(0) & ~1 | (profile === 'phantun' ? 1 : 0)) >>> 0;
  }
}
