/** A program of `guise netstack` on the rig's client, with no rights, on a TUN that was set up as its help says. */
import { fileURLToPath } from 'node:url';
import type { RunningProgram, RunOptions } from '../net/process.js';
import type { Host } from '../net/rig.js';
import { SET_UP } from '../../src/tools/tool.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const NO_RIGHTS = ['--bounding-set', '-all', '--inh-caps', '-all', '--no-new-privs'];

const [, setUp, takeDown] = SET_UP.split('\n').map((line) => line.trim().replace('sudo ', ''));

/** Makes the TUN for the user of the test. It has IPv6, too. */
export async function setUpTun(host: Host): Promise<void> {
  await host.run('sh', ['-ec', setUp!], { env: { USER: `${process.getuid!()}` } });
  await host.run('ip', ['address', 'add', 'fd09::1/64', 'dev', 'tuna', 'nodad']);
}

export async function takeDownTun(host: Host): Promise<void> {
  await host.run('sh', ['-ec', takeDown!]);
}

/** Starts `guise netstack …`. */
export function start(host: Host, args: readonly string[], options: RunOptions = {}): RunningProgram {
  const command = [process.execPath, `${root}/dist/client/guise.js`, 'netstack', ...args];
  return host.start('setpriv', [...NO_RIGHTS, ...command], options);
}

/** … and waits until it is ready. */
export async function ready(host: Host, args: readonly string[], options: RunOptions = {}): Promise<RunningProgram> {
  const program = start(host, args, options);
  await program.waitFor(/ready on tuna/);
  return program;
}

/** Starts a program of examples/netstack, and waits until it is ready. */
export async function example(host: Host, name: string, ...args: readonly string[]): Promise<RunningProgram> {
  const program = host.start('setpriv', [...NO_RIGHTS, process.execPath, `${root}/examples/netstack/${name}`, ...args]);
  await program.waitFor(/ready on tuna/);
  return program;
}

/** Runs a function of its own, on the kernel's stack of a host; what it returns, as text. Nothing else goes with it. */
export async function kernel<A extends readonly string[]>(
  host: Host,
  work: (...args: A) => Promise<string>,
  ...args: A
): Promise<string> {
  const script = `(${work.toString()})(...process.argv.slice(1)).then((text) => {
    process.stdout.write(text, () => process.exit());
  })`;
  return (await host.run(process.execPath, ['-e', script, ...args])).trimEnd();
}

/**
 * Sends a text by TCP, so many times, ends its stream, and reads until the other end has ended too: what came, or the
 * code of the error.
 */
export const ask = async (address: string, port: string, text: string, times = '1'): Promise<string> => {
  const net = await import('node:net');
  const socket = net.connect({ host: address, port: Number(port), allowHalfOpen: true });
  socket.end(text.repeat(Number(times)));
  let answer = '';
  socket.on('data', (chunk) => (answer += String(chunk)));
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
    socket.once('close', () => resolve(answer)); // when both sides have ended
  });
};

/** Sends a text by UDP, again each 100 ms until something comes back. */
export const askUdp = async (address: string, port: string, text: string): Promise<string> => {
  const { createSocket } = await import('node:dgram');
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const send = (): void => socket.send(text, Number(port), address);
  send();
  const timer = setInterval(send, 100);
  return new Promise((resolve) => {
    socket.once('message', (data, from) => {
      clearInterval(timer);
      resolve(`${from.address} ${from.port} ${data.toString()}`);
    });
  });
};

/** Sends back what comes by TCP and UDP, in capitals and with who has sent it. */
export const shoutingServer = `
const [address, port] = process.argv.slice(1);
const net = require('node:net'), dgram = require('node:dgram');
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  let text = '';
  socket.on('data', (chunk) => (text += chunk)).on('end', () => socket.end(socket.remoteAddress + ' ' + text.toUpperCase()));
}).listen(Number(port), address, () => {
  const udp = dgram.createSocket(net.isIPv6(address) ? 'udp6' : 'udp4');
  udp.on('message', (data, from) => udp.send(from.address + ' ' + data.toString().toUpperCase(), from.port, from.address));
  udp.bind(Number(port), address, () => console.log('listening'));
});`;

/** Starts that, and waits until it listens. */
export async function shout(host: Host, address: string, port: number): Promise<void> {
  await host.start(process.execPath, ['-e', shoutingServer, address, `${port}`]).waitFor(/listening/);
}
