/** Leads connections and UDP sessions that come by a TUN out by other means. */
import type { Socket } from 'node:net';
import { guiseError } from '../errors.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import type { Netstack, TcpSocket, UdpSession } from '../netstack/index.js';
import { say } from './tool.js';

/** What is on the other side of the relay. */
export interface Outside {
  /**
   * Opens a connection to what was dialled, which stays open to be written when the other end has ended its stream.
   *
   * @param signal nobody waits for it any more
   */
  connect(destination: Endpoint, signal: AbortSignal): Promise<Socket>;
  /**
   * Opens a way for datagrams to what was dialled.
   *
   * @param receive takes each datagram that comes back
   * @param ended the way is gone
   */
  openWay(destination: Endpoint, receive: (data: Uint8Array) => void, ended: () => void): Promise<Way>;
  /** Whether an end is one of the relay's own: what was led out has come back by the TUN. */
  isOwn(end: Endpoint): boolean;
}

/** Where the datagrams of a session leave. */
export interface Way {
  send(data: Uint8Array): void;
  close(): void;
}

/** Leads all out that comes to a stack by TCP and UDP. */
export function relay(stack: Netstack, outside: Outside): void {
  const complaints = new Complaints();
  stack.listen({ allowHalfOpen: true, noDelay: true }).on('connection', (socket) => {
    void relayConnection(socket, outside, complaints);
  });
  const udp = stack.udp();
  udp.on('error', () => {}); // the stack says it, too
  udp.sessions().on('session', (session) => void relaySession(session, outside, complaints));
}

async function relayConnection(socket: TcpSocket, outside: Outside, complaints: Complaints): Promise<void> {
  const { localAddress: address, localPort: port, remoteAddress, remotePort } = socket;
  const gone = new AbortController();
  socket.once('close', () => gone.abort());
  socket.on('error', () => {}); // told to the other end by `join`
  if (outside.isOwn({ address: remoteAddress, port: remotePort })) {
    complaints.failed({ address, port }, guiseError('ERR_GUISE_LOOP'));
    socket.resetAndDestroy();
    return;
  }
  try {
    const other = await outside.connect({ address, port }, gone.signal);
    join(socket, other);
  } catch (error) {
    if (!gone.signal.aborted) complaints.failed({ address, port }, error);
    socket.resetAndDestroy();
  }
}

/** Joins two connections: what one sends the other gets, with its FIN and its RST. */
function join(one: TcpSocket, other: Socket): void {
  one.on('error', () => other.resetAndDestroy());
  other.on('error', () => one.resetAndDestroy());
  if (one.destroyed) {
    other.resetAndDestroy();
    return;
  }
  one.setKeepAlive(true);
  one.pipe(other);
  other.pipe(one);
}

async function relaySession(session: UdpSession, outside: Outside, complaints: Complaints): Promise<void> {
  if (outside.isOwn(session.source)) {
    complaints.failed(session.destination, guiseError('ERR_GUISE_LOOP'));
    session.close();
    return;
  }
  try {
    const receive = (data: Uint8Array): void => {
      if (!session.closed) session.send(data);
    };
    const way = await outside.openWay(session.destination, receive, () => session.close());
    session.once('close', () => way.close());
    session.on('message', (data) => way.send(data));
    if (session.closed) way.close();
  } catch (error) {
    complaints.failed(session.destination, error);
    session.close();
  }
}

/** Milliseconds in which nothing is said twice. */
const QUIET = 10_000;

/** Says what fails, and not again for each connection. */
class Complaints {
  readonly #said = new Map<string, number>();

  failed(destination: Endpoint, error: unknown): void {
    const { code, message } = error as NodeJS.ErrnoException;
    // Most failures name their end, which makes each of them another.
    const kind = code ?? message;
    const now = performance.now();
    if (now - (this.#said.get(kind) ?? -Infinity) < QUIET) return;
    this.#said.set(kind, now);
    const where = formatEndpoint(destination);
    say(message.includes(where) ? message : `${where}: ${message}`);
  }
}
