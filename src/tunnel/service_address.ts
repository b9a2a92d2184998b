/**
 * Where the service behind a server is. A name may have several addresses, as `localhost` has ::1 and 127.0.0.1, and the
 * service may be at one of them only: UDP tells that by refusing a datagram, and in no other way.
 */
import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Clock } from '../clock.js';
import type { ConnectionLog } from '../observe/log.js';
import { NAMES } from '../policy.js';
import { formatEndpoint, type Endpoint } from '../wire/endpoint.js';
import type { Remote } from './remote.js';

export class ServiceAddress {
  readonly #remote: Remote;
  readonly #log: ConnectionLog;
  readonly #clock: Clock;
  #finding: Promise<Endpoint | undefined> | undefined;
  /** What was said last: where it is, or that it is nowhere. */
  #said = '';

  constructor(remote: Remote, log: ConnectionLog, clock: Clock) {
    this.#remote = remote;
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * The first address that does not refuse datagrams, or the only one that there is. Waits for it as long as all of them
   * do: undefined when `isWanted` says no meanwhile.
   */
  async find(isWanted: () => boolean): Promise<Endpoint | undefined> {
    for (;;) {
      const found = await this.#lookOnce();
      if (found || !isWanted()) return found;
      await this.#clock.wait(NAMES.serviceWait);
      if (!isWanted()) return undefined;
    }
  }

  /** Whether it is at another address now than at one that refuses. */
  async movedFrom(refusing: Endpoint): Promise<boolean> {
    if (this.#remote.known.length === 1) return false;
    const found = await this.#lookOnce();
    return found !== undefined && formatEndpoint(found) !== formatEndpoint(refusing);
  }

  /** All who ask meanwhile hear the same. */
  #lookOnce(): Promise<Endpoint | undefined> {
    this.#finding ??= this.#look().finally(() => (this.#finding = undefined));
    return this.#finding;
  }

  async #look(): Promise<Endpoint | undefined> {
    const endpoints = await this.#remote.fresh();
    if (endpoints.length === 1) return endpoints[0];
    for (const endpoint of endpoints) {
      if (await refuses(endpoint)) continue;
      this.#say('info', `the service is at ${formatEndpoint(endpoint)}`);
      return endpoint;
    }
    this.#say('warn', `nobody listens at ${endpoints.map(formatEndpoint).join(' or ')}: waits for the service`);
    return undefined;
  }

  #say(level: 'info' | 'warn', sentence: string): void {
    if (sentence !== this.#said) this.#log.say(level, sentence);
    this.#said = sentence;
  }
}

/** Whether an endpoint refuses a datagram of 0 bytes, as far as it says so in time. This host's own say it at once. */
function refuses({ address, port }: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const end = (refused: boolean): void => {
      clearTimeout(timer);
      socket.removeAllListeners('error').on('error', () => {});
      socket.close();
      resolve(refused);
    };
    const timer = setTimeout(() => end(false), NAMES.refusalWait);
    socket.once('error', () => end(true));
    socket.connect(port, address, () => socket.send(''));
  });
}
