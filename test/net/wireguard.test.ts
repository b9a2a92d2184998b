import t from 'tap';
import { transferFile } from './file_transfer.js';
import { noRig, Rig } from './rig.js';
import { wireGuard } from './wireguard.js';

const skip = noRig() ?? false;

t.test('a file goes through WireGuard through guise across the NAT unchanged', { skip, timeout: 90_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:51820']);
  await rig.client.guise('client', ['--local', '127.0.0.1:51821', '--remote', '10.0.2.2:443']);
  await wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: '127.0.0.1:51821' },
    { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
    1428,
  );
  await rig.client.run('ping', ['-c', '3', '-i', '0.2', '-M', 'do', '-s', '1400', '10.9.0.2']);
  const file = await transferFile({ from: rig.client, to: rig.server, address: '10.9.0.2', bytes: 64 << 20 });
  t.equal(file.received, file.sent);
  t.equal(await rig.invalid(), 0);
});
