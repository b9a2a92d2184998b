import t from 'tap';
import { noRig, Rig } from './rig.js';
import { wireGuard } from './wireguard.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:51820', '--device', 'packet'];
const CLIENT = ['--local', '127.0.0.1:51821', '--remote', '10.0.2.2:4567', '--device', 'packet', '--dead-after', '1'];

t.test(
  'WireGuard that takes all of the host (AllowedIPs = 0.0.0.0/0) does not swallow the segments that carry it',
  { skip, timeout: 120_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client: host } = rig;
    const server = await rig.server.guise('server', SERVER);
    const client = await host.guise('client', CLIENT);
    await using tunnel = await wireGuard(
      { host, address: '10.9.0.1/24', endpoint: '127.0.0.1:51821' },
      { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
      1428,
    );
    const [wg] = tunnel.interfaces;
    const arrive = async (what: string): Promise<void> => {
      const said = await host.run('ping', ['-c', '3', '-i', '0.2', '-w', '20', '10.9.0.2']).catch(String);
      t.match(said, /[1-9]\d* received, 0% packet loss/, what); // it sends on until three answers are there
    };
    await arrive('before');

    // As wg-quick does it (wg-quick(8), add_default).
    const peer = (await host.run('wg', ['show', wg, 'peers'])).trim();
    await host.run('wg', ['set', wg, 'fwmark', '51820', 'peer', peer, 'allowed-ips', '0.0.0.0/0']);
    await host.run('ip', ['-4', 'route', 'add', '0.0.0.0/0', 'dev', wg, 'table', '51820']);
    await host.run('ip', ['-4', 'rule', 'add', 'not', 'fwmark', '51820', 'table', '51820']);
    await host.run('ip', ['-4', 'rule', 'add', 'table', 'main', 'suppress_prefixlength', '0']);
    t.match(
      await host.run('ip', ['route', 'get', '10.0.2.2']),
      new RegExp(`dev ${wg}`),
      'the route leads into the tunnel',
    );
    await arrive('when the tunnel has come up over a connection');

    await server.stop('SIGKILL');
    await rig.server.guise('server', SERVER);
    await arrive('on a connection that was opened behind it');

    await client.stop('SIGKILL');
    await host.guise('client', CLIENT);
    await arrive('when guise is started behind it');
  },
);
