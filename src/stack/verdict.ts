/**
 * What a RST, SYN or FIN on an established flow means (RFC 5961 §3.2, §4.2): only somebody who sees the connection
 * knows its numbers, and a guess must not end it.
 */
import { ACK, FIN, RST, SYN, type FlowNumbers } from '../native.js';

export type Verdict =
  /** The peer has reset the connection. */
  | 'reset'
  /** The peer has nothing more to send. */
  | 'finished'
  /** Answer with an ACK: an honest peer then proves itself with exact numbers. */
  | 'challenge'
  | 'ignore';

/** Half of the sequence space that our scaled window covers (RFC 7323 §2.3). */
const WINDOW = 2 ** 30;

/** How far `b` is behind `a`, -2^31 to 2^31-1. */
export function ahead(a: number, b: number): number {
  return (a - b) | 0;
}

export function judge(
  segment: { readonly flags: number; readonly seq: number; readonly ack: number },
  numbers: Pick<FlowNumbers, 'sendNext' | 'receiveNext'>,
): Verdict {
  const offset = ahead(segment.seq, numbers.receiveNext);
  const inWindow = offset >= 0 && offset < WINDOW;
  if (segment.flags & RST) return offset === 0 ? 'reset' : inWindow ? 'challenge' : 'ignore';
  if (segment.flags & SYN) return 'challenge';
  if (segment.flags & FIN) {
    // The datagrams before it may be lost, so its number may be ahead; its ACK then shows that it knows ours.
    const behind = ahead(numbers.sendNext, segment.ack);
    const knowsUs = (segment.flags & ACK) !== 0 && behind >= 0 && behind < WINDOW;
    return inWindow && knowsUs ? 'finished' : 'challenge';
  }
  return 'challenge';
}
