/** What a UDP end of a tunnel does that takes no datagrams: the service behind the server, the application at the client. */
import t from 'tap';
import { startApplication, startService } from './application.js';
import { CLIENT, guise, SERVER, startTunnel } from './packet_path.js';
import { noRig, Rig, type Host } from './rig.js';
import { ping } from './traffic.js';

const skip = noRig() ?? false;

t.test(
  'a service that is down is said within a second, and again when it answers',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client, server } = await startTunnel(rig);
    const application = startApplication(rig);
    await client.waitFor(/connected/);
    const before = Date.now();
    await server.waitFor(/127\.0\.0\.1:7000.*ECONNREFUSED.*Nobody listens there; start what is to listen/);
    t.ok(Date.now() - before < 1000, `after ${Date.now() - before} ms`);
    await using service = await startService(rig);
    await server.waitFor(/127\.0\.0\.1:7000 answers again/);
    await service.stop('SIGKILL');
    await server.waitFor(/ECONNREFUSED/, 1);
    await startService(rig);
    await server.waitFor(/127\.0\.0\.1:7000 answers again/, 1);
    t.equal(server.output.match(/ECONNREFUSED/g)?.length, 2, 'once each time');
    await server.waitFor(/ dropped \(backendRefused\): /);
    await application.waitFor(/answer/);
  },
);

t.test('what the client says of a connection is no promise for the service', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = await startTunnel(rig);
  startApplication(rig);
  t.match(await client.waitFor(/connected/), /connected from port \d+ to the server$/);
  await client.waitFor(/nothing has come back from the service behind the server/);
});

/** Each way in which the service's host cannot be reached, and what the server says of it. */
const WAYS: Readonly<Record<string, [remote: string, prepare: (host: Host) => Promise<unknown>, said: RegExp]>> = {
  'its host does not answer': ['10.0.2.77:7000', async () => {}, /10\.0\.2\.77:7000.*EHOSTUNREACH.*does not answer/],
  'there is no route': [
    '10.9.9.9:7000',
    (host) => host.run('ip', ['route', 'delete', 'default']),
    /10\.9\.9\.9:7000.*ENETUNREACH.*No route to this network/,
  ],
  'the firewall of the host drops it': [
    '127.0.0.1:7000',
    (host) => host.nft('table inet own { chain output { type filter hook output priority 0; udp dport 7000 drop; }; }'),
    /127\.0\.0\.1:7000.*EPERM.*firewall of this host/,
  ],
  'a firewall on the way rejects it': ['10.0.1.9:7000', async () => {}, /10\.0\.1\.9:7000.*EHOSTUNREACH.*/],
  'nobody listens, over IPv6': ['[::1]:7000', async () => {}, /\[::1\]:7000.*ECONNREFUSED.*Nobody listens/],
};

for (const [way, [remote, prepare, said]] of Object.entries(WAYS)) {
  t.test(`a service is down: ${way}`, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create();
    await rig.router.nft(`table inet wall { chain forward { type filter hook forward priority 0;
      udp dport 7000 reject with icmpx type admin-prohibited; }; }`);
    const server = await guise(rig.server, 'server', ['--local', '4567', '--remote', remote]);
    const client = await guise(rig.client, 'client', CLIENT);
    if (way === 'there is no route') await rig.server.run('ip', ['route', 'add', '10.0.1.0/24', 'via', '10.0.2.1']);
    startApplication(rig);
    await client.waitFor(/connected/);
    await prepare(rig.server);
    t.match(await server.waitFor(said), said);
  });
}

t.test(
  'of two applications at one port the other loses nothing when one goes',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client } = await startTunnel(rig, CLIENT, SERVER);
    // Answers each datagram with three, so that some come when the one who asked is gone.
    const service = rig.server.start(process.execPath, [
      '-e',
      `const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (message, { port }) => {
      if (message.length < 10) setInterval(() => socket.send('more', port, '127.0.0.1'), 5);
      else socket.send(message, port, '127.0.0.1');
    });
    socket.bind(7000, '127.0.0.1', () => console.log('ready'));`,
    ]);
    await service.waitFor(/ready/);
    const gone = startApplication(rig, 'once');
    await gone.waitFor(/answer/);
    await gone.stop('SIGKILL');
    await client.waitFor(/127\.0\.0\.1:6000.*ECONNREFUSED/);
    const { lost, wrong } = await ping(rig.client, '--to 127.0.0.1:5000 --count 2000 --size 100');
    t.same([lost, wrong], [0, 0]);
    await client.waitFor(/ dropped \(applicationRefused\): /);
    const back = startApplication(rig);
    await back.waitFor(/answer/);
    await client.waitFor(/127\.0\.0\.1:6000.* again/);
  },
);
