/**
 * A web server on 65 536 addresses, of one process and one listener: each says which address it is.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     node examples/netstack/http.js & curl http://10.9.123.45/
 *     sudo ip link del tuna
 */
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Netstack } from 'guise/netstack';

/** Node's own server takes the stack's connections for sockets of node:net. */
export function serve(stack, port) {
  const server = createServer((request, response) => {
    const { localAddress, remoteAddress } = request.socket;
    response.end(`${localAddress} greets ${remoteAddress}, who asked for ${request.url}\n`);
  });
  stack.listen({ port, noDelay: true }).on('connection', (socket) => server.emit('connection', socket));
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { values } = parseArgs({ options: { tun: { type: 'string' }, port: { type: 'string', default: '80' } } });
    const stack = await Netstack.open({ device: { name: values.tun ?? 'tuna' } });
    serve(stack, Number(values.port));
    console.log(`ready on ${stack.name}`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
