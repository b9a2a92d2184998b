/** Fake TCP connections -> UDP: each connection gets a UDP socket of its own, connected to the backend. */
import { hasIPv6 } from '../host/look/sysctls.js';
import { formatEndpoint } from '../wire/endpoint.js';
import { ConnectionLog } from '../observe/log.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { ServerOptions } from './options.js';
import { Remote } from './remote.js';
import { runTunnel } from './tunnel.js';

/** Runs a server until `options.signal` aborts. Rejects with one sentence when it cannot start. */
export async function runServer(options: ServerOptions): Promise<void> {
  const { log, local, handshakePacket } = options;
  const backend = await Remote.resolve(options.remote);
  const connections = new ConnectionLog(log);
  const carry = async (socket: Socket): Promise<void> => {
    const name = formatEndpoint({ address: socket.remoteAddress, port: socket.remotePort });
    socket.on('error', (error) => connections.say('warn', `${name}: ${error.message}`));
    socket.on('close', () => connections.say('info', `${name} closed`));
    const [endpoint] = await backend.fresh();
    if (socket.closed) return;
    try {
      if (handshakePacket) socket.send(handshakePacket);
      socket.spliceUdp(endpoint);
      connections.say('info', `${name} connected${socket.profile === 'phantun' ? ', a phantun client' : ''}`);
    } catch (error) {
      connections.say('error', `${name}: ${(error as Error).message}`);
      socket.resetAndDestroy();
    }
  };
  const ipv6 = !options.ipv4Only && hasIPv6();
  if (!ipv6 && !options.ipv4Only) log.info('IPv6 is off on this host: clients connect over IPv4');
  await runTunnel({
    role: 'server',
    options,
    port: local,
    ipv6,
    ...(ipv6 ? {} : { family: 4 as const }),
    title: [
      `guise server: TCP port ${local} -> UDP ${formatEndpoint(backend.known[0])}`,
      'the port does not show up in `ss`: the kernel has no socket there, NAT leads it to the interface below',
    ],
    start: (stack) => stack.listen({ port: local }).on('connection', (socket) => void carry(socket)),
  });
}
