/**
 * The protocols beside TCP on a TUN, with the kernel of this network namespace as the peer: see on_tun_addresses.ts. Its
 * first argument is what it does beside answering pings: `echo` UDP on every address and port, in sessions on one address;
 * stay `quiet`; or `ask` the kernel, and say as JSON what it heard. The second is the MTU.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import type { GuiseError } from '../../../src/errors.js';
import { openTun } from '../../../src/native/device.js';
import { IN, KIND, openPort, READ_ROOM, ROW } from '../../../src/native/packet_port.js';
import { IpLayer } from '../../../src/netstack/ip/ip_layer.js';
import type { UdpSession } from '../../../src/netstack/ip/udp_session.js';
import { CLOSED_PORT, KERNEL, SESSIONS, STACK } from './on_tun_addresses.js';

const [mode = 'echo', mtu = '1500'] = process.argv.slice(2);

const opened = openTun('tun0', 1, true);
if ('errno' in opened) throw new Error(`${opened.syscall} ${opened.errno}`);
const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
ip('link', 'set', 'tun0', 'up', 'mtu', mtu);
ip('address', 'add', `${KERNEL[4]}/24`, 'dev', 'tun0');
ip('-6', 'address', 'add', `${KERNEL[6]}/64`, 'dev', 'tun0', 'nodad');
ip('route', 'add', '203.0.113.0/24', 'dev', 'tun0');
ip('-6', 'route', 'add', '2001:db8::/32', 'dev', 'tun0');

const { virtioHeader, segmentation } = opened;
const port = openPort({ descriptor: opened.fds[0]!, virtioHeader, segmentation });
const stack = new IpLayer({
  port,
  now: () => performance.now(),
  localAddress: (remote) => STACK[remote.includes(':') ? 6 : 4],
  hold: () => {},
  release: () => {},
  changed: () => setTimer(),
  tcpError: () => {},
});

let timer: NodeJS.Timeout | undefined;
function setTimer(): void {
  clearTimeout(timer);
  if (stack.deadline === Infinity) return;
  timer = setTimeout(
    () => {
      stack.tick(performance.now());
      setTimer();
    },
    stack.deadline - performance.now() + 1,
  );
}

port.watch(() => {
  const slab = Buffer.alloc(16 * READ_ROOM);
  const rows = port.read(slab, 0);
  if (rows < 0) throw new Error(`read: ${rows}`);
  for (let row = 0; row < rows; row++)
    if (port.incoming[row * ROW + IN.kind] !== KIND.tcp) stack.arrive(row, port.incoming, slab);
});

function echo(session: UdpSession): void {
  session.on('message', (data) => session.send(data));
}

async function ask(): Promise<unknown> {
  const said: Record<string, unknown> = {};
  for (const family of [4, 6] as const) {
    for (const size of [0, 56, 1473, 60_000]) {
      const reply = await stack.ping(KERNEL[family], { size, timeout: 20_000 });
      said[`ping ${family} ${size}`] = [reply.address, reply.size, reply.rtt > 0];
    }
    const udp = stack.udp({ port: 0 });
    udp.send(Buffer.from('anybody?'), { destination: { address: KERNEL[family], port: CLOSED_PORT } });
    const [error] = (await once(udp, 'unreachable')) as [GuiseError];
    said[`closed ${family}`] = [error.code, error.address, error.port];
  }
  return said;
}

if (mode === 'echo') {
  stack.udp({ address: SESSIONS }).sessions().on('session', echo);
  const any = stack.udp();
  any.on('message', ({ data, source, destination }) => any.send(data, { destination: source, source: destination }));
}
console.log(mode === 'ask' ? JSON.stringify(await ask()) : 'ready');
if (mode === 'ask') process.exit();
