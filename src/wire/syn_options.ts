/** What the TCP options of a SYN or SYN-ACK say (RFC 9293 §3.2, RFC 7323 §2), as native/wire/tcp_options.h reads them. */
import type { Profile } from './profile.js';

export interface SynOptions {
  /** It has a window scale option. */
  readonly scaled: boolean;
  /** Bytes of payload that its sender takes in one segment: 1 to 65535, undefined where it does not say. */
  readonly mss: number | undefined;
}

/** What a server remembers of a client's SYN. Its MSS may be rounded down. */
export interface PeerSyn extends SynOptions {
  readonly profile: Profile;
}

const END = 0;
const NO_OPERATION = 1;
const MSS = 2;
const WINDOW_SCALE = 3;

/**
 * Any bytes may be given. What is behind an option with a length that cannot be is not read; what has a length other than
 * its own says nothing. Of several MSS options the least counts.
 */
export function parseSynOptions(options: Uint8Array): SynOptions {
  let scaled = false;
  let least = Infinity;
  for (let at = 0; at < options.length && options[at] !== END;) {
    const kind = options[at];
    if (kind === NO_OPERATION) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || length > options.length - at) break;
    if (kind === WINDOW_SCALE && length === 3) scaled = true;
    if (kind === MSS && length === 4) {
      const mss = (options[at + 2]! << 8) | options[at + 3]!;
      if (mss !== 0) least = Math.min(least, mss);
    }
    at += length;
  }
  return { scaled, mss: least === Infinity ? undefined : least };
}
