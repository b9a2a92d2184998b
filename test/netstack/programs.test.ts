/** Node's own programs on sockets of the stack. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import tls from 'node:tls';
import t from 'tap';
import type { TcpSocket } from '../../src/netstack/index.js';
import { digestOf, receive, send, write } from './bytes.js';
import { B4, Pair } from './pair.js';

const folder = mkdtempSync(join(tmpdir(), 'guise-tls-'));
t.teardown(() => rmSync(folder, { recursive: true }));
execFileSync('openssl', [
  ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=stack.test'],
  ...['-days', '2', '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')],
]);
const key = readFileSync(join(folder, 'key.pem'));
const cert = readFileSync(join(folder, 'cert.pem'));

const connect = (pair: Pair, port: number) => (): TcpSocket => pair.a.connect({ address: B4, port, noDelay: true });

t.test('http: a server by emit, a client by createConnection, with keep-alive', async (t) => {
  await using pair = await Pair.open();
  const server = http.createServer((request, response) => {
    t.equal(request.socket.remoteAddress, '10.0.0.1');
    if (request.method === 'POST') void pipeline(request, response);
    else response.end(`you asked for ${request.url}`);
  });
  const sockets = new Set<unknown>();
  pair.b.listen({ port: 80 }).on('connection', (socket) => {
    sockets.add(socket);
    server.emit('connection', socket);
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = connect(pair, 80);
  const get = async (path: string): Promise<string> => {
    const [response] = (await once(http.get({ agent, host: 'stack.test', path }), 'response')) as [
      http.IncomingMessage,
    ];
    return (await response.setEncoding('utf8').toArray()).join('');
  };
  for (let each = 0; each < 20; each++) t.equal(await get(`/${each}`), `you asked for /${each}`);
  t.equal(sockets.size, 1, 'over one connection');

  const post = http.request({ agent, host: 'stack.test', method: 'POST', path: '/' });
  void send(6, 2_000_000, post);
  const [response] = (await once(post, 'response')) as [http.IncomingMessage];
  t.equal(await receive(response), digestOf(6, 2_000_000));
  agent.destroy();
});

t.test('tls: both sides', async (t) => {
  await using pair = await Pair.open();
  const secure = tls.createServer({ key, cert }, (socket) => void socket.pipe(socket));
  pair.b.listen({ port: 443 }).on('connection', (socket) => secure.emit('connection', socket));
  const socket = tls.connect({ socket: connect(pair, 443)(), ca: cert, servername: 'stack.test' });
  await once(socket, 'secureConnect');
  t.ok(socket.authorized);
  // Not `send`: over any stream that is no handle of Node's own, a TLSSocket which ends loses what it has just written.
  void write(7, 2_000_000, socket);
  t.equal(await receive(socket, 2_000_000), digestOf(7, 2_000_000));
  socket.end();
  await once(socket, 'close');
});

t.test('http2: many streams of one connection', async (t) => {
  await using pair = await Pair.open();
  const server = http2.createServer();
  server.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200 });
    void send(Number(headers[':path']!.slice(1)), 200_000, stream);
  });
  pair.b.listen({ port: 80 }).on('connection', (socket) => server.emit('connection', socket));
  const session = http2.connect('http://stack.test', { createConnection: connect(pair, 80) });
  const bodies = await Promise.all(
    Array.from({ length: 16 }, (_, each) => receive(session.request({ ':path': `/${each}` }))),
  );
  t.same(
    bodies,
    Array.from({ length: 16 }, (_, each) => digestOf(each, 200_000)),
  );
  session.close();
  await once(session, 'close');
});
