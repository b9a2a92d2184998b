import { writeFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SERVER = ['--local', '4567', '--remote', '127.0.0.1:7000'];

t.test('answers leave from the address that the application talked to', { skip, timeout: 60_000 }, async (t) => {
  for (const local of ['0.0.0.0:5000', '[::]:5000']) {
    await using rig = await Rig.create();
    await rig.server.guise('server', SERVER);
    await rig.client.guise('client', ['--local', local, '--remote', '10.0.2.2:4567']);
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo');
    const asked = [
      '127.0.0.9:5000',
      '10.0.1.2:5000',
      ...(local.startsWith('[') ? ['[::1]:5000', '[fd00:1::2]:5000'] : []),
    ];
    for (const address of asked) {
      // The socket is connected: it takes answers from this address only.
      const result = await ping(rig.client, `--to ${address} --count 20`);
      t.same([result.sent, result.lost, result.wrong], [20, 0, 0], `${address} of ${local}`);
    }
  }
});

/** Prints what comes to 127.0.0.1:`port` as hexadecimal, or sends one datagram there and prints the answers. */
const UDP = `
const socket = require('node:dgram').createSocket('udp4');
const [port, datagram] = process.argv.slice(1);
socket.on('message', (message) => console.log(message.toString('hex')));
if (datagram) socket.send(Buffer.from(datagram, 'hex'), Number(port), '127.0.0.1', () => console.log('ready'));
else socket.bind(Number(port), '127.0.0.1', () => console.log('ready'));`;

t.test('a handshake packet is the first data on each side', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const folder = await mkdtemp(join(tmpdir(), 'guise-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'client'), 'GET / HTTP/1.1\r\n\r\n');
  await writeFile(join(folder, 'server'), 'HTTP/1.1 200 OK\r\n\r\n');
  await rig.server.guise('server', [...SERVER, '--handshake-packet', join(folder, 'server')]);
  await rig.client.guise('client', [
    '--local',
    '127.0.0.1:5000',
    '--remote',
    '10.0.2.2:4567',
    '--handshake-packet',
    join(folder, 'client'),
  ]);
  const there = rig.server.start(process.execPath, ['-e', UDP, '7000']);
  await there.waitFor(/ready/);
  const here = rig.client.start(process.execPath, ['-e', UDP, '5000', 'abcd']);
  await there.waitFor(/^abcd$/);
  t.equal(there.output, `ready\n${Buffer.from('GET / HTTP/1.1\r\n\r\n').toString('hex')}\nabcd`);
  await here.waitFor(new RegExp(`^${Buffer.from('HTTP/1.1 200 OK\r\n\r\n').toString('hex')}$`));
});

t.test(
  'datagrams that the link cannot take whole are fragmented on the UDP side',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await rig.server.guise('server', SERVER);
    await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
    await rig.server.run('ip', ['link', 'set', 'lo', 'mtu', '1300']);
    const there = await startPeer(rig.server, '--bind 127.0.0.1:7000');
    await startPeer(rig.client, '--to 127.0.0.1:5000 --count 2000 --rate 5000 --size 1440').then((peer) =>
      peer.result(),
    );
    const result = await there.result();
    t.same([result.received, result.corrupted, result.reordered], [2000, 0, 0]);
  },
);

/** Sends back what comes, and says how many bytes each has. */
const ECHO = `
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (message, { port }) => {
  console.log('came ' + message.length);
  socket.send(message, port, '127.0.0.1');
});
socket.bind(7000, '127.0.0.1', () => console.log('ready'));`;

/** Sends nothing, then something, and nothing again when that has come back; ends when nothing comes back. */
const NOTHING = `
const socket = require('node:dgram').createSocket('udp4');
const send = (text) => socket.send(Buffer.from(text), 5000, '127.0.0.1');
socket.on('message', (message) => (message.length > 0 ? send('') : socket.close()));
send('');
send('something');`;

t.test(
  'datagrams of 0 bytes pass once the ends have heard of each other; before they are said to be dropped',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await rig.server.guise('server', SERVER);
    const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567']);
    const there = rig.server.start(process.execPath, ['-e', ECHO]);
    await there.waitFor(/ready/);
    await rig.client.run(process.execPath, ['-e', NOTHING]);
    t.equal(there.output, 'ready\ncame 9\ncame 0');
    t.match(await client.waitFor(/emptyDatagram/), /1 dropped \(emptyDatagram\): datagrams of 0 bytes, which go only/);
  },
);
