/**
 * Echo on every address and port that is routed to a TUN, by TCP and by UDP. Pings the stack answers itself.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     guise netstack echo
 *     sudo ip link del tuna
 */
import { checkPlaces, openStack, readFlags, serve, TUN_FLAG } from './tool.js';

export const HELP = `guise netstack echo [--tun NAME]

Sends back what comes by TCP and UDP, on every address and port that is routed to the TUN. Pings are answered too.`;

export async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { values, positionals } = readFlags('echo', args, TUN_FLAG);
  checkPlaces('echo', positionals, 0);
  await using stack = await openStack(values.tun);
  stack.listen({ noDelay: true }).on('connection', (socket) => {
    socket.on('error', () => {}); // the peer's own affair
    socket.pipe(socket);
  });
  const udp = stack.udp();
  udp.on('message', ({ data, source, destination }) => udp.send(data, { destination: source, source: destination }));
  udp.on('error', () => {}); // the stack says it, too
  await serve(stack, signal);
}
