/** UDP peers -> fake TCP connections: each peer that sends to the local UDP port gets one, and another when it is lost. */
import { isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { formatEndpoint } from '../endpoint.js';
import type { UdpPeer } from '../native.js';
import { ConnectionLog } from '../observe/log.js';
import type { Socket } from '../stack/socket.js';
import type { Stack } from '../stack/stack.js';
import type { UdpListener } from '../stack/udp_listener.js';
import type { ClientOptions } from './options.js';
import { Remote } from './remote.js';
import { runTunnel } from './tunnel.js';

/** Milliseconds before a failed connection is tried again: doubled each time, half to one and a half of it. */
const FIRST_WAIT = 250;
const LONGEST_WAIT = 4000;
/** Milliseconds that an attempt to connect again may take: SYNs at 0, 1 and 3 s, then from another port. */
const RETRY_TIMEOUT = 5000;

/** Runs a client until `options.signal` aborts. Rejects with one sentence when it cannot start. */
export async function runClient(options: ClientOptions): Promise<void> {
  const remote = await Remote.resolve(options.remote, options.ipv4Only ? 4 : undefined);
  const ipv6 = remote.known.some(({ address }) => isIPv6(address));
  const mixed = ipv6 && remote.known.some(({ address }) => !isIPv6(address));
  const connections = new ConnectionLog(options.log);
  await runTunnel({
    role: 'client',
    options,
    ...(mixed ? {} : { family: ipv6 ? (6 as const) : (4 as const) }),
    ipv6,
    liveness: { keepalive: options.keepalive, silence: options.deadAfter },
    title: [
      `guise client: UDP ${formatEndpoint(options.local)} -> TCP ${remote.known.map(formatEndpoint).join(', ')}`,
      'a connection is opened when the first datagram arrives',
    ],
    start: (stack) => {
      const udp = stack.listenUdp(options.local);
      udp.on('peer', (peer) => void carry({ stack, udp, peer, remote, options, connections }));
    },
  });
}

interface Carry {
  readonly stack: Stack;
  readonly udp: UdpListener;
  readonly peer: UdpPeer;
  readonly remote: Remote;
  readonly options: ClientOptions;
  readonly connections: ConnectionLog;
}

/** Carries one UDP peer on one connection after the other, until one is closed in order. */
async function carry({ stack, udp, peer, remote, options, connections }: Carry): Promise<void> {
  const { signal, profile, connectTimeout, idleTimeout, handshakePacket } = options;
  const name = formatEndpoint(peer.remote);
  let failedSince: number | undefined;
  for (let tries = 0; !signal.aborted; ) {
    let socket: Socket;
    try {
      const timeout = failedSince === undefined ? connectTimeout : Math.min(connectTimeout, RETRY_TIMEOUT);
      socket = await remote.connect(stack, { profile, timeout, spliced: true, worker: peer.worker, signal });
    } catch (error) {
      if (signal.aborted) break;
      connections.say('warn', `${name}: ${(error as Error).message}`);
      failedSince ??= performance.now();
      if (performance.now() - failedSince > idleTimeout) break;
      const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** tries++) * (0.5 + Math.random());
      await delay(wait, undefined, { signal }).catch(() => {});
      continue;
    }
    const kind = socket.profile === 'phantun' ? ', to a phantun server' : '';
    connections.say('info', `${name} connected from port ${socket.localPort}${kind}`);
    tries = 0;
    const ended = lossOf(socket);
    if (handshakePacket) socket.send(handshakePacket);
    socket.splicePeer(peer);
    const loss = await ended;
    if (!loss) {
      connections.say('info', `${name} closed`);
      return;
    }
    connections.say('warn', `${name}: ${loss.message} Connecting again.`);
    failedSince = performance.now();
  }
  udp.drop(peer);
}

/** Why the connection was lost, or undefined when it was closed in order. */
function lossOf(socket: Socket): Promise<Error | undefined> {
  return new Promise((resolve) => {
    socket.once('error', resolve);
    socket.once('close', () => resolve(undefined));
  });
}
