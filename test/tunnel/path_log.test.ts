import { EventEmitter } from 'node:events';
import t from 'tap';
import type { SocketPath } from '../../src/fake_tcp/socket_events.js';
import type { Socket } from '../../src/fake_tcp/socket.js';
import { ConnectionLog } from '../../src/observe/log.js';
import { OBSERVE } from '../../src/policy.js';
import { PathLog } from '../../src/tunnel/path_log.js';

const WHOLE: SocketPath = { mtu: 1500, datagram: 1460, fragments: true, reason: 'own' };
const NARROW: SocketPath = { mtu: 1400, datagram: 1360, fragments: true, reason: 'route' };

/** What a PathLog knows of a socket. */
class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  path: SocketPath;

  constructor(remoteAddress: string, path: SocketPath) {
    super();
    this.remoteAddress = remoteAddress;
    this.path = path;
  }

  change(path: SocketPath): void {
    this.path = path;
    this.emit('path', path);
  }
}

function start(): { lines: string[]; follow: (remoteAddress: string, path: SocketPath) => FakeSocket } {
  const lines: string[] = [];
  const say = (level: string) => (line: string) => lines.push(`${level} ${line}`);
  let now = 0;
  // So that the limit of lines is not what is tried.
  const clock = { now: () => (now += 1000) };
  const paths = new PathLog(new ConnectionLog({ info: say('info'), warn: say('warn'), error: say('error') }, clock));
  const follow = (remoteAddress: string, path: SocketPath): FakeSocket => {
    const socket = new FakeSocket(remoteAddress, path);
    paths.follow(socket as unknown as Socket);
    return socket;
  };
  return { lines, follow };
}

t.test('of a path that carries what --mtu says there is nothing to say', async (t) => {
  const { lines, follow } = start();
  follow('192.0.2.7', WHOLE);
  t.same(lines, []);
});

t.test('a narrow path is said once for each remote address, with the cause and the mend', async (t) => {
  const { lines, follow } = start();
  for (let i = 0; i < 3; i++) follow('192.0.2.7', NARROW);
  t.same(lines, [
    "info packets to 192.0.2.7 have at most 1400 bytes, since this host's route or interface says so: datagrams of more than 1360 bytes leave in fragments, none do with MTU = 1328 in WireGuard on both ends",
  ]);
  follow('2001:db8::7', { mtu: 1400, datagram: 1340, fragments: false, reason: 'router', router: '2001:db8::1' });
  t.same(lines.slice(1), [
    'warn packets to 2001:db8::7 have at most 1400 bytes, since the router 2001:db8::1 says so: datagrams of more than 1340 bytes are lost, so set MTU = 1308 in WireGuard on both ends',
  ]);
});

t.test('each cause has its words', async (t) => {
  const { lines, follow } = start();
  follow('192.0.2.1', { ...NARROW, reason: 'peer' });
  follow('192.0.2.2', { ...NARROW, reason: 'probe' });
  follow('192.0.2.3', { ...NARROW, reason: 'router' });
  t.match(lines[0], /since the other end says so, or a box on the way: /);
  t.match(lines[1], /since larger ones are swallowed on the way, without a word: /);
  t.match(lines[2], /since a router says so: /);
});

t.test('what changes is said again, also by another connection, and that it is whole again', async (t) => {
  const { lines, follow } = start();
  const socket = follow('192.0.2.7', WHOLE);
  socket.change(NARROW);
  t.equal(lines.length, 1);
  socket.change({ ...NARROW, fragments: false });
  t.match(lines[1], /^warn .* are lost, so set /);
  socket.change({ ...NARROW, mtu: 1300, datagram: 1260 });
  t.match(lines[2], /at most 1300 bytes/);
  follow('192.0.2.7', socket.path).change(socket.path);
  t.equal(lines.length, 3, 'another connection meets the same');
  socket.change(WHOLE);
  t.equal(lines[3], 'info packets to 192.0.2.7 have at most 1500 bytes, since --mtu says so');
  socket.change(NARROW);
  t.equal(lines.length, 5);
});

t.test('of more addresses than are remembered the oldest is forgotten, and is said again', async (t) => {
  const { lines, follow } = start();
  const address = (i: number): string => `10.0.${i >> 8}.${i & 255}`;
  for (let i = 0; i <= OBSERVE.pathsRemembered; i++) follow(address(i), NARROW);
  t.equal(lines.length, OBSERVE.pathsRemembered + 1);
  for (let i = 1; i <= OBSERVE.pathsRemembered; i++) follow(address(i), NARROW);
  t.equal(lines.length, OBSERVE.pathsRemembered + 1, 'these are known');
  follow(address(0), NARROW);
  t.equal(lines.length, OBSERVE.pathsRemembered + 2);
});
