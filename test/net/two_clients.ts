/**
 * Clients in one process: `two_clients.js PORT PORT …` has one on each UDP port, which leads to the server's TCP port of
 * the same number. On SIGUSR2 it says what they do, as JSON; SIGHUP stops the first.
 */
import { clientOptions } from '../../client/options.js';
import { endSignal, runTunnels } from '../../src/daemon/process.js';
import { createLog } from '../../src/observe/log.js';
import { createClient } from '../../src/tunnel/client.js';

const signal = endSignal();
const log = createLog({ level: 'info', format: 'text' });
const tunnels = process.argv.slice(2).map((port) => {
  const args = ['--local', `127.0.0.1:${port}`, '--remote', `10.0.2.2:${port}`, '--tun', `tun${port}`];
  return createClient({ ...clientOptions('guise client', args, signal), log, name: port });
});
process.on('SIGUSR2', () => console.log(JSON.stringify(tunnels.map((tunnel) => tunnel.snapshot()))));
process.on('SIGHUP', () => void tunnels[0]!.stop().then(() => console.log('the first has stopped')));
await runTunnels(tunnels, { log });
process.exit(0);
