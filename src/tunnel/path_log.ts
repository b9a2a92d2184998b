/** What is said of paths that carry less than others: once for each remote address, and again when it changes. */
import { isIPv4 } from 'node:net';
import type { Socket } from '../fake_tcp/socket.js';
import type { SocketPath } from '../fake_tcp/socket_events.js';
import type { ConnectionLog } from '../observe/log.js';
import { OBSERVE } from '../policy.js';
import { wireGuardMtu } from './mtu.js';

const BECAUSE: Readonly<Record<SocketPath['reason'], string>> = {
  own: '--mtu says so',
  route: "this host's route or interface says so",
  peer: 'the other end says so, or a box on the way',
  router: 'a router says so',
  probe: 'larger ones are swallowed on the way, without a word',
};

export class PathLog {
  readonly #log: ConnectionLog;
  /** What was said last, by remote address. */
  readonly #said = new Map<string, string>();

  constructor(log: ConnectionLog) {
    this.#log = log;
  }

  /** Says what there is to say of a connection's path, now and when it changes. */
  follow(socket: Socket): void {
    const { path } = socket;
    if (path.reason !== 'own') this.#say(socket, path);
    socket.on('path', (changed) => this.#say(socket, changed));
  }

  #say({ remoteAddress }: Socket, path: SocketPath): void {
    const sentence = sentenceOf(remoteAddress, path);
    if (this.#said.get(remoteAddress) === sentence) return;
    this.#said.delete(remoteAddress);
    this.#said.set(remoteAddress, sentence);
    // The oldest: it is said again at worst.
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= OBSERVE.pathsRemembered) break;
      this.#said.delete(oldest);
    }
    this.#log.say(path.fragments || path.reason === 'own' ? 'info' : 'warn', sentence);
  }
}

function sentenceOf(remote: string, { mtu, datagram, fragments, reason, router }: SocketPath): string {
  const because = router === undefined ? BECAUSE[reason] : `the router ${router} says so`;
  const wireGuard = `MTU = ${wireGuardMtu(mtu, isIPv4(remote) ? 4 : 6)}`;
  const what = `packets to ${remote} have at most ${mtu} bytes, since ${because}`;
  if (reason === 'own') return what;
  return fragments
    ? `${what}: datagrams of more than ${datagram} bytes leave in fragments, none do with ${wireGuard} in WireGuard on both ends`
    : `${what}: datagrams of more than ${datagram} bytes are lost, so set ${wireGuard} in WireGuard on both ends`;
}
