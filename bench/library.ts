/**
 * One end of the library's race: `library.js receive` or `library.js send SECONDS`, each with a stack on its own TUN.
 * The receiver prints a JSON line when the sender closes.
 */
import { once } from 'node:events';
import { setUpHostNetwork } from '../src/host/network.js';
import { Stack, type Socket } from '../src/index.js';

const PORT = 4567;
const SIZE = 1400;
/** Datagrams between two turns of the event loop. */
const BURST = 512;

async function openStack(role: 'client' | 'server'): Promise<{ stack: Stack; close: () => Promise<void> }> {
  const net = role === 'client' ? '192.168.200' : '192.168.201';
  const stack = await Stack.open({ device: { queues: 1 }, addresses: [`${net}.2`] });
  const network = await setUpHostNetwork({
    role,
    tun: stack.interfaceName!,
    addresses: { local4: `${net}.1`, peer4: `${net}.2` },
    mtu: 1500,
    firewall: true,
    warn: console.warn,
    ...(role === 'server' ? { port: PORT } : {}),
  });
  const close = async (): Promise<void> => {
    await stack.close();
    await network[Symbol.asyncDispose]();
  };
  return { stack, close };
}

async function receive(): Promise<void> {
  const { stack, close } = await openStack('server');
  const listener = stack.listen({ port: PORT });
  console.log('ready');
  const [socket] = (await once(listener, 'connection')) as [Socket];
  let datagrams = 0;
  let wrong = 0;
  let first = 0n;
  let last = 0n;
  socket.on('message', (datagram) => {
    if (datagrams++ === 0) first = process.hrtime.bigint();
    if ((datagrams & 1023) === 0) last = process.hrtime.bigint();
    if (datagram.length !== SIZE || datagram[0] !== 0x67) wrong++;
  });
  await once(socket, 'close');
  const { receivedDatagrams } = socket.counters;
  const seconds = Number(last - first) / 1e9;
  console.log(JSON.stringify({ datagrams, wrong, seconds, receivedDatagrams, dropped: stack.counters.dropped }));
  await close();
}

async function send(seconds: number): Promise<void> {
  const { stack, close } = await openStack('client');
  const socket = await stack.connect({ address: '10.0.2.2', port: PORT });
  const payload = Buffer.alloc(SIZE, 0x67);
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    for (let i = 0; i < BURST; i++) socket.send(payload);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { sentDatagrams, sentDrops } = socket.counters;
  console.log(JSON.stringify({ sentDatagrams, sentDrops }));
  await close();
}

const [, , part, seconds] = process.argv;
await (part === 'receive' ? receive() : send(Number(seconds)));
