/** Streams of bytes that nobody mistakes for others, and what came of them. */
import { createHash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { once } from 'node:events';

const BLOCK = 1 << 16;

/** The block of a stream's number, as many bytes as it has left. */
function block(seed: number, number: number, size: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(size);
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b)) | 1;
  const words = new Int32Array(bytes.buffer, 0, size >> 2);
  for (let each = 0; each < words.length; each++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[each] = state;
  }
  for (let each = words.length * 4; each < size; each++) bytes[each] = each;
  return bytes;
}

function* blocks(seed: number, size: number): Generator<Buffer> {
  for (let at = 0, number = 0; at < size; at += BLOCK) yield block(seed, number++, Math.min(BLOCK, size - at));
}

/** The digest that the stream of a seed has. */
export function digestOf(seed: number, size: number): string {
  const hash = createHash('sha1');
  for (const each of blocks(seed, size)) hash.update(each);
  return `${size} ${hash.digest('hex')}`;
}

/** Writes the stream of a seed, as fast as the other side lets it. */
export async function write(seed: number, size: number, to: Writable): Promise<void> {
  for (const each of blocks(seed, size)) if (!to.write(each)) await once(to, 'drain');
}

/** … and ends it. */
export async function send(seed: number, size: number, to: Writable): Promise<void> {
  await write(seed, size, to);
  to.end();
}

/** Reads to the end, or as many bytes; the digest of what came. */
export async function receive(from: Readable, most = Infinity): Promise<string> {
  const hash = createHash('sha1');
  let size = 0;
  for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
    if (size >= most) break;
  }
  return `${size} ${hash.digest('hex')}`;
}
