/**
 * What comes by a TUN goes through a SOCKS5 proxy: TCP by CONNECT, UDP by UDP ASSOCIATE. Pings the stack answers itself:
 * SOCKS has none.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     guise netstack socks --proxy 127.0.0.1:1080
 *     sudo ip link del tuna
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { SocksClient, type SocksProxy } from 'socks';
import { parseHostPort } from '../config/addresses.js';
import type { Endpoint } from '../wire/endpoint.js';
import { relay, type Outside, type Way } from './relay.js';
import { checkPlaces, openStack, readFlags, serve, TUN_FLAG, wrongUsage } from './tool.js';

export const HELP = `guise netstack socks [--tun NAME] --proxy [USER:PASSWORD@]HOST:PORT

Leads TCP and UDP that come by the TUN through a SOCKS5 proxy. UDP needs a proxy that knows UDP ASSOCIATE. Pings are
answered here, whether the proxy reaches the address or not.

Where the TUN has the default route, the proxy needs one of its own:
  ip route add PROXY via GATEWAY`;

export async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { values, positionals } = readFlags('socks', args, { ...TUN_FLAG, proxy: { type: 'string' } });
  checkPlaces('socks', positionals, 0);
  if (values.proxy === undefined) throw wrongUsage('socks', '--proxy must be given');
  const proxy = new Proxied(parseProxy(values.proxy));
  await using stack = await openStack(values.tun);
  relay(stack, proxy);
  await serve(stack, signal);
}

/** Milliseconds that the proxy may take for its part. */
const PATIENCE = 30_000;

/** The network behind a proxy. */
class Proxied implements Outside {
  readonly #proxy: ProxyAddress;

  constructor(proxy: ProxyAddress) {
    this.#proxy = proxy;
  }

  isOwn(): boolean {
    return false; // the proxy's address is one, and routed past the TUN or not at all
  }

  async connect({ address, port }: Endpoint, signal: AbortSignal): Promise<Socket> {
    const socket = await this.#dial(signal);
    await SocksClient.createConnection({
      command: 'connect',
      proxy: this.#proxy,
      destination: { host: address, port },
      existing_socket: socket,
      timeout: PATIENCE,
    });
    return socket;
  }

  async openWay(destination: Endpoint, receive: (data: Uint8Array) => void, ended: () => void): Promise<Way> {
    const control = await this.#dial(AbortSignal.timeout(PATIENCE));
    // Where the datagrams will come from is not known yet (RFC 1928 §4, §7).
    const client = new SocksClient({
      command: 'associate',
      proxy: this.#proxy,
      destination: { host: '0.0.0.0', port: 0 },
      timeout: PATIENCE,
    });
    client.connect(control);
    const [{ remoteHost }] = (await once(client, 'established')) as [{ remoteHost: { host?: string; port: number } }];
    // 0.0.0.0 is the proxy's own address.
    const host = remoteHost.host ?? control.remoteAddress!;
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    socket.on('error', () => {}); // the control connection tells what is over
    socket.connect(remoteHost.port, host);
    socket.on('message', (frame) => {
      const data = payloadOf(frame);
      if (data) receive(data);
    });
    control.on('error', () => {});
    control.on('close', ended);
    control.resume();
    await once(socket, 'connect');
    const to = { host: destination.address, port: destination.port };
    return {
      send: (data) => socket.send(SocksClient.createUDPFrame({ remoteHost: to, data: Buffer.from(data) })),
      close: () => {
        control.destroy();
        socket.close();
      },
    };
  }

  async #dial(signal: AbortSignal): Promise<Socket> {
    const { host, port } = this.#proxy;
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true });
    signal.addEventListener('abort', () => socket.connecting && socket.destroy());
    await once(socket, 'connect', { signal });
    return socket;
  }
}

/** RFC 1928 §7: fragments, which hardly anybody sends, are dropped; undefined for what is no frame. */
function payloadOf(frame: Buffer): Buffer | undefined {
  try {
    const { frameNumber, data } = SocksClient.parseUDPFrame(frame);
    return frameNumber === 0 ? data : undefined;
  } catch {
    return undefined;
  }
}

type ProxyAddress = SocksProxy & { readonly host: string };

function parseProxy(text: string): ProxyAddress {
  const [, user, password, place] = /^(?:([^:@]+):(.*)@)?([^@]+)$/.exec(text) ?? [];
  if (place === undefined) throw wrongUsage('socks', '--proxy takes HOST:PORT, or USER:PASSWORD@HOST:PORT');
  const { host, port } = parseHostPort(place);
  const login = user === undefined ? {} : { userId: user, password: password! };
  return { host, port, type: 5, ...login };
}
