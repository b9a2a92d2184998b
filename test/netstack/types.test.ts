/** The published types of guise/netstack: what is there, what is not, and that each says what it is for. */
import t from 'tap';
import * as netstack from '../../src/netstack/index.js';
import { complaints, exportsOf, programOf, root, undocumented } from '../support/typescript.js';

const USES = `
import type { Duplex } from 'node:stream';
import http from 'node:http';
import {
  GuiseError, Netstack, TcpListener, TcpSocket,
  type ConnectionInfo, type NetstackCounters, type NetstackOptions, type TcpConnectOptions, type TcpListenOptions,
} from 'guise/netstack';

export async function uses(options: NetstackOptions, where: TcpListenOptions, to: TcpConnectOptions): Promise<void> {
  await using stack = await Netstack.open(options);
  const named: [string | undefined, number] = [stack.name, stack.mtu];
  const counters: NetstackCounters = stack.counters();
  await using listener: TcpListener = stack.listen(where);
  const server = http.createServer();
  listener.on('connection', (socket: TcpSocket) => server.emit('connection', socket));
  listener.on('error', (error: GuiseError) => error.code);
  for await (const each of listener) each.pipe(each);
  const socket: TcpSocket = stack.connect(to);
  const stream: Duplex = socket.setNoDelay().setKeepAlive(true, 1000).setTimeout(1000, () => {}).ref().unref();
  const ends: [string, number, string, number] = [
    socket.localAddress, socket.localPort, socket.remoteAddress, socket.remotePort,
  ];
  const info: ConnectionInfo | undefined = stack.info(socket);
  http.get({ createConnection: () => socket });
  for await (const packet of stack.packets) stack.feed(packet);
  await stack.readable.pipeTo(stack.writable);
  console.log(named, counters, stream, ends, info?.roundTrip);

  // @ts-expect-error made by Netstack.open
  new Netstack(options);
  // @ts-expect-error made by Netstack.connect
  new TcpSocket();
  // @ts-expect-error made by Netstack.listen
  new TcpListener();
  // @ts-expect-error inside
  socket.end0;
  // @ts-expect-error inside
  socket.received;
  // @ts-expect-error no such control
  stack.connect({ ...to, congestion: 'vegas' });
  // @ts-expect-error no such event
  listener.on('listening', () => {});
}
`;

const CLASSES = ['GuiseError', 'Netstack', 'TcpListener', 'TcpSocket', 'UdpSession', 'UdpSessions', 'UdpSocket'];

const program = programOf({ 'test/types/netstack_uses.ts': USES });
const { exported, checker } = exportsOf(program, `${root}/dist/src/netstack/index.d.ts`);

t.test('a program may use what is public, and nothing else', async (t) => {
  t.same(complaints(program), []);
  t.same(Object.keys(netstack).sort(), [...CLASSES, 'unicastOnly'].sort());
});

t.test('every export says what it is, with an example that compiles', async (t) => {
  t.same(undocumented(exported, checker), []);
});
