/** A sink, a source, an echo and a web server on streams as Node knows them: see bench/streams. */
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { matches, MOST, patternAt } from './pattern.js';

/** Judges a stream; answers its end with the count of bytes that came as they were sent. */
export function sink(socket: Duplex): void {
  let position = 0;
  let intact = true;
  socket.on('data', (chunk: Buffer) => {
    intact &&= matches(position, chunk);
    if (intact) position += chunk.length;
  });
  socket.on('end', () => {
    const verdict = Buffer.alloc(8);
    verdict.writeBigUInt64LE(BigInt(position));
    socket.end(verdict);
  });
  socket.on('error', () => {}); // the peer says it
}

/** Sends as many bytes as it is asked for. */
export function source(socket: Duplex): void {
  let asked = Buffer.alloc(0);
  let position = 0;
  let wanted = 0;
  const push = (): void => {
    while (position < wanted) {
      const chunk = patternAt(position, Math.min(MOST, wanted - position));
      position += chunk.length;
      if (!socket.write(chunk)) return;
    }
    socket.end();
  };
  socket.on('data', (chunk: Buffer) => {
    if (wanted > 0) return;
    asked = Buffer.concat([asked, chunk]);
    if (asked.length < 8) return;
    wanted = Number(asked.readBigUInt64LE());
    push();
  });
  socket.on('drain', push);
  socket.on('error', () => {}); // it ends with a RST when the time is over
}

export function echo(socket: Duplex): void {
  socket.on('error', () => {});
  socket.pipe(socket);
}

/** By port. */
export const SERVICES: ReadonlyMap<number, (socket: Duplex) => void> = new Map([
  [7001, sink],
  [7002, source],
  [7003, echo],
]);

export const HTTP_PORT = 8080;

export function webServer(): Server {
  const body = 'x'.repeat(100);
  return createServer((_, response) => {
    response.setHeader('Content-Length', body.length);
    response.end(body);
  });
}
