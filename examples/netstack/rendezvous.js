/**
 * One server behind every address and port: whatever is dialled through the TUN, the same server answers, as a load
 * generator, a captive portal or a mock of many hosts wants it.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     node examples/netstack/rendezvous.js --to 127.0.0.1:8080
 *     sudo ip link del tuna
 */
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Netstack } from 'guise/netstack';

/**
 * Joins each connection to one of its own to the server.
 *
 * @param server `{ host, port }`, as of `net.connect`
 */
export function meet(stack, server) {
  const listener = stack.listen({ allowHalfOpen: true });
  listener.on('connection', (socket) => {
    const other = connect({ ...server, allowHalfOpen: true });
    socket.on('error', () => other.resetAndDestroy());
    other.on('error', () => socket.resetAndDestroy());
    socket.pipe(other).pipe(socket);
  });
  return listener;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { tun: { type: 'string' }, to: { type: 'string' } } });
    const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(values.to ?? '127.0.0.1:8080') ?? [];
    if (host === undefined) throw new Error('--to takes HOST:PORT.');
    const stack = await Netstack.open({ device: { name: values.tun ?? 'tuna' } });
    meet(stack, { host, port: Number(port) });
    console.log(`ready on ${stack.name}`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
