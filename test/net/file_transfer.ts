/**
 * Sends random bytes over TCP from one host of the rig to another; each end prints the SHA-256 of what it saw.
 *
 *     node file_transfer.js receive IP PORT
 *     node file_transfer.js send IP PORT BYTES
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import type { Host } from './rig.js';

const CHUNK = 1 << 20;

export interface Transfer {
  readonly sent: string;
  readonly received: string;
  readonly seconds: number;
}

/** Runs a transfer of `bytes` to an address of the server. `onProgress` gets the fraction that is sent. */
export async function transferFile({
  from,
  to,
  address,
  bytes,
  onProgress,
}: {
  from: Host;
  to: Host;
  address: string;
  bytes: number;
  onProgress?: (fraction: number) => void;
}): Promise<Transfer> {
  const self = fileURLToPath(import.meta.url);
  const receiver = to.start(process.execPath, [self, 'receive', address, '8080']);
  await receiver.waitFor(/^listening/);
  const begin = process.hrtime.bigint();
  const sender = from.start(process.execPath, [self, 'send', address, '8080', `${bytes}`], {
    onLine: (line) => onProgress?.(Number(line) / bytes),
  });
  const sent = (await sender.waitFor(/^sha256 /)).slice(7);
  const received = (await receiver.waitFor(/^sha256 /)).slice(7);
  return { sent, received, seconds: Number(process.hrtime.bigint() - begin) / 1e9 };
}

async function receive(address: string, port: number): Promise<void> {
  const server = createServer();
  server.listen(port, address, () => console.log('listening'));
  const [socket] = (await once(server, 'connection')) as [import('node:net').Socket];
  const hash = createHash('sha256');
  for await (const chunk of socket) hash.update(chunk as Buffer);
  console.log(`sha256 ${hash.digest('hex')}`);
  server.close();
}

async function send(address: string, port: number, bytes: number): Promise<void> {
  const socket = connect(port, address);
  await once(socket, 'connect');
  const hash = createHash('sha256');
  for (let left = bytes; left > 0;) {
    const chunk = randomBytes(Math.min(CHUNK, left));
    hash.update(chunk);
    left -= chunk.length;
    if (!socket.write(chunk)) await once(socket, 'drain');
    console.log(bytes - left);
  }
  socket.end();
  await once(socket, 'close');
  console.log(`sha256 ${hash.digest('hex')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , part, address, port, bytes] = process.argv;
  await (part === 'receive' ? receive(address!, Number(port)) : send(address!, Number(port), Number(bytes)));
}
