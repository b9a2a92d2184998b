/** The kernel's TCP is the peer, over a TUN. */
import { once } from 'node:events';
import t from 'tap';
import { Netstack, type GuiseError, type TcpSocket } from '../../src/netstack/index.js';
import { run } from '../net/process.js';
import { noRig } from '../net/rig.js';
import { digestOf, receive, send } from './bytes.js';
import { KERNEL4, KERNEL6, STACK4, STACK6, TunRig } from './tun_rig.js';

const skip = noRig() ?? false;
const LARGE = 128 << 20;

for (const [family, kernel, stack] of [
  ['IPv4', KERNEL4, STACK4],
  ['IPv6', KERNEL6, STACK6],
] as const) {
  for (const offload of [true, false]) {
    const size = offload ? LARGE : LARGE / 4;
    const how = `${family}, ${offload ? 'super-segments' : 'a segment at a time'}`;

    t.test(`${how}: the kernel connects, both send at once`, { skip }, async (t) => {
      await using rig = await TunRig.open({ offload });
      const listener = rig.stack.listen({ port: 7, allowHalfOpen: true });
      const task = rig.kernel(
        async ({ net, bytes }, host, length) => {
          const socket = net.connect({ host, port: 7, allowHalfOpen: true });
          const [digest] = await Promise.all([bytes.receive(socket), bytes.send(1, length, socket)]);
          return digest;
        },
        stack,
        size,
      );
      const [socket] = (await once(listener, 'connection')) as [TcpSocket];
      t.match(socket, { localAddress: stack, remoteAddress: kernel });
      const [digest] = await Promise.all([receive(socket), send(2, size, socket)]);
      t.equal(digest, digestOf(1, size));
      t.equal(await task, digestOf(2, size));
    });

    t.test(`${how}: the stack connects, and what it sends comes back`, { skip }, async (t) => {
      await using rig = await TunRig.open({ offload });
      const task = rig.kernel(async ({ net, say }, host) => {
        const server = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
        await new Promise<void>((resolve) => server.listen(7, host, resolve));
        say('listening');
        await new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)));
        server.close();
      }, kernel);
      await task.said();
      const socket = rig.stack.connect({ address: kernel, port: 7 });
      void send(3, size, socket);
      t.equal(await receive(socket), digestOf(3, size));
      await task;
    });
  }
}

t.test('every address of the network is the stack, and says which one was dialled', { skip }, async (t) => {
  await using rig = await TunRig.open();
  rig.stack.listen().on('connection', (socket) => socket.end(`${socket.localAddress} ${socket.localPort}`));
  const dialled = [
    ['10.0.0.2', 1],
    ['10.0.0.77', 65_535],
    ['fd00::abcd', 443],
  ] as const;
  const heard = await rig.kernel(
    ({ net, require }, ends) => {
      const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
      return Promise.all(ends.map(([host, port]) => text(net.connect({ host, port }))));
    },
    dialled.map((each) => [...each] as [string, number]),
  );
  t.same(
    heard,
    dialled.map(([address, port]) => `${address} ${port}`),
  );
});

t.test('half-close by the kernel, and by the stack', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const listener = rig.stack.listen({ port: 7, allowHalfOpen: true });
  const task = rig.kernel(async ({ net, bytes }, host) => {
    const first = net.connect({ host, port: 7, allowHalfOpen: true });
    first.end('question');
    const answer = await bytes.receive(first);
    const second = net.connect({ host, port: 7, allowHalfOpen: true });
    await new Promise((resolve) => second.resume().once('end', resolve));
    await bytes.send(5, 1_000_000, second);
    return answer;
  }, STACK4);
  const [first] = (await once(listener, 'connection')) as [TcpSocket];
  await receive(first);
  t.equal(first.readyState, 'writeOnly');
  const second = once(listener, 'connection');
  void send(4, 1_000_000, first);
  const [ended] = (await second) as [TcpSocket];
  ended.end();
  t.equal(await receive(ended), digestOf(5, 1_000_000));
  t.equal(await task, digestOf(4, 1_000_000));
});

t.test('abort by the kernel, and by the stack', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const listener = rig.stack.listen({ port: 7 });
  const task = rig.kernel(async ({ net }, host) => {
    const first = net.connect({ host, port: 7 });
    await new Promise((resolve) => first.once('data', resolve));
    first.resetAndDestroy();
    const second = net.connect({ host, port: 7 });
    return new Promise<string>((resolve) => second.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code!)));
  }, STACK4);
  const [first] = (await once(listener, 'connection')) as [TcpSocket];
  first.write('x');
  const second = once(listener, 'connection');
  t.match(await once(first, 'error'), [{ code: 'ECONNRESET', syscall: 'read' }]);
  ((await second) as [TcpSocket])[0].resetAndDestroy();
  t.equal(await task, 'ECONNRESET');
});

t.test('refused by the kernel, and by the stack', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const [error] = (await once(rig.stack.connect({ address: KERNEL4, port: 9 }), 'error')) as [GuiseError];
  t.match(error, { code: 'ECONNREFUSED', address: KERNEL4, port: 9 });
  const code = await rig.kernel(
    ({ net }, host) =>
      new Promise<string>((resolve) =>
        net.connect({ host, port: 9 }).once('error', (failed: NodeJS.ErrnoException) => resolve(failed.code!)),
      ),
    STACK6,
  );
  t.equal(code, 'ECONNREFUSED');
});

t.test('nobody answers: a signal ends the attempt', { skip }, async (t) => {
  await using rig = await TunRig.open();
  await rig.run('ip', ['route', 'add', 'blackhole', '10.9.0.0/16']);
  const socket = rig.stack.connect({ address: '10.9.0.1', port: 7, signal: AbortSignal.timeout(100) });
  t.match(await once(socket, 'error'), [{ name: 'AbortError' }]);
});

t.test('a router says that there is no way: the connection fails with its code', { skip }, async (t) => {
  await using rig = await TunRig.open();
  await rig.run('sysctl', ['-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  await rig.run('ip', ['route', 'add', 'unreachable', '10.9.0.0/16']);
  await rig.run('ip', ['-6', 'route', 'add', 'unreachable', 'fd09::/64']);
  for (const address of ['10.9.0.1', 'fd09::1']) {
    const [error] = (await once(rig.stack.connect({ address, port: 7 }), 'error')) as [GuiseError];
    t.match(error, { syscall: 'connect', address, port: 7 });
    t.match(error.code, /^E(HOST|NET)UNREACH$/);
  }
});

t.test('a TUN that belongs to somebody without rights is his to use', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const nobody = 65_534;
  await rig.run('ip', ['tuntap', 'add', 'mode', 'tun', 'name', 'his', 'user', `${nobody}`]);
  await rig.run('ip', ['address', 'add', '10.1.0.1/24', 'dev', 'his']);
  await rig.run('ip', ['link', 'set', 'his', 'up']);
  const program = `
    import { Netstack } from ${JSON.stringify(new URL('../../src/netstack/index.js', import.meta.url).href)};
    const stack = await Netstack.open({ device: { name: 'his' } });
    stack.listen().on('connection', (socket) => socket.end('as user ' + process.getuid()));
    console.log('listening on ' + stack.name);`;
  const heard = await rig.kernel(
    async ({ net, require }, source, user) => {
      const { execFileSync, spawn } = require('node:child_process') as typeof import('node:child_process');
      const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
      // As udev has it on most hosts, and not on all.
      execFileSync('sh', ['-c', 'mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200']);
      const rights = ['--reuid', `${user}`, '--regid', `${user}`, '--clear-groups', '--bounding-set', '-all'];
      const command = [process.execPath, '--input-type=module', '-e', source];
      const child = spawn('setpriv', [...rights, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await new Promise((resolve, reject) => {
          child.stdout.once('data', resolve);
          child.once('exit', () => reject(new Error('it has ended')));
        });
        return await text(net.connect({ host: '10.1.0.2', port: 7 }));
      } finally {
        child.kill();
      }
    },
    program,
    nobody,
  );
  t.equal(heard, `as user ${nobody}`);
});

t.test('two stacks on two queues of one TUN share what comes', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const name = `gq${process.pid}`;
  await run('ip', ['tuntap', 'add', 'mode', 'tun', 'name', name, 'multi_queue']);
  await using one = await Netstack.open({ device: { name } });
  await using other = await Netstack.open({ device: { name } });
  await run('ip', ['link', 'set', name, 'netns', rig.namespace]);
  await rig.run('ip', ['address', 'add', '10.1.0.1/24', 'dev', name]);
  await rig.run('ip', ['link', 'set', name, 'up']);
  for (const stack of [one, other]) stack.listen().on('connection', (socket) => socket.pipe(socket));
  const good = await rig.kernel(
    async ({ net, require }, host, count) => {
      const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
      const each = Array.from({ length: count }, async (_, number) => {
        const socket = net.connect({ host, port: 7 });
        socket.end(`this is ${number}`);
        return (await text(socket)) === `this is ${number}`;
      });
      return (await Promise.all(each)).filter(Boolean).length;
    },
    '10.1.0.2',
    100,
  );
  t.equal(good, 100);
  const accepted = [one, other].map((stack) => stack.counters().accepted);
  t.equal(accepted[0]! + accepted[1]!, 100);
  t.ok(Math.min(...accepted) > 0, accepted.join(' and '));
});

t.test('2000 connections at once, each with its own answer', { skip }, async (t) => {
  const many = 2000;
  await using rig = await TunRig.open();
  rig.stack.listen({ port: 7 }).on('connection', (socket) => socket.pipe(socket));
  await rig.run('sysctl', ['-qw', 'net.ipv4.tcp_syn_retries=6']);
  const wrong = await rig.kernel(
    async ({ net }, host, count) => {
      const one = (number: number): Promise<boolean> =>
        new Promise((resolve, reject) => {
          const socket = net.connect({ host, port: 7 });
          let heard = '';
          socket.on('connect', () => socket.end(`this is ${number}`));
          socket.setEncoding('utf8').on('data', (data: string) => (heard += data));
          socket.on('close', () => resolve(heard === `this is ${number}`));
          socket.on('error', reject);
        });
      const all = await Promise.all(Array.from({ length: count }, (_, number) => one(number)));
      return all.filter((good) => !good).length;
    },
    STACK4,
    many,
  );
  t.equal(wrong, 0);
  t.equal(rig.stack.counters().accepted, many);
});

t.test('while SYNs of strangers flood it, a newcomer connects, and nothing is kept of them', { skip }, async (t) => {
  await using rig = await TunRig.open();
  rig.stack.listen({ port: 7 }).on('connection', (socket) => socket.pipe(socket));
  // Raw SYNs from addresses that never answer, by a packet socket of the namespace.
  const flood = rig.kernel(async ({ say, require }, host) => {
    const { spawn } = require('node:child_process') as typeof import('node:child_process');
    const script = `
import os, random, socket, struct, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
target = socket.inet_aton(sys.argv[1])
for number in range(20000):
    source = struct.pack('!BBH', 10, 77, number)
    tcp = struct.pack('!HHIIBBHHH', 1024 + number % 60000, 7, random.getrandbits(32), 0, 0x50, 2, 65535, 0, 0)
    pseudo = source + target + struct.pack('!BBH', 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack('!H', checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack('!BBHHHBBH', 0x45, 0, 40, 0, 0, 64, 6, 0) + source + target
    raw.sendto(ip + tcp, (sys.argv[1], 0))
    if number == 5000: print('flooded', flush=True)
`;
    const child = spawn('python3', ['-c', script, host], { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.once('data', () => say('flooded'));
    const [code] = await new Promise<[number]>((resolve) => child.once('exit', (exit) => resolve([exit!])));
    return code;
  }, STACK4);
  await flood.said();
  const heard = await rig.kernel(async ({ net, require }, host) => {
    const { text } = require('node:stream/consumers') as typeof import('node:stream/consumers');
    const socket = net.connect({ host, port: 7 });
    socket.end('let me in');
    return text(socket);
  }, STACK4);
  t.equal(heard, 'let me in');
  t.equal(await flood, 0);
  const counters = rig.stack.counters();
  t.ok(counters.cookiesSent > 1000, `${counters.cookiesSent} cookies were sent`);
  t.equal(counters.cookiesReturned, 1);
  t.ok(counters.connections <= 1024 + 1, `${counters.connections} connections are kept`);
});

t.test('the stack closes with connections open: the kernel hears of it at once', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const listener = rig.stack.listen({ port: 7 });
  const task = rig.kernel(({ net }, host) => {
    const one = (): Promise<string> =>
      new Promise((resolve) =>
        net.connect({ host, port: 7 }).once('error', (failed: NodeJS.ErrnoException) => resolve(failed.code!)),
      );
    return Promise.all(Array.from({ length: 50 }, one));
  }, STACK4);
  let count = 0;
  for await (const socket of listener) {
    socket.resume();
    if (++count === 50) break;
  }
  await rig.stack.close();
  t.same(new Set(await task), new Set(['ECONNRESET']));
});

t.test('the interface goes: what is open fails with ENODEV, and so does the stack', { skip }, async (t) => {
  await using rig = await TunRig.open();
  const listener = rig.stack.listen({ port: 7 });
  const task = rig.kernel(({ net }, host) => {
    const socket = net.connect({ host, port: 7 });
    return new Promise<void>((resolve) => socket.on('error', () => {}).once('connect', resolve));
  }, STACK4);
  const [socket] = (await once(listener, 'connection')) as [TcpSocket];
  await task;
  const errors = [once(rig.stack, 'error'), once(socket, 'error')];
  await rig.run('ip', ['link', 'delete', rig.tun]);
  for (const error of await Promise.all(errors)) t.match(error, [{ code: 'ENODEV', syscall: 'read' }]);
});
