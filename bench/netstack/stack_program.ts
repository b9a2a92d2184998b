/** Our stack on a TUN, with the services of the race: `stack_program.js TUN [--no-offload] [--bbr]`. */
import { Netstack } from '../../src/netstack/index.js';
import { HTTP_PORT, SERVICES, webServer } from './services.js';

const [, , name, ...flags] = process.argv;
const stack = await Netstack.open({
  device: { name },
  offload: !flags.includes('--no-offload'),
  congestion: flags.includes('--bbr') ? 'bbr' : 'cubic',
});
for (const [port, serve] of SERVICES) stack.listen({ port, allowHalfOpen: true }).on('connection', serve);
const web = webServer();
stack.listen({ port: HTTP_PORT, allowHalfOpen: true }).on('connection', (socket) => web.emit('connection', socket));
process.stderr.write('ready\n');
