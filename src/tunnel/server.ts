/** Fake TCP connections -> UDP: each connection gets a UDP socket of its own, connected to the backend. */
import { isIPv6 } from 'node:net';
import { SYSTEM_CLOCK } from '../clock.js';
import { notice } from '../errors.js';
import type { Socket } from '../fake_tcp/socket.js';
import type { Stack } from '../fake_tcp/stack.js';
import { hasIPv6 } from '../host/look/sysctls.js';
import { ConnectionLog } from '../observe/log.js';
import { formatEndpoint } from '../wire/endpoint.js';
import { ofSocket, remoteOf } from './carrier.js';
import type { ServerOptions } from './options.js';
import { PathLog } from './path_log.js';
import { Refusals } from './refusals.js';
import { Remote } from './remote.js';
import { ServiceAddress } from './service_address.js';
import { Totals } from './snapshot.js';
import { Tunnel, type Plan, type Service, type Surroundings } from './tunnel.js';

/** A server, which is to be started. */
export function createServer(options: ServerOptions, surroundings: Surroundings = {}): Tunnel {
  const { local, handshakePacket } = options;
  const name = local.address === '::' ? `${local.port}` : formatEndpoint(local);
  const { clock = SYSTEM_CLOCK, lookUp } = surroundings;
  const totals = new Totals();
  const log = new ConnectionLog(options.log, clock);

  const serve = (stack: Stack, backend: Remote): Service => {
    const service = new ServiceAddress(backend, log, clock);
    /** When each connection was opened. */
    const opened = new Map<Socket, number>();
    const paths = new PathLog(log);
    const refusals = new Refusals(log);
    const carry = async (socket: Socket): Promise<void> => {
      const peer = remoteOf(socket);
      if (!socket.windowScaled) log.sayOnce('warn', 'unscaled', `${peer}: ${notice('unscaled')}`);
      opened.set(socket, clock.now());
      paths.follow(socket);
      socket.on('error', (error) => log.say('warn', `${peer}: ${error.message}`));
      socket.on('close', () => {
        opened.delete(socket);
        totals.addTraffic(socket.counters);
        log.say('info', `${peer} closed`);
      });
      const endpoint = await service.find(() => !socket.closed);
      if (!endpoint || socket.closed) return;
      try {
        if (handshakePacket) socket.send(handshakePacket);
        socket.spliceUdp(endpoint);
        refusals.watch(socket, endpoint);
        // A UDP socket keeps its address: the client's next connection finds the other one.
        socket.on('refused', () => void service.movedFrom(endpoint).then((moved) => moved && socket.resetAndDestroy()));
        log.say('info', `${peer} connected${socket.profile === 'phantun' ? ', a phantun client' : ''}`);
      } catch (error) {
        log.say('error', `${peer}: ${(error as Error).message}`);
        socket.resetAndDestroy();
      }
    };
    const address = local.address === '::' && options.ipv4Only ? '0.0.0.0' : local.address;
    stack.listen({ port: local.port, address }).on('connection', (socket) => void carry(socket));
    return {
      connections: () =>
        Array.from(opened, ([socket, since]) => ({ state: 'open', age: clock.now() - since, ...ofSocket(socket) })),
      stop: () => {},
    };
  };

  const prepare = async (signal: AbortSignal): Promise<Plan> => {
    const backend = await Remote.resolve({ name: options.remote, lookUp, clock, signal, log: options.log });
    const ipv6 = !options.ipv4Only && isIPv6(local.address) && hasIPv6();
    if (!ipv6 && !options.ipv4Only && isIPv6(local.address))
      options.log.info('IPv6 is off on this host: clients connect over IPv4');
    const oneFamily = local.address !== '::' || !ipv6;
    return {
      listening: local,
      ipv6,
      ...(oneFamily ? { family: ipv6 ? (6 as const) : (4 as const) } : {}),
      title: [`guise server: TCP port ${name} -> UDP ${backend.known.map(formatEndpoint).join(', ')}`],
      remoteAddresses: () => backend.known,
      serve: ({ stack }) => serve(stack, backend),
    };
  };

  return new Tunnel({ role: 'server', options, local: name, totals, prepare }, surroundings);
}
