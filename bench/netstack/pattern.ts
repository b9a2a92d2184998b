/** The bytes of every stream of the race: see bench/streams/pattern.h. */

const PERIOD = 65521;
/** Bytes that can be had in one piece. */
export const MOST = 2 * PERIOD;

const pattern = makePattern();

function makePattern(): Buffer {
  const bytes = Buffer.alloc(MOST + PERIOD);
  let state = 1;
  for (let i = 0; i < PERIOD; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  bytes.copy(bytes, PERIOD, 0, PERIOD);
  bytes.copy(bytes, MOST, 0, PERIOD);
  return bytes;
}

/** `size` bytes of the stream, at most `MOST`, from a position on. */
export function patternAt(position: number, size: number): Buffer {
  const at = position % PERIOD;
  return pattern.subarray(at, at + size);
}

/** Whether a chunk is what belongs at a position. */
export function matches(position: number, chunk: Buffer): boolean {
  for (let done = 0; done < chunk.length; done += MOST) {
    const end = Math.min(done + MOST, chunk.length);
    const at = (position + done) % PERIOD;
    if (pattern.compare(chunk, done, end, at, at + end - done) !== 0) return false;
  }
  return true;
}
