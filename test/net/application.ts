/** An application behind the client that keeps its socket, and the service that it asks behind the server. */
import type { RunningProgram } from './process.js';
import type { Rig } from './rig.js';

/** An application with one socket that asks ten times a second and prints the numbers of the answers. */
const APPLICATION = `
const socket = require('node:dgram').createSocket('udp4');
let asked = 0;
socket.on('message', (message) => console.log('answer ' + message));
socket.on('error', (error) => console.log('error ' + error.message));
socket.bind(6000, '127.0.0.1', () => (process.argv[1] === 'once' ? setTimeout : setInterval)(() => socket.send(String(++asked), 5000, '127.0.0.1'), 100));`;

/** Answers, and says who asks. */
const SERVICE = `
const socket = require('node:dgram').createSocket('udp4');
const known = new Set();
socket.on('message', (message, { port }) => {
  if (!known.has(port)) console.log('asked by ' + port);
  known.add(port);
  if (process.argv[1] !== 'mute') socket.send(message, port, '127.0.0.1');
});
socket.bind(7000, '127.0.0.1', () => console.log('ready'));`;

export async function startService(rig: Rig, ...args: string[]): Promise<RunningProgram> {
  const service = rig.server.start(process.execPath, ['-e', SERVICE, ...args]);
  await service.waitFor(/ready/);
  return service;
}

/** Waits until the application has got so many more answers than now. */
export async function answers(application: RunningProgram, more: number): Promise<void> {
  const before = application.output.match(/^answer/gm)?.length ?? 0;
  await application.waitFor(/^answer/, before + more - 1);
}

/** The application, on the client's host. */
export function startApplication(rig: Rig, ...args: string[]): RunningProgram {
  return rig.client.start(process.execPath, ['-e', APPLICATION, ...args]);
}
