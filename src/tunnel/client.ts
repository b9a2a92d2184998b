/** UDP peers -> fake TCP connections: each peer that sends to the local UDP port gets a connection of its own. */
import { isIPv6 } from 'node:net';
import { formatEndpoint, resolve, type Endpoint } from '../addresses.js';
import type { UdpPeer } from '../native.js';
import { ConnectionLog } from '../observe/log.js';
import type { Stack } from '../stack/stack.js';
import type { UdpListener } from '../stack/udp_listener.js';
import type { ClientOptions } from './options.js';
import { runTunnel } from './tunnel.js';

/** Runs a client until `options.signal` aborts. Rejects with one sentence when it cannot start. */
export async function runClient(options: ClientOptions): Promise<void> {
  const remote = await resolve(options.remote, options.ipv4Only ? 4 : undefined);
  const family = isIPv6(remote.address) ? 6 : 4;
  const connections = new ConnectionLog(options.log);
  await runTunnel({
    role: 'client',
    options,
    family,
    ipv6: family === 6,
    title: [
      `guise client: UDP ${formatEndpoint(options.local)} -> TCP ${formatEndpoint(remote)}`,
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
  readonly remote: Endpoint;
  readonly options: ClientOptions;
  readonly connections: ConnectionLog;
}

/** Opens the connection of one UDP peer, and splices the two. */
async function carry({ stack, udp, peer, remote, options, connections }: Carry): Promise<void> {
  const { signal, profile, connectTimeout, handshakePacket } = options;
  const name = formatEndpoint(peer.remote);
  try {
    const socket = await stack.connect({
      ...remote, profile, timeout: connectTimeout, spliced: true, worker: peer.worker, signal,
    });
    const { localPort } = socket;
    const kind = socket.profile === 'phantun' ? ', to a phantun server' : '';
    connections.say('info', `${name} connected from port ${localPort}${kind}`);
    socket.on('error', (error) => connections.say('warn', `${name}: ${error.message}`));
    socket.on('close', () => connections.say('info', `${name} closed (port ${localPort})`));
    if (handshakePacket) socket.send(handshakePacket);
    socket.splicePeer(peer);
  } catch (error) {
    udp.drop(peer);
    if (!signal.aborted) connections.say('warn', `${name}: ${(error as Error).message}`);
  }
}
