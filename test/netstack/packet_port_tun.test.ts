/** The packet port on a TUN, with the kernel at the other end: port_on_tun.ts, in a network namespace of its own. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { noRig } from '../net/rig.js';

const program = fileURLToPath(new URL('port_on_tun.js', import.meta.url));
const skip = noRig();

for (const offload of ['offload', 'plain']) {
  const name = `a packet port on a TUN, ${offload}`;
  if (skip) t.test(name, { skip }, async () => {});
  else await t.spawn('unshare', ['--net', process.execPath, program, offload], {}, name);
}
