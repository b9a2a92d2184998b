/** Packet sockets: whose a TCP port is, and that nobody else's connections are disturbed. */
import t from 'tap';
import { answers, startApplication, startService } from './application.js';
import { CLIENT, guise, IMPATIENT, launch, losses, SERVER, settled, startEcho, startTunnel } from './packet_path.js';
import { call, listen } from './real_tcp.js';
import { noRig, Rig } from './rig.js';

const skip = noRig() ?? false;

t.test('a port is held, and by one alone', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const web = listen(rig.server, '::', 443);
  await web.waitFor(/listening/);
  const args = ['--local', '443', '--remote', '127.0.0.1:7000'];
  const refused = launch(rig.server, 'server', args);
  t.equal(await refused.exited, 1);
  t.match(
    refused.output,
    /EADDRINUSE.*: Another program has this TCP port \(see `ss -ltnp`\); stop it or choose another\. Change it with --local\.$/m,
  );
  t.notMatch(refused.output, /^\s+at /m, 'one sentence');
  await web.stop();
  const server = await guise(rig.server, 'server', args);
  for (const address of ['::', '0.0.0.0', '10.0.2.2', 'fd00:2::2', '127.0.0.1']) {
    t.equal(await listen(rig.server, address, 443).waitFor(/^[a-z]+$/i), 'EADDRINUSE', address);
  }
  t.equal(await server.stop(), 0);
  t.equal(await listen(rig.server, '::', 443).waitFor(/^[a-z]+$/i), 'listening', 'and is free again');
});

t.test('the kernel is silent to neighbours who send the highest TTL, too', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.client.nft(`table inet highest { chain leaving { type filter hook postrouting priority 0;
    oifname "eth0" ip ttl set 255; oifname "eth0" ip6 hoplimit set 255; }; }`);
  await settled(rig);
  await guise(rig.router, 'server', SERVER);
  await startEcho(rig.router);
  for (const [i, remote] of ['10.0.1.1', '[fd00:1::1]'].entries()) {
    const client = await guise(rig.client, 'client', ['--local', `127.0.0.1:500${i}`, '--remote', `${remote}:4567`]);
    t.same(await losses(rig.client, `127.0.0.1:500${i}`), [0, 0], remote);
    t.notMatch(client.output, /again/);
  }
});

t.test('one port of two addresses is of two servers, and of a web server', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const addresses = ['10.0.2.2', '10.0.2.3'];
  for (const address of ['10.0.2.3/24', '10.0.2.4/24'])
    await rig.server.run('ip', ['address', 'add', address, 'dev', 'eth0']);
  await startEcho(rig.server);
  for (const [i, address] of addresses.entries()) {
    await guise(rig.server, 'server', ['--local', `${address}:4567`, '--remote', '127.0.0.1:7000']);
    await guise(rig.client, 'client', ['--local', `127.0.0.1:500${i}`, '--remote', `${address}:4567`]);
  }
  await listen(rig.server, '10.0.2.4', 4567).waitFor(/listening/);
  for (const i of addresses.keys()) t.same(await losses(rig.client, `127.0.0.1:500${i}`), [0, 0]);
  t.equal(await call(rig.client, '10.0.2.4', 4567, 500).waitFor(/missing|E[A-Z]+/), 'missing 0');
});

t.test('a server of one address of IPv6', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.server.run('ip', ['address', 'add', 'fd00:2::3/64', 'dev', 'eth0', 'nodad']);
  await startTunnel(
    rig,
    ['--local', '127.0.0.1:5000', '--remote', '[fd00:2::3]:4567'],
    ['--local', '[fd00:2::3]:4567', '--remote', '127.0.0.1:7000'],
  );
  await startEcho(rig.server);
  t.same(await losses(rig.client), [0, 0]);
  await listen(rig.server, '10.0.2.2', 4567).waitFor(/listening/);
  t.equal(
    await call(rig.client, '10.0.2.2', 4567, 500).waitFor(/missing|E[A-Z]+/),
    'missing 0',
    'that of IPv4 is free',
  );
});

t.test('other connections of the same host go on', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.server.run('ip', ['address', 'add', '10.0.2.3/24', 'dev', 'eth0']);
  await listen(rig.server, '10.0.2.2', 8080).waitFor(/listening/);
  const before = call(rig.client, '10.0.2.2', 8080, 3000);
  await before.waitFor(/connected/);
  await startTunnel(rig);
  await startEcho(rig.server);
  const calls = [before, call(rig.client, '10.0.2.2', 8080, 1000), call(rig.server, '10.0.2.2', 8080, 1000)];
  t.same(await losses(rig.client), [0, 0]);
  for (const each of calls) t.equal(await each.waitFor(/missing|E[A-Z]+/), 'missing 0');
  t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
});

// The client reads what comes from the server's address and port, for whichever port of this host it is.
t.test('connections to the same address and port as the tunnel go on', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.router.nft(`table inet split { chain prerouting { type nat hook prerouting priority dstnat;
    iifname "client" ip daddr 10.0.2.2 tcp dport 4567 tcp sport 30000-30999 dnat ip to 10.0.2.2:8080; }; }`);
  await listen(rig.server, '10.0.2.2', 8080).waitFor(/listening/);
  await rig.client.sysctl('net.ipv4.ip_local_port_range', '30000 30999');
  const real = call(rig.client, '10.0.2.2', 4567, 2000);
  await real.waitFor(/connected/);
  await rig.client.sysctl('net.ipv4.ip_local_port_range', '40000 40999');
  await startTunnel(rig);
  await startEcho(rig.server);
  t.same(await losses(rig.client), [0, 0]);
  t.equal(await real.waitFor(/missing|E[A-Z]+/), 'missing 0');
});

t.test('two clients of one server on one host', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await startTunnel(rig);
  await guise(rig.client, 'client', ['--local', '127.0.0.1:5001', '--remote', '10.0.2.2:4567']);
  await startEcho(rig.server);
  const both = [losses(rig.client), losses(rig.client, '127.0.0.1:5001')];
  t.same(await Promise.all(both), [
    [0, 0],
    [0, 0],
  ]);
  t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
});

for (const [what, local] of [
  ['all addresses', '4567'],
  ['one address', '10.0.2.1:4567'],
] as const) {
  t.test(`a server of ${what} of a router leaves alone what is passed on`, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create();
    await listen(rig.server, '10.0.2.2', 4567).waitFor(/listening/);
    await guise(rig.router, 'server', ['--local', local, '--remote', '127.0.0.1:7000']);
    await startEcho(rig.router);
    await guise(rig.client, 'client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.1:4567']);
    const capture = await rig.capture('tcp port 4567 and tcp[tcpflags] & tcp-rst != 0');
    const real = call(rig.client, '10.0.2.2', 4567, 1500);
    await real.waitFor(/connected/);
    t.same(await losses(rig.client), [0, 0]);
    t.equal(await real.waitFor(/missing|E[A-Z]+/), 'missing 0');
    t.notMatch(capture.output, /Flags \[R/, 'nobody is reset');
  });
}

t.test('a client on a router leaves alone what is passed on', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const tunnel = ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567'];
  await rig.server.run('ip', ['address', 'add', '10.0.2.3/24', 'dev', 'eth0']);
  await rig.router.nft(`table inet split { chain prerouting { type nat hook prerouting priority dstnat;
    iifname "client" ip daddr 10.0.2.2 tcp dport 4567 dnat ip to 10.0.2.3:4567; }; }`);
  await listen(rig.server, '10.0.2.3', 4567).waitFor(/listening/);
  await guise(rig.server, 'server', ['--local', '10.0.2.2:4567', '--remote', '127.0.0.1:7000']);
  await guise(rig.router, 'client', tunnel);
  await startEcho(rig.server);
  const real = call(rig.client, '10.0.2.2', 4567, 1500);
  await real.waitFor(/connected/);
  t.same(await losses(rig.router), [0, 0]);
  t.equal(await real.waitFor(/missing|E[A-Z]+/), 'missing 0');
});

t.test('a server that is killed and started again at once', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  const { client, server } = await startTunnel(rig, [...CLIENT, ...IMPATIENT]);
  await startService(rig);
  const application = startApplication(rig);
  await answers(application, 5);
  await server.stop('SIGKILL');
  await guise(rig.server, 'server', SERVER);
  await answers(application, 5);
  t.match(client.output, /ECONNRESET|ETIMEDOUT/);
  t.notMatch(application.output, /error/);
});
