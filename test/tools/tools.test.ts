/** The programs of `guise netstack`, and those of examples/netstack, with the kernel's stack as their peer. */
import { copyFile, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { noRig, Rig } from '../net/rig.js';
import { ask, askUdp, example, kernel, ready, setUpTun, shout, start, takeDownTun } from './tool_rig.js';

const skip = noRig() ?? false;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const TIMES = 50_000;

t.test('echo: every address and port, TCP, UDP and ping, with no rights', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = rig;
  await setUpTun(client);
  await client.run('ip', ['route', 'add', '198.51.100.0/24', 'dev', 'tuna']);
  const program = await ready(client, ['echo']);
  for (const [address, port] of [
    ['198.51.100.9', '80'],
    ['10.9.0.2', '7'],
    ['10.9.77.88', '65535'],
    ['fd09::77', '443'],
  ] as const) {
    t.equal(await kernel(client, ask, address, port, 'one and ', `${TIMES}`), 'one and '.repeat(TIMES).trimEnd());
    t.equal(await kernel(client, askUdp, address, port, 'a datagram'), `${address} ${port} a datagram`);
    await client.run('ping', ['-c', '1', address]);
  }
  t.equal(await program.stop(), 0, 'SIGTERM ends it in order');
  await takeDownTun(client);
});

t.test('a TUN that is deleted ends a program, with one sentence', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await setUpTun(rig.client);
  for (const args of [['echo'], ['forward'], ['nc', '-l', '80'], ['nc', '-u', '-l', '80']]) {
    const program = start(rig.client, args);
    if (args[0] === 'nc') while (!(await rig.client.run('ip', ['link', 'show', 'tuna'])).includes('LOWER_UP'));
    else await program.waitFor(/ready/);
    await takeDownTun(rig.client);
    t.equal(await program.exited, 1);
    t.match(program.output, /guise: read ENODEV: The packet device is gone: .*\.$/, args.join(' '));
    await setUpTun(rig.client);
  }
});

t.test('nc: both roles, TCP', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = rig;
  await setUpTun(client);
  await shout(client, '10.9.0.1', 8080);
  const asks = start(client, ['nc', '--address', '10.9.0.2', '10.9.0.1', '8080'], { input: 'hello\n' });
  t.equal(await asks.exited, 0);
  t.equal(asks.stdout, '10.9.0.2 HELLO\n');
  const refused = start(client, ['nc', '--address', '10.9.0.2', '10.9.0.1', '8081'], { input: 'hello\n' });
  t.equal(await refused.exited, 1);
  t.match(refused.output, /^guise: connect ECONNREFUSED 10\.9\.0\.1:8081: Nothing listens there; check the port\.$/);

  const answers = start(client, ['nc', '-l', '10.9.0.9', '80'], { input: 'from standard input\n' });
  let heard = '';
  while (!heard.startsWith('from')) heard = await kernel(client, ask, '10.9.0.9', '80', 'from the kernel\n', '20000');
  t.equal(heard, 'from standard input');
  t.equal(await answers.exited, 0);
  t.equal(answers.stdout, 'from the kernel\n'.repeat(20_000));
});

t.test('nc: both roles, UDP', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = rig;
  await setUpTun(client);
  await shout(client, '10.9.0.1', 8080);
  const asks = start(client, ['nc', '-u', '--address', '10.9.0.2', '10.9.0.1', '8080'], { input: 'hello\n' });
  await asks.waitFor(/10\.9\.0\.2 HELLO/);
  t.equal(await asks.stop(), 0);
  const answers = start(client, ['nc', '-u', '-l', '80'], { input: 'from standard input\n' });
  t.equal(await kernel(client, askUdp, '10.9.5.6', '80', 'x\n'), '10.9.5.6 80 from standard input');
  await answers.waitFor(/^x$/);
  t.equal(await answers.stop(), 0);
});

t.test('forward: all that the default route leads to the TUN', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, server } = rig;
  await setUpTun(client);
  await shout(server, '10.0.2.2', 80);
  await shout(server, 'fd00:2::2', 80);
  for (const [family, gateway, own] of [
    ['-4', '10.0.1.1', '10.0.1.2'],
    ['-6', 'fd00:1::1', 'fd00:1::2'],
  ] as const) {
    await client.run('ip', [family, 'route', 'replace', 'default', 'dev', 'tuna']);
    await client.run('ip', [family, 'route', 'add', 'default', 'via', gateway, 'dev', 'eth0', 'table', '100']);
    await client.run('ip', [family, 'rule', 'add', 'from', own, 'lookup', '100']);
  }
  // As systemd has it: who has no right may ping. A file with rights is not run by who may not have them.
  await client.sysctl('net.ipv4.ping_group_range', '0 2147483647');
  const folder = t.testdir();
  await copyFile('/usr/bin/ping', `${folder}/ping`);
  const program = await ready(client, ['forward', '--out', 'eth0'], {
    env: { PATH: `${folder}:${process.env['PATH']!}` },
  });
  for (const [address, router] of [
    ['10.0.2.2', '10.0.2.1'],
    ['fd00:2::2', 'fd00:2::1'],
  ] as const) {
    t.equal(await kernel(client, ask, address, '80', 'hello'), `${router} HELLO`);
    t.equal(await kernel(client, askUdp, address, '80', 'hello'), `${address} 80 ${router} HELLO`);
    await client.run('ping', ['-c', '1', address]);
    t.equal(await kernel(client, ask, address, '81', 'hello'), 'ECONNRESET', 'nobody listens there');
  }
  const large = await kernel(client, ask, '10.0.2.2', '80', 'one and ', `${TIMES}`);
  t.equal(large, `10.0.2.1 ${'ONE AND '.repeat(TIMES)}`.trimEnd());
  await t.rejects(client.run('ping', ['-c', '1', '-W', '1', '10.0.2.77']), 'nobody there answers');
  t.match(program.output, /guise: connect ECONNREFUSED 10\.0\.2\.2:81/);
  t.equal(await program.stop(), 0);

  const loop = await ready(client, ['forward']);
  t.equal(await kernel(client, ask, '10.0.2.2', '80', 'hello'), 'ECONNRESET');
  await loop.waitFor(/guise: 10\.0\.2\.2:80: What leaves here comes back by the TUN/);
});

t.test('socks: TCP and UDP through a proxy', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, server } = rig;
  await setUpTun(client);
  for (const [address, route] of [
    ['198.51.100.7/32', '198.51.100.0/24'],
    ['2001:db8::7/128', '2001:db8::/64'],
  ] as const) {
    await server.run('ip', ['address', 'add', address, 'dev', 'lo']);
    await client.run('ip', ['route', 'add', route, 'dev', 'tuna']);
    await shout(server, address.split('/')[0]!, 80);
  }
  const script = new URL('socks_server.js', import.meta.url).pathname;
  const proxy = server.start(process.execPath, [script, '1080', 'alice:secret']);
  await proxy.waitFor(/listening/);
  const program = await ready(client, ['socks', '--proxy', 'alice:secret@10.0.2.2:1080']);
  for (const address of ['198.51.100.7', '2001:db8::7']) {
    t.equal(await kernel(client, ask, address, '80', 'hello'), `${address} HELLO`);
    t.equal(await kernel(client, askUdp, address, '80', 'hello'), `${address} 80 ${address} HELLO`);
  }
  const large = await kernel(client, ask, '198.51.100.7', '80', 'one and ', `${TIMES}`);
  t.equal(large, `198.51.100.7 ${'ONE AND '.repeat(TIMES)}`.trimEnd());
  t.equal(await kernel(client, ask, '198.51.100.7', '81', 'hello'), 'ECONNRESET');
  t.match(program.output, /guise: 198\.51\.100\.7:81: Socks5 proxy rejected connection - ConnectionRefused/);
  t.equal(await program.stop(), 0);
  await proxy.waitFor(/association ended/);

  const wrong = await ready(client, ['socks', '--proxy', 'alice:guess@10.0.2.2:1080']);
  t.equal(await kernel(client, ask, '198.51.100.7', '80', 'hello'), 'ECONNRESET');
  t.match(wrong.output, /Socks5 Authentication failed/);
});

t.test(
  'examples: a web server on every address, one server behind every address',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client } = rig;
    await setUpTun(client);
    const fetchText = async (url: string): Promise<string> => (await fetch(url)).text();
    const http = await example(client, 'http.js');
    for (const host of ['10.9.0.2', '10.9.255.254', '[fd09::77]']) {
      const address = host.replaceAll(/[[\]]/g, '');
      t.match(await kernel(client, fetchText, `http://${host}/path`), `${address} greets `);
    }
    await http.stop();
    await shout(client, '127.0.0.1', 8080);
    await example(client, 'rendezvous.js', '--to', '127.0.0.1:8080');
    for (const address of ['10.9.0.2', '10.9.3.4', 'fd09::5']) {
      t.equal(await kernel(client, ask, address, '1234', 'hello'), '127.0.0.1 HELLO');
    }
  },
);

t.test('the guide: a stack a thread, on the queues of one TUN', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = rig;
  const guide = await readFile(`${root}/docs/netstack.md`, 'utf8');
  const [, program] = /## Several stacks, and threads.*?```ts\n(.*?)```/s.exec(guide)!;
  const [setUp] = /ip tuntap add dev tuna mode tun multi_queue user \$USER/.exec(guide)!;
  await client.run('sh', ['-ec', setUp], { env: { USER: `${process.getuid!()}` } });
  await client.run('ip', ['address', 'add', '10.9.0.1/16', 'dev', 'tuna']);
  await client.run('ip', ['link', 'set', 'tuna', 'up']);
  await using _running = client.start(process.execPath, [`${t.testdir({ 'threads.mjs': program! })}/threads.mjs`]);
  const askMany = async (count: string): Promise<string> => {
    const net = await import('node:net');
    const answers = Array.from({ length: Number(count) }, async (_, i) => {
      const socket = net.connect({ host: `10.9.1.${i}`, port: 7, allowHalfOpen: true });
      socket.end(`${i} `);
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      return answer;
    });
    return (await Promise.all(answers)).join('');
  };
  const expected = Array.from({ length: 40 }, (_, i) => i).join(' ');
  t.equal(await kernel(client, askMany, '40'), expected);
});
