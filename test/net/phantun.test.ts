import { existsSync } from 'node:fs';
import t, { type Test } from 'tap';
import { natForPhantunClient, natForPhantunServer, phantunFolder } from './phantun.js';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const folder = phantunFolder;
const skip = noRig() ?? (existsSync(`${folder}/client`) ? false : 'PHANTUN_BIN names no folder with phantun');
const LOG = { env: { RUST_LOG: 'info' } };

async function verify(t: Test, rig: Rig): Promise<void> {
  const there = await startPeer(rig.server, '--bind 127.0.0.1:7000 --count 20000 --rate 5000 --size 24-1400');
  const here = await startPeer(rig.client, '--to 127.0.0.1:5000 --count 20000 --rate 5000 --size 24-1400');
  for (const result of [await here.result(), await there.result()]) {
    t.same([result.received, result.corrupted, result.duplicated, result.wrongPeer], [20_000, 0, 0, 0]);
  }
}

t.test('our client finds out that the server is phantun, and works with it', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await natForPhantunServer(rig.server);
  const server = rig.server.start(`${folder}/server`, ['--local', '4567', '--remote', '127.0.0.1:7000'], LOG);
  await server.waitFor(/Listening on 4567/);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
  await verify(t, rig);
  t.match(client.output, /to a phantun server/);
});

t.test("with the profile given, the first SYN is phantun's", { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await natForPhantunServer(rig.server);
  const server = rig.server.start(`${folder}/server`, ['--local', '4567', '--remote', '127.0.0.1:7000'], LOG);
  await server.waitFor(/Listening on 4567/);
  const capture = await rig.capture('tcp port 4567');
  await rig.client.guise('client', ['-l', '127.0.0.1:5000', '-r', '10.0.2.2:4567', '--profile', 'phantun']);
  const echo = await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
  t.equal((await ping(rig.client, '--to 127.0.0.1:5000 --count 50')).lost, 0);
  await echo.stop();
  await capture.stop('SIGINT');
  t.notMatch(capture.output, /Flags \[R/, 'no SYN was refused');
  t.match(capture.output, /Flags \[S\], seq 0,/);
});

t.test("phantun's client works with our server", { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await natForPhantunClient(rig.client);
  const server = await rig.server.guise('server', ['--local', '4567', '--remote', '127.0.0.1:7000']);
  const client = rig.client.start(`${folder}/client`, ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'], LOG);
  await client.waitFor(/Created TUN device/);
  await verify(t, rig);
  t.match(server.output, /a phantun client/);
});
