/**
 * Connects or listens on a TUN from the shell, as nc: standard input leaves, what comes is written to standard output.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     guise netstack nc --address 10.9.0.2 10.9.0.1 80
 *     guise netstack nc -l 80
 *     sudo ip link del tuna
 */
import { once } from 'node:events';
import { parseAddress, parsePort } from '../config/addresses.js';
import type { Netstack, TcpSocket, UdpSendOptions } from '../netstack/index.js';
import { checkPlaces, openStack, readFlags, TUN_FLAG, wrongUsage } from './tool.js';

export const HELP = `guise netstack nc [--tun NAME] [-u] --address OWN ADDRESS PORT
guise netstack nc [--tun NAME] [-u] -l [ADDRESS] PORT

Connects from the address OWN, which is routed to the TUN, or takes one connection. The end of standard input ends this
side of it. The program ends when both sides have; at a terminal, when the other side has.

  --address OWN   address to connect from
  -l, --listen    takes a connection: to ADDRESS, or to any that is routed to the TUN
  -u, --udp       datagrams in place of a connection; nothing but a signal ends the program`;

export async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { values, positionals } = readFlags('nc', args, {
    ...TUN_FLAG,
    address: { type: 'string' },
    listen: { type: 'boolean', short: 'l', default: false },
    udp: { type: 'boolean', short: 'u', default: false },
  });
  const { listen, udp } = values;
  checkPlaces('nc', positionals, listen ? 1 : 2, 2);
  const port = parsePort(positionals.at(-1)!);
  const address = positionals.length > 1 ? parseAddress(positionals[0]!) : undefined;
  const own = values.address === undefined ? [] : [parseAddress(values.address)];
  if (!listen && own.length === 0) throw wrongUsage('nc', '--address must be given, to connect from');
  await using stack = await openStack(values.tun, { addresses: own });
  const isGone = once(stack, 'error').then(([error]) => Promise.reject(error as Error));
  const talk = (udp ? datagrams : stream)(stack, { listen, address, port, signal });
  await Promise.race([talk, isGone]);
}

interface Place {
  readonly listen: boolean;
  readonly address: string | undefined;
  readonly port: number;
  readonly signal: AbortSignal;
}

async function stream(stack: Netstack, place: Place): Promise<void> {
  const { listen, address, port, signal } = place;
  const socket = listen
    ? await accept(stack, place)
    : stack.connect({ address: address!, port, allowHalfOpen: true, noDelay: true });
  if (!socket) return;
  signal.addEventListener('abort', () => socket.destroy());
  process.stdin.pipe(socket);
  socket.pipe(process.stdout, { end: false });
  // What a pipe or a file still has is sent; nobody waits for somebody at a terminal.
  socket.once('end', () => {
    if (!process.stdin.isTTY) return;
    process.stdin.unpipe(socket);
    socket.end();
  });
  await once(socket, 'close');
}

/** The first connection to come; undefined when the signal aborts before. */
async function accept(stack: Netstack, { address, port, signal }: Place): Promise<TcpSocket | undefined> {
  const listener = stack.listen({ address, port, allowHalfOpen: true, noDelay: true });
  signal.addEventListener('abort', () => listener.close());
  for await (const socket of listener) {
    listener.close();
    return socket;
  }
  return undefined;
}

/** With the peer that was named, or with the one that sends first. */
async function datagrams(stack: Netstack, { listen, address, port, signal }: Place): Promise<void> {
  const udp = listen ? stack.udp({ address, port }) : stack.udp({ port: 0 });
  signal.addEventListener('abort', () => udp.close());
  const sendTo = (peer: UdpSendOptions): UdpSendOptions => {
    process.stdin.on('data', (data: Buffer) => udp.send(data, peer));
    return peer;
  };
  let peer = listen ? undefined : sendTo({ destination: { address: address!, port } });
  for await (const { data, source, destination } of udp) {
    peer ??= sendTo({ destination: source, source: destination });
    process.stdout.write(data);
  }
}
