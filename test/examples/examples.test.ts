/** The programs in examples/, on stacks that face each other across socketpairs. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Endpoint, Listener, Stack, UdpListener } from '../../src/index.js';
import { SERVER4, socketpair, stackPair } from '../support/device.js';
import { until } from '../support/peer.js';

const folder = fileURLToPath(new URL('../../../examples/', import.meta.url));

async function load<T>(name: string): Promise<T> {
  return (await import(`${folder}${name}.js`)) as T;
}

async function closeBoth(...stacks: Stack[]): Promise<void> {
  await Promise.all(stacks.map((stack) => stack.close()));
}

t.test('each is short', async (t) => {
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.js'))) {
    const lines = readFileSync(`${folder}${name}`, 'utf8').split('\n').length;
    t.ok(lines < 60, `${name}: ${lines} lines`);
  }
});

t.test('echo', async (t) => {
  const { serve, ask } = await load<{
    serve: (stack: Stack) => Promise<void>;
    ask: (stack: Stack, address: string, text: string) => Promise<string>;
  }>('echo');
  const [client, server] = await stackPair();
  const served = serve(server);
  t.equal(await ask(client, SERVER4, 'hello'), 'hello');
  await closeBoth(client, server);
  await served;
});

t.test('chat', async (t) => {
  interface Chat {
    serve: (stack: Stack) => Promise<void>;
    join: (stack: Stack, address: string, name: string, hear: (line: string) => void) => Promise<Member>;
  }
  interface Member {
    say: (text: string) => void;
    leave: () => Promise<void>;
  }
  const { serve, join } = await load<Chat>('chat');
  const [client, server] = await stackPair();
  const served = serve(server);
  const heard: string[] = [];
  const anna = await join(client, SERVER4, 'Anna', (line) => heard.push(`Anna hears ${line}`));
  const ben = await join(client, SERVER4, 'Ben', (line) => heard.push(`Ben hears ${line}`));
  await until(() => [...server.sockets].length === 2);
  anna.say('hello');
  await until(() => heard.length === 1);
  ben.say('good day');
  await until(() => heard.length === 2);
  t.same(heard, ['Ben hears Anna: hello', 'Anna hears Ben: good day']);
  await anna.leave();
  await closeBoth(client, server);
  await served;
});

t.test('UDP relay', async (t) => {
  const { serve, relay } = await load<{
    serve: (stack: Stack, service: Endpoint) => Listener;
    relay: (stack: Stack, local: Endpoint, address: string) => UdpListener;
  }>('udp_relay');
  const service = createSocket('udp4').bind(0, '127.0.0.1');
  await once(service, 'listening');
  service.on('message', (datagram, { port, address }) => service.send(`${datagram.toString()}!`, port, address));
  const [client, server] = await stackPair();
  serve(server, { address: '127.0.0.1', port: service.address().port });
  const udp = relay(client, { address: '127.0.0.1', port: 0 }, SERVER4);
  const application = createSocket('udp4');
  const answer = once(application, 'message') as Promise<[Buffer]>;
  application.send('through', udp.local.port, '127.0.0.1');
  t.equal((await answer)[0].toString(), 'through!');
  application.close();
  service.close();
  await closeBoth(client, server);
});

t.test('a device of one’s own', async (t) => {
  const { openPair, lost } = await load<{
    openPair: (descriptors: [number, number]) => Promise<{ left: Stack; right: Stack }>;
    lost: (stack: Stack) => Promise<Error>;
  }>('own_device');
  const { left, right } = await openPair(socketpair());
  right.listen({ port: 80 }).on('connection', (socket) => void socket.close());
  const socket = await left.connect({ address: 'fd01::2', port: 80 });
  await once(socket, 'close');
  const gone = lost(left);
  await right.close();
  t.match(await gone, { code: 'ENODEV' });
});

t.test('counters', async (t) => {
  const { reporter, watch } = await load<{
    reporter: (stack: Stack) => () => string;
    watch: (stack: Stack, signal: AbortSignal) => void;
  }>('counters');
  const [client, server] = await stackPair();
  server.listen({ port: 80 }).on('connection', () => {});
  const socket = await client.connect({ address: SERVER4, port: 80 });
  const report = reporter(client);
  socket.send(Buffer.from('one'));
  await until(() => socket.counters.sentDatagrams === 1);
  t.equal(report(), '1 connections, 0 datagrams came, 1 left');
  t.equal(report(), '1 connections, 0 datagrams came, 0 left');
  const stop = new AbortController();
  watch(client, stop.signal);
  stop.abort();
  await closeBoth(client, server);
});
