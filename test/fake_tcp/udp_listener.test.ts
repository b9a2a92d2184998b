/** UDP listeners: their end, and applications that are gone. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import t from 'tap';
import type { Socket, Stack, UdpApplication, UdpListener } from '../../src/index.js';
import { ACK, SYN } from '../../src/wire/flags.js';
import { stackOnWire, stackPair } from '../support/device.js';
import { connectPair, tuple, until } from '../support/peer.js';
import { build, read } from '../support/segment.js';

const LOCAL = { address: '127.0.0.1', port: 0 };

/** Somebody who sends one datagram to a listener, and who that is. */
async function application(udp: UdpListener, datagram = 'first'): Promise<[UdpApplication, UdpSocket]> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => socket.close());
  await once(socket, 'listening');
  const made = once(udp, 'application') as Promise<[UdpApplication]>;
  socket.send(datagram, udp.local.port, '127.0.0.1');
  return [(await made)[0], socket];
}

async function closeBoth(...stacks: Stack[]): Promise<void> {
  await Promise.all(stacks.map((stack) => stack.close()));
}

t.test('a UDP listener closes: once, its port is free, its applications are gone, none comes after', async (t) => {
  const [client, server] = await stackPair();
  const [here] = await connectPair(client, server);
  const udp = client.listenUdp(LOCAL);
  const [known, sender] = await application(udp);
  const story: string[] = [];
  udp.on('application', () => story.push('application'));
  udp.on('close', () => story.push('close'));
  const another = createSocket('udp4');
  for (let i = 0; i < 20; i++) another.send('new', udp.local.port, '127.0.0.1');
  await udp[Symbol.asyncDispose]();
  udp.close();
  sender.send('late', udp.local.port, '127.0.0.1');
  t.throws(() => here.spliceApplication(known), { code: 'ENOENT', syscall: 'splice' });
  const again = client.listenUdp({ ...LOCAL, port: udp.local.port });
  await application(again);
  t.equal(story.filter((each) => each === 'close').length, 1);
  t.equal(story.at(-1), 'close');
  another.close();
  await closeBoth(client, server);
});

t.test('closing a stack closes its UDP listeners', async (t) => {
  const [client, server] = await stackPair();
  const udp = client.listenUdp(LOCAL);
  const closed = once(udp, 'close');
  await client.close();
  await closed;
  const free = server.listenUdp({ ...LOCAL, port: udp.local.port });
  t.equal(free.local.port, udp.local.port);
  await server.close();
});

t.test('splicing to an application that is gone says so at once', async (t) => {
  const [client, server] = await stackPair();
  const udp = client.listenUdp(LOCAL);
  const listener = server.listen({ port: 80 });
  listener.on('connection', () => {});
  const connect = (): ReturnType<Stack['connect']> => client.connect({ address: '10.1.0.2', port: 80 });
  const gone = { code: 'ENOENT', syscall: 'splice' };

  const [dropped] = await application(udp);
  udp.drop(dropped);
  udp.drop(dropped);
  const here = await connect();
  t.throws(() => here.spliceApplication(dropped), gone, 'dropped');

  const [served] = await application(udp);
  here.spliceApplication(served);
  await here.close();
  const second = await connect();
  t.throws(() => second.spliceApplication(served), gone, 'its connection has ended in order');

  const other = await stackPair();
  const [elsewhere] = await application(other[0].listenUdp(LOCAL));
  t.throws(() => second.spliceApplication(elsewhere), gone, 'of another stack');
  t.throws(() => second.spliceApplication({ ...served, id: 77 }), gone, 'never was one');
  await closeBoth(client, server, ...other);
});

t.test('after an error the application stays, for another connection', async (t) => {
  const [client, server] = await stackPair();
  const accepted = server.listen({ port: 80 });
  const udp = client.listenUdp(LOCAL);
  const [first] = await application(udp);
  const connect = (): ReturnType<Stack['connect']> => client.connect({ address: '10.1.0.2', port: 80 });
  const taken: string[] = [];
  accepted.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (datagram) => {
      taken.push(Buffer.from(datagram).toString());
      if (taken.length === 1) socket.resetAndDestroy();
    });
  });
  const here = await connect();
  const failed = once(here, 'error');
  here.spliceApplication(first);
  await failed;
  const again = await connect();
  again.spliceApplication(first);
  const third = await connect();
  third.spliceApplication(first);
  again.resetAndDestroy();
  const fourth = await connect();
  fourth.spliceApplication(first);
  t.pass('a connection that it has left does not take it along');
  t.same(taken, ['first']);
  await closeBoth(client, server);
});

t.test('an application of another worker cannot be spliced, which is said', async (t) => {
  const [client, server] = await stackPair({ workers: 2 });
  const udp = client.listenUdp(LOCAL);
  const [first] = await application(udp);
  server.listen({ port: 80 }).on('connection', () => {});
  const here = await client.connect({ address: '10.1.0.2', port: 80, worker: 1 - first.worker });
  t.throws(() => here.spliceApplication(first), { code: 'ERR_GUISE_ARGUMENT', message: /application\.worker is/ });
  await closeBoth(client, server);
});

t.test('where nobody listens, an application is dropped and comes again', { timeout: 10_000 }, async (t) => {
  const [client, server] = await stackPair();
  const udp = client.listenUdp(LOCAL);
  const sender = createSocket('udp4').bind(0, '127.0.0.1');
  t.teardown(() => sender.close());
  await once(sender, 'listening');
  await new Promise((resolve) => sender.send('unheard', udp.local.port, '127.0.0.1', resolve));
  await until(() => client.counters.waitingBytes === 0);
  const made = once(udp, 'application') as Promise<[UdpApplication]>;
  sender.send('again', udp.local.port, '127.0.0.1');
  t.equal((await made)[0].remote.port, sender.address().port);
  await closeBoth(client, server);
});

t.test('what an application sent before the splice goes first, in order', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connectPair(client, server);
  const heard: string[] = [];
  there.on('message', (datagram) => heard.push(Buffer.from(datagram).toString()));
  const udp = client.listenUdp(LOCAL);
  const [first, sender] = await application(udp, '0');
  for (let i = 1; i < 10; i++) sender.send(`${i}`, udp.local.port, '127.0.0.1');
  await until(() => client.counters.waitingBytes === 10);
  const answered: string[] = [];
  sender.on('message', (datagram) => answered.push(datagram.toString()));
  for (let i = 0; i < 10; i++) there.send(Buffer.from(`${i}`));
  await until(() => here.counters.receivedDatagrams === 10);
  here.spliceApplication(first);
  await until(() => heard.length === 10 && answered.length === 10);
  const digits = Array.from({ length: 10 }, (_, i) => `${i}`);
  t.same(heard, digits, 'to the peer');
  t.same(answered, digits, 'to the application');
  await closeBoth(client, server);
});

t.test('closing a UDP listener closes in order what is spliced to its applications', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connectPair(client, server);
  const udp = client.listenUdp(LOCAL);
  const [known] = await application(udp);
  here.spliceApplication(known);
  const story: string[] = [];
  there.on('error', ({ message }) => story.push(message));
  const closed = Promise.all([here, there].map((socket) => once(socket, 'close')));
  udp.close();
  await closed;
  t.same(story, [], 'the peer is told by a FIN, not by a RST');
  await closeBoth(client, server);
});

t.test('closing a stack closes in order what is spliced to applications', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connectPair(client, server);
  const [known] = await application(client.listenUdp(LOCAL));
  here.spliceApplication(known);
  const story: string[] = [];
  there.on('error', ({ message }) => story.push(message));
  const closed = once(there, 'close');
  await client.close();
  await closed;
  t.same(story, []);
  await server.close();
});

t.test('the datagram that completed the handshake goes to the application that is spliced then', async (t) => {
  const [stack, wire] = await stackOnWire();
  const udp = stack.listenUdp(LOCAL);
  const [known, far] = await application(udp);
  const accepted = once(stack.listen({ port: tuple.destinationPort }), 'connection') as Promise<[Socket]>;
  wire.write(build({ ...tuple, seq: 1000, ack: 0, flags: SYN }));
  const { seq } = read(await wire.read());
  const data = (at: number, payload: string): void =>
    wire.write(build({ ...tuple, seq: 1001 + at, ack: seq + 1, flags: ACK, payload: Buffer.from(payload) }));
  data(0, 'early');
  const [socket] = await accepted;
  data(5, 'later');
  const got: string[] = [];
  far.on('message', (datagram) => got.push(datagram.toString()));
  socket.spliceApplication(known);
  await until(() => got.length >= 2);
  t.same(got, ['early', 'later']);
  t.equal(socket.receiveDrops, 0);
  await stack.close();
  wire[Symbol.dispose]();
});
