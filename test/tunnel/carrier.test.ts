import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { Stack } from '../../src/index.js';
import { NAMES, RECONNECT } from '../../src/policy.js';
import { createClient } from '../../src/tunnel/client.js';
import { lossOf } from '../../src/tunnel/host_stack.js';
import type { ClientOptions } from '../../src/tunnel/options.js';
import type { Tunnel } from '../../src/tunnel/tunnel.js';
import type { Endpoint } from '../../src/wire/endpoint.js';
import { ManualClock } from '../support/clock.js';
import { CLIENT4, socketpair, Wire } from '../support/device.js';
import { build, read, type TestSegment } from '../support/segment.js';
import { TUNNEL_OPTIONS } from '../support/tunnel_options.js';

const [FIN, SYN, RST, ACK] = [1, 2, 4, 16];
const ISN = 5000;

/** The network behind the client's interface, where each address has a server that the test plays. */
class Network {
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** The next segment with one of these flags. */
  async next(flags: number): Promise<Required<TestSegment>> {
    for (;;) {
      const segment = read(await this.#wire.read());
      if (segment.flags & flags) return segment;
    }
  }

  /** Answers a segment of the client. */
  answer(to: Required<TestSegment>, answer: Partial<TestSegment>): void {
    this.#wire.write(
      build({
        source: to.destination,
        destination: to.source,
        sourcePort: to.destinationPort,
        destinationPort: to.sourcePort,
        seq: ISN + 1,
        ack: (to.seq + 1) >>> 0,
        flags: ACK,
        ...answer,
      }),
    );
  }

  /** Lets the client open its next connection. Its SYN. */
  async accept(): Promise<Required<TestSegment>> {
    const syn = await this.next(SYN);
    this.answer(syn, { seq: ISN, flags: SYN | ACK });
    return syn;
  }
}

interface Scene {
  readonly tunnel: Tunnel;
  readonly network: Network;
  readonly clock: ManualClock;
  readonly lines: string[];
  readonly application: UdpSocket;
  /** Where the name leads. */
  addresses: string[];
  /** Sends a datagram to the tunnel. */
  readonly send: () => void;
}

/** A client that is started, and an application that has sent nothing yet. */
async function scene(t: Test, more: Partial<ClientOptions> = {}): Promise<Scene> {
  const [near, far] = socketpair();
  const wire = new Wire(far);
  const clock = new ManualClock();
  const lines: string[] = [];
  const application = createSocket('udp4').bind(0, '127.0.0.1');
  const port = await freePort();
  const write = (line: string): void => void lines.push((JSON.parse(line) as { msg: string }).msg);
  const tunnel = createClient(
    {
      ...TUNNEL_OPTIONS,
      log: pino({ level: 'info' }, { write }),
      local: { address: '127.0.0.1', port },
      remote: { host: 'vpn.test', port: 443 },
      connectTimeout: 15_000,
      keepalive: Infinity,
      deadAfter: 60_000,
      profile: 'guise',
      ...more,
    },
    {
      clock,
      lookUp: async () => scene.addresses.map((address) => ({ address, port: 443 })) as [Endpoint],
      openStack: async () => {
        const stack = await Stack.open({ device: { descriptors: [near] }, addresses: [CLIENT4] });
        return { stack, lost: lossOf(stack), done: [], [Symbol.asyncDispose]: () => stack.close() };
      },
    },
  );
  const scene: Scene = {
    tunnel,
    network: new Network(wire),
    clock,
    lines,
    application,
    addresses: ['10.9.0.1'],
    send: () => application.send('hello', port, '127.0.0.1'),
  };
  await tunnel.start();
  t.teardown(async () => {
    application.close();
    await tunnel.stop();
    wire[Symbol.dispose]();
  });
  return scene;
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}

/** Waits until something is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const hasLine = (lines: readonly string[], pattern: RegExp): boolean => lines.some((line) => pattern.test(line));

t.test('a connection that the server resets is replaced, and its reason counted', { timeout: 30_000 }, async (t) => {
  const { tunnel, network, clock, lines, send } = await scene(t);
  send();
  const syn = await network.accept();
  await network.next(ACK);
  await until(() => tunnel.snapshot().connections[0]?.state === 'open');
  network.answer(syn, { flags: RST | ACK });
  await until(() => tunnel.snapshot().connections[0]?.state === 'waiting');
  t.ok(hasLine(lines, /ECONNRESET 10\.9\.0\.1:443: The peer has reset the connection\. Connecting again\.$/));
  const [wait] = clock.waits;
  t.ok(wait! >= RECONNECT.firstWait / 2 && wait! <= RECONNECT.firstWait * 1.5, 'it had hardly been one');
  await clock.pass(RECONNECT.firstWait * 1.5);
  const again = await network.accept();
  t.not(again.sourcePort, syn.sourcePort, 'from another port');
  await until(() => tunnel.snapshot().connections[0]?.state === 'open');
  t.same(tunnel.snapshot().reconnects, { ECONNRESET: 1 });
});

t.test('a server that refuses is asked again until it is given up; the next datagram begins anew', async (t) => {
  const { tunnel, network, clock, lines, send } = await scene(t, { idleTimeout: 1000 });
  send();
  for (let times = 0; ; times++) {
    network.answer(await network.next(SYN), { seq: 0, flags: RST | ACK });
    await until(() => ['waiting', undefined].includes(tunnel.snapshot().connections[0]?.state));
    if (tunnel.snapshot().connections.length === 0) break;
    t.ok(times < 10, 'it is given up');
    await clock.pass(RECONNECT.longestWait * 1.5);
  }
  t.ok(hasLine(lines, /: connect ECONNREFUSED 10\.9\.0\.1:443: Nothing listens there/));
  send();
  await network.accept();
  await until(() => tunnel.snapshot().connections[0]?.state === 'open');
});

t.test(
  'a connection follows its name, and the old one is closed when it is drained',
  { timeout: 30_000 },
  async (t) => {
    const each = await scene(t);
    const { tunnel, network, clock, lines, send } = each;
    send();
    const old = await network.accept();
    t.equal(old.destination, '10.9.0.1');
    await until(() => tunnel.snapshot().connections[0]?.state === 'open');
    each.addresses = ['10.9.0.2'];
    await clock.pass(NAMES.lookUpInterval);
    t.match(tunnel.snapshot(), { remoteAddresses: ['10.9.0.2:443'], connections: [{ remote: '10.9.0.1:443' }] });
    await clock.pass(NAMES.lookUpInterval);
    const next = await network.accept();
    t.equal(next.destination, '10.9.0.2', 'the name has led elsewhere twice in a row');
    await until(() => tunnel.snapshot().connections[0]?.remote === '10.9.0.2:443');
    t.match(tunnel.snapshot(), { reconnects: { moved: 1 }, connections: [{ state: 'open' }] });
    t.ok(hasLine(lines, /connected from port \d+ to the server, where the name leads now$/));
    await clock.pass(RECONNECT.drain);
    const fin = await network.next(FIN);
    t.equal(fin.destination, '10.9.0.1');
    network.answer(fin, { flags: FIN | ACK });
    t.notOk(hasLine(lines, / closed$/), 'of which there is nothing to tell');
  },
);

t.test(
  'a connection that the server closes in order is opened by the next datagram',
  { timeout: 30_000 },
  async (t) => {
    const { tunnel, network, lines, send } = await scene(t);
    send();
    const syn = await network.accept();
    await until(() => tunnel.snapshot().connections[0]?.state === 'open');
    network.answer(syn, { flags: FIN | ACK });
    await until(() => tunnel.snapshot().connections.length === 0);
    t.ok(hasLine(lines, / closed$/));
    send();
    await network.accept();
    await until(() => tunnel.snapshot().connections[0]?.state === 'open');
    t.same(tunnel.snapshot().reconnects, {});
  },
);
