import { createServer } from 'node:net';
import { once } from 'node:events';
import t from 'tap';
import { HostEnds } from '../../src/fake_tcp/local_ends.js';
import type { Endpoint } from '../../src/wire/endpoint.js';

class FakeEngine {
  passed: { readonly ports: readonly number[]; readonly remotes: readonly Endpoint[] } = { ports: [], remotes: [] };
  readonly lastSyscall = 'PACKET_RX_RING';
  /** What `pass` answers. */
  answer = 0;

  pass(ports: readonly number[], remotes: readonly Endpoint[]): number {
    this.passed = { ports, remotes };
    return this.answer;
  }

  route(): { source: string; mtu: number } {
    return { source: '127.0.0.1', mtu: 65_536 };
  }
}

/** Whether a program of this host may listen there: `EADDRINUSE`, or `listening`. */
async function taken({ address, port }: Endpoint): Promise<string> {
  const server = createServer();
  const error = once(server, 'error').then(([{ code }]) => code as string);
  server.listen(port, address);
  const result = await Promise.race([error, once(server, 'listening').then(() => 'listening')]);
  server.close();
  return result;
}

t.test('one answers for the addresses that are listened on, and for no other', async (t) => {
  const engine = new FakeEngine();
  const ends = new HostEnds(engine);
  const first = ends.listen({ address: '127.0.0.1', port: 0 });
  const { port } = first.local;
  const second = ends.listen({ address: '127.0.0.2', port });
  const answered = (): boolean[] =>
    ['127.0.0.1', '127.0.0.2', '127.0.0.3', '::1'].map((address) => ends.answers({ address, port }));
  t.same(answered(), [true, true, false, false]);
  t.same(engine.passed.ports, [port], 'once');
  first.release();
  t.same(answered(), [false, true, false, false]);
  t.same(engine.passed.ports, [port], 'still');
  second.release();
  t.same(answered(), [false, false, false, false]);
  t.same(engine.passed.ports, []);
});

t.test('what all addresses are listened on for', async (t) => {
  const ends = new HostEnds(new FakeEngine());
  for (const [address, family6] of [
    ['0.0.0.0', false],
    ['::', true],
  ] as const) {
    const { local, release } = ends.listen({ address, port: 0 });
    t.equal(ends.answers({ address: '192.0.2.1', port: local.port }), true);
    t.equal(ends.answers({ address: '2001:db8::1', port: local.port }), family6);
    t.equal(ends.answers({ address: '192.0.2.1', port: local.port - 1 }), false);
    release();
  }
});

t.test('a port is held until its last connection has ended, and may be listened on again before', async (t) => {
  const ends = new HostEnds(new FakeEngine());
  const listener = ends.listen({ address: '127.0.0.1', port: 0 });
  const connection = ends.keep(listener.local);
  listener.release();
  t.equal(await taken(listener.local), 'EADDRINUSE');
  const again = ends.listen(listener.local);
  t.same(again.local, listener.local);
  connection.release();
  t.equal(await taken(listener.local), 'EADDRINUSE');
  again.release();
  t.equal(await taken(listener.local), 'listening');
});

t.test('a connection holds a port of its own, and its remote passes while one is left', async (t) => {
  const engine = new FakeEngine();
  const ends = new HostEnds(engine);
  const remote = { address: '192.0.2.1', port: 443 };
  const [one, other] = [ends.open(remote), ends.open(remote)];
  t.not(one.local.port, other.local.port);
  t.equal(await taken(one.local), 'EADDRINUSE');
  t.equal(ends.answers(one.local), false, 'nobody listens');
  one.release();
  t.same(engine.passed, { ports: [], remotes: [remote] });
  other.release();
  t.same(engine.passed, { ports: [], remotes: [] });
});

t.test('why a port cannot be had', async (t) => {
  const ends = new HostEnds(new FakeEngine());
  const { local } = ends.listen({ address: '127.0.0.1', port: 0 });
  t.throws(() => new HostEnds(new FakeEngine()).listen(local), { code: 'EADDRINUSE', syscall: 'listen', ...local });
  t.throws(() => ends.listen({ address: '192.0.2.1', port: local.port }), { code: 'EADDRNOTAVAIL' });
});

t.test('what cannot be read holds no port', async (t) => {
  const engine = new FakeEngine();
  const ends = new HostEnds(engine);
  const held = ends.listen({ address: '127.0.0.1', port: 0 });
  const { local } = held;
  held.release();
  engine.answer = -12;
  const refused = { code: 'ENOMEM', syscall: 'PACKET_RX_RING' };
  t.throws(() => ends.listen(local), refused);
  t.throws(() => ends.open({ address: '127.0.0.1', port: 443 }), refused);
  t.equal(await taken(local), 'listening');
  engine.answer = 0;
  ends.listen(local).release();
  t.same(engine.passed, { ports: [], remotes: [] });
});
