/** Bytes that the user has written and the peer has not acknowledged, in the chunks that they came in. */

/** Chunks below this are copied together behind others, so that a writer of single bytes costs no object a byte. */
const SMALL = 256;
const BLOCK = 8192;
/** What a chunk costs beside its bytes, roughly: an object of its own. */
const CHUNK_COST = 64;
const EMPTY = new Uint8Array(0);

export class SendBuffer {
  /** Those before `#head` are gone. */
  readonly chunks: Uint8Array[] = [];
  /** Bytes that are kept. */
  size = 0;
  /** The chunk and the place in it that `seek` has found. */
  foundChunk = 0;
  foundOffset = 0;

  #head = 0;
  /** Bytes of the first chunk that are acknowledged. */
  #gone = 0;
  /** A place that sending goes on from: a chunk, and bytes from the first that is kept to its beginning. */
  #cursor = 0;
  #cursorAt = 0;
  #block: Uint8Array | undefined;
  #blockUsed = 0;

  /** What it takes of memory, bytes, more or less. */
  get cost(): number {
    return this.size + (this.chunks.length - this.#head) * CHUNK_COST;
  }

  push(chunk: Uint8Array): void {
    const { length } = chunk;
    if (length === 0) return;
    if (length >= SMALL || this.size === 0) {
      this.chunks.push(chunk);
      this.#block = undefined;
    } else {
      this.#append(chunk);
    }
    this.size += length;
  }

  #append(chunk: Uint8Array): void {
    const { length } = chunk;
    if (this.#block && this.#blockUsed + length <= BLOCK) {
      const last = this.chunks.length - 1;
      const begin = this.#blockUsed - this.chunks[last]!.length;
      this.#block.set(chunk, this.#blockUsed);
      this.#blockUsed += length;
      this.chunks[last] = this.#block.subarray(begin, this.#blockUsed);
      return;
    }
    this.#block = new Uint8Array(BLOCK);
    this.#block.set(chunk);
    this.#blockUsed = length;
    this.chunks.push(this.#block.subarray(0, length));
  }

  /** Finds the byte that is `at` bytes behind the first that is kept. */
  seek(at: number): void {
    if (at < this.#cursorAt) {
      this.#cursor = this.#head;
      this.#cursorAt = -this.#gone;
    }
    for (;;) {
      const next = this.#cursorAt + this.chunks[this.#cursor]!.length;
      if (at < next) break;
      this.#cursorAt = next;
      this.#cursor += 1;
    }
    this.foundChunk = this.#cursor;
    this.foundOffset = at - this.#cursorAt;
  }

  /** The first `bytes` are acknowledged. */
  acknowledge(bytes: number): void {
    this.size -= bytes;
    this.#cursorAt -= bytes;
    let gone = this.#gone + bytes;
    while (this.#head < this.chunks.length && gone >= this.chunks[this.#head]!.length) {
      gone -= this.chunks[this.#head]!.length;
      this.chunks[this.#head] = EMPTY;
      this.#head += 1;
    }
    this.#gone = gone;
    if (this.#cursor < this.#head) {
      this.#cursor = this.#head;
      this.#cursorAt = -gone;
    }
    if (this.#head === this.chunks.length) this.#restart();
    else if (this.#head >= 64 && this.#head * 2 > this.chunks.length) this.#compact();
  }

  #restart(): void {
    this.chunks.length = 0;
    this.#head = this.#cursor = this.#cursorAt = this.#gone = 0;
    this.#block = undefined;
  }

  #compact(): void {
    this.chunks.splice(0, this.#head);
    this.#cursor -= this.#head;
    this.#head = 0;
  }
}
