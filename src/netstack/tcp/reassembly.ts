/** Payload that came before what precedes it (RFC 9293 §3.10.7.4), and the SACK blocks that tell of it (RFC 2018 §4). */
import { atOrAfter, atOrBefore, isAfter, isBefore } from './sequence.js';

/** More islands than this are not kept: a peer that sends every other byte is no honest one. */
const MOST_RANGES = 1024;
/** What a chunk costs beside its bytes, roughly. */
const CHUNK_COST = 128;

interface Range {
  start: number;
  end: number;
  readonly chunks: Uint8Array[];
}

export class Reassembly {
  /** In their order, with gaps between them. */
  #ranges: Range[] = [];
  /** Those that grew last, the latest first: what SACK blocks tell. */
  #recent: Range[] = [];
  /** What is kept costs this much memory, bytes. */
  cost = 0;

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /**
   * Keeps what is new of the payload that begins at `seq`.
   *
   * @returns false: nothing of it was new or there is no room for it
   */
  insert(seq: number, payload: Uint8Array, room: number): boolean {
    const end = (seq + payload.length) | 0;
    const ranges = this.#ranges;
    // The first that ends at or behind the beginning: it is touched, or comes behind.
    let at = ranges.length;
    while (at > 0 && atOrAfter(ranges[at - 1]!.end, seq)) at -= 1;
    const first = ranges[at];
    if (first && atOrBefore(first.start, seq) && atOrAfter(first.end, end)) {
      this.#touch(first);
      return false;
    }
    if (payload.length + CHUNK_COST > room) return false;
    if (!first || isAfter(first.start, end)) {
      if (ranges.length >= MOST_RANGES) return false;
      const range = { start: seq, end, chunks: [payload] };
      ranges.splice(at, 0, range);
      this.cost += payload.length + CHUNK_COST;
      this.#touch(range);
      return true;
    }
    this.#join(at, seq, end, payload);
    return true;
  }

  /** Takes payload in that touches the range `at`, and maybe others behind it. */
  #join(at: number, seq: number, end: number, payload: Uint8Array): void {
    const ranges = this.#ranges;
    const target = ranges[at]!;
    if (isBefore(seq, target.start)) {
      const part = payload.subarray(0, (target.start - seq) | 0);
      target.chunks.unshift(part);
      this.cost += part.length + CHUNK_COST;
      target.start = seq;
    }
    while (isAfter(end, target.end)) {
      const next = ranges[at + 1];
      const until = next && isBefore(next.start, end) ? next.start : end;
      if (isAfter(until, target.end)) {
        const part = payload.subarray((target.end - seq) | 0, (until - seq) | 0);
        target.chunks.push(part);
        this.cost += part.length + CHUNK_COST;
        target.end = until;
      }
      if (next?.start !== target.end) break;
      for (const chunk of next.chunks) target.chunks.push(chunk);
      target.end = next.end;
      ranges.splice(at + 1, 1);
      this.#forget(next);
    }
    const next = ranges[at + 1];
    if (next?.start === target.end) {
      for (const chunk of next.chunks) target.chunks.push(chunk);
      target.end = next.end;
      ranges.splice(at + 1, 1);
      this.#forget(next);
    }
    this.#touch(target);
  }

  /** The chunks that continue the stream at `next`, without what lies before it; undefined when there is a gap. */
  take(next: number): Uint8Array[] | undefined {
    const first = this.#ranges[0];
    if (!first || isAfter(first.start, next)) return undefined;
    this.#ranges.shift();
    this.#forget(first);
    for (const chunk of first.chunks) this.cost -= chunk.length + CHUNK_COST;
    let skip = (next - first.start) | 0;
    const chunks: Uint8Array[] = [];
    for (const chunk of first.chunks) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      chunks.push(skip > 0 ? chunk.subarray(skip) : chunk);
      skip = 0;
    }
    return chunks;
  }

  /** Fills at most `most` SACK blocks in from the place `at`; the number of them. */
  blocks(into: Int32Array, at: number, most: number): number {
    const count = Math.min(most, this.#recent.length);
    for (let i = 0; i < count; ++i) {
      into[at + 2 * i] = this.#recent[i]!.start;
      into[at + 2 * i + 1] = this.#recent[i]!.end;
    }
    return count;
  }

  #touch(range: Range): void {
    if (this.#recent[0] === range) return;
    this.#forget(range);
    this.#recent.unshift(range);
  }

  #forget(range: Range): void {
    const at = this.#recent.indexOf(range);
    if (at >= 0) this.#recent.splice(at, 1);
  }
}
