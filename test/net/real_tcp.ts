/** The kernel's own TCP on a host of the rig, which a tunnel must not disturb. */
import type { RunningProgram } from './process.js';
import type { Host } from './rig.js';

const ECHO = `
const [address, port] = process.argv.slice(1);
const server = require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket));
server.on('error', ({ code }) => console.log(code)).listen(Number(port), address, () => console.log('listening'));`;

/** Sends for as long as it is told, and reads back; says at once when it is connected, and in the end what is lost. */
const CALL = `
const [address, port, milliseconds] = process.argv.slice(1);
const block = Buffer.alloc(1 << 14, 'x');
let sent = 0, received = 0;
const socket = require('node:net').connect(Number(port), address, () => {
  console.log('connected');
  const end = Date.now() + Number(milliseconds);
  const timer = setInterval(() => {
    socket.write(block);
    sent += block.length;
    if (Date.now() < end) return;
    clearInterval(timer);
    socket.end();
  }, 10);
});
socket.on('data', (data) => (received += data.length));
socket.on('error', ({ code }) => console.log(code));
socket.on('close', () => process.exit(console.log('missing ' + (sent - received))));`;

/** Listens, and sends back what comes; its first line is `listening`, or the code of the error. */
export function listen(host: Host, address: string, port: number): RunningProgram {
  return host.start(process.execPath, ['-e', ECHO, address, `${port}`]);
}

/** A connection that lasts so many milliseconds; it says `connected`, and `missing 0` when all has come back. */
export function call(host: Host, address: string, port: number, milliseconds: number): RunningProgram {
  return host.start(process.execPath, ['-e', CALL, address, `${port}`, `${milliseconds}`]);
}
