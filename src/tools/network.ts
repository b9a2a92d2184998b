/** The network that the kernel's own sockets lead to. */
import { execFile } from 'node:child_process';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { guiseError, programMissing } from '../errors.js';
import type { PingRequest } from '../netstack/index.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import type { Outside, Way } from './relay.js';
import { say } from './tool.js';

/** Pings that are asked at the same time: each is a process. */
const MOST_PINGS = 32;

/** The network that the kernel's sockets lead to. */
export class Network implements Outside {
  /** What is left from; undefined: what the kernel chooses. */
  readonly #addresses: readonly string[] | undefined;
  /** Ends of the sockets that are open. */
  readonly #own = new Set<string>();
  #pings = 0;

  constructor(addresses: readonly string[] | undefined) {
    this.#addresses = addresses;
  }

  isOwn(end: Endpoint): boolean {
    return this.#own.has(formatEndpoint(end));
  }

  async connect({ address, port }: Endpoint, signal: AbortSignal): Promise<Socket> {
    const localAddress = this.#localAddress(address);
    const socket = connect({
      ...{ host: address, port, allowHalfOpen: true, noDelay: true, keepAlive: true },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    // Its end is known when the SYN has left, and before any packet is read.
    setImmediate(() => this.#note(socket, socket.address() as Partial<Endpoint>));
    try {
      await once(socket, 'connect', { signal });
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  async openWay(destination: Endpoint, receive: (data: Uint8Array) => void): Promise<Way> {
    const { address, port } = destination;
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    try {
      socket.bind({ address: this.#localAddress(address), port: 0 });
      await once(socket, 'listening');
      socket.connect(port, address);
      await once(socket, 'connect');
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#note(socket, socket.address());
    socket.on('message', receive);
    socket.on('error', () => {}); // that nobody listens there; the sender hears nothing of it
    return { send: (data) => socket.send(data), close: () => socket.close() };
  }

  /** Asks by the system's own program: Node has no sockets for it. */
  ping({ destination, size }: PingRequest): boolean | Promise<boolean> {
    const local = this.#find(destination);
    if (this.#pings >= MOST_PINGS || (this.#addresses && local === undefined)) return false;
    this.#pings++;
    const args = ['-n', '-c', '1', '-W', '5', '-s', `${size}`, ...(local === undefined ? [] : ['-I', local])];
    return new Promise((resolve) => {
      execFile('ping', [...args, destination], (error) => {
        this.#pings--;
        if (error?.code === 'ENOENT') say(programMissing('ping').message);
        resolve(!error);
      });
    });
  }

  #find(remote: string): string | undefined {
    return this.#addresses?.find((each) => isIPv6(each) === isIPv6(remote));
  }

  /** @throws {GuiseError} ERR_GUISE_NO_WAY_OUT */
  #localAddress(remote: string): string | undefined {
    const local = this.#find(remote);
    if (this.#addresses && local === undefined) throw guiseError('ERR_GUISE_NO_WAY_OUT');
    return local;
  }

  #note(socket: Socket | UdpSocket, { address, port }: Partial<Endpoint>): void {
    if (address === undefined || port === undefined) return;
    const end = formatEndpoint({ address, port });
    this.#own.add(end);
    socket.once('close', () => this.#own.delete(end));
  }
}
