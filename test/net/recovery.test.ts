import { existsSync } from 'node:fs';
import t from 'tap';
import { answers, startApplication, startService } from './application.js';
import type { RunningProgram } from './process.js';
import { noRig, Rig } from './rig.js';
import { natForPhantunServer, phantunFolder } from './phantun.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];
const CLIENT = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];

/** Nothing of the client's latest connection passes the router any more, and nobody is told. */
async function blackHole(rig: Rig, client: RunningProgram): Promise<void> {
  const port = /\d+/.exec(client.output.match(/connected from port (\d+)/g)!.at(-1)!)![0];
  await rig.router.nft(`table inet hole { chain forward { type filter hook forward priority -20;
    tcp dport ${port} counter drop; tcp sport ${port} counter drop; }; }`);
}

t.test(
  'a connection that the path swallows is replaced, and the application sees a gap',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create({ strict: true });
    await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', [...CLIENT, '--dead-after', '1']);
    const service = await startService(rig);
    const application = startApplication(rig);
    await answers(application, 5);
    await blackHole(rig, client);
    await client.waitFor(/127.0.0.1:6000: read ETIMEDOUT .*Connecting again/);
    await client.waitFor(/connected from port/, 1);
    await answers(application, 5);
    t.notMatch(application.output, /error/);
    t.equal(service.output.match(/asked by/g)?.length, 2, 'the service sees one change of address');
  },
);

t.test(
  'a server that is there and acknowledges nothing has lost the connection, long before the time that is allowed',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create({ strict: true });
    await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', [...CLIENT, '--dead-after', '60']);
    await startService(rig);
    const application = startApplication(rig);
    await answers(application, 5);
    await blackHole(rig, client);
    await client.waitFor(/connected from port/, 1);
    await answers(application, 5);
    t.match(client.output, /read ETIMEDOUT .*Connecting again/);
  },
);

t.test('a server that is suspended keeps its connection', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  const server = await rig.server.guise('server', SERVER);
  const client = await rig.client.guise('client', CLIENT);
  await startService(rig);
  const application = startApplication(rig);
  await answers(application, 5);
  const capture = await rig.capture('tcp dst port 4567 and tcp[tcpflags] & tcp-syn != 0');
  process.kill(server.pid, 'SIGSTOP');
  // The client has found it silent, has probed it, and asks whether it is there.
  await capture.waitFor(/Flags \[S\]/, 1);
  process.kill(server.pid, 'SIGCONT');
  await answers(application, 5);
  t.notMatch(client.output, /ETIMEDOUT/);
});

t.test('a server that is killed and started again is found again', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  const first = await rig.server.guise('server', SERVER);
  const client = await rig.client.guise('client', CLIENT);
  await startService(rig);
  const application = startApplication(rig);
  await answers(application, 5);
  await first.stop('SIGKILL');
  await rig.server.guise('server', SERVER);
  await answers(application, 5);
  t.match(client.output, /ECONNRESET|ETIMEDOUT/);
  t.notMatch(application.output, /error/);
});

t.test('a server that answers nothing but probes is left alone', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.guise('server', SERVER);
  const client = await rig.client.guise('client', [...CLIENT, '--keepalive', '1', '--dead-after', '1']);
  const capture = await rig.capture('tcp port 4567 and tcp[tcpflags] & tcp-push = 0');
  const service = await startService(rig, 'mute');
  startApplication(rig, 'once');
  await service.waitFor(/asked by/);
  // Only probes and their answers pass now: six pairs take longer than it takes to give up.
  await capture.waitFor(/Flags \[\.\].*length 0/, 14);
  t.notMatch(client.output, /Connecting again/);
});

const skipPhantun =
  skip || (existsSync(`${phantunFolder}/server`) ? false : 'PHANTUN_BIN names no folder with phantun');

t.test(
  'a phantun server proves with probes that it lives, and is found again when it does not',
  {
    skip: skipPhantun,
    timeout: 60_000,
  },
  async (t) => {
    await using rig = await Rig.create({ liberal: true });
    await natForPhantunServer(rig.server);
    const server = rig.server.start(`${phantunFolder}/server`, ['-l', '4567', '-r', '127.0.0.1:7000'], {
      env: { RUST_LOG: 'info' },
    });
    await server.waitFor(/Listening on 4567/);
    const client = await rig.client.guise('client', [...CLIENT, '--profile', 'phantun', '--dead-after', '1']);
    const capture = await rig.capture('tcp src port 4567');
    const service = await startService(rig, 'mute');
    const application = startApplication(rig);
    await service.waitFor(/asked by/);
    // phantun acknowledges nothing by itself: what comes back is its answers.
    await capture.waitFor(/Flags \[\.\].*length 0/, 5);
    t.notMatch(client.output, /Connecting again/);
    await blackHole(rig, client);
    await client.waitFor(/connected from port/, 1);
    await service.waitFor(/asked by/, 1);
    await application.stop();
  },
);
