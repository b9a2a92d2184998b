/** UDP sockets of this process in the namespace of a host: a child opens one there and hands it over. */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Host } from './rig.js';

const OPENER = `
const socket = require('node:dgram').createSocket('udp4');
socket.bind(Number(process.argv[1]), '127.0.0.1', () => process.send('bound', socket, () => process.exit()));`;

/** Binds 127.0.0.1:`port` on a host. */
export async function openUdp(host: Host, port: number): Promise<Socket> {
  const child = spawn('ip', ['netns', 'exec', host.name, process.execPath, '-e', OPENER, `${port}`], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const socket = await new Promise<Socket>((resolve, reject) => {
    child.once('message', (_, handle) => resolve(handle as Socket));
    child.once('disconnect', () => reject(new Error(`UDP port ${port} of ${host.name} cannot be bound.`)));
  });
  await ended; // with its copy of the socket
  return socket;
}
