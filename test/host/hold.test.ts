import { once } from 'node:events';
import { createServer } from 'node:net';
import t from 'tap';
import { run } from '../../src/host/command.js';
import { holdServerPort } from '../../src/host/server_port.js';
import { holdAddresses } from '../../src/host/tun_addresses.js';

/** Networks of RFC 5737 and RFC 3849, which no host has. */
const usual = { local4: '203.0.113.1', peer4: '203.0.113.2', local6: '2001:db8::1', peer6: '2001:db8::2' };

t.test('a port is for one server, which no program listens on', async (t) => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  await t.rejects(holdServerPort(port, true), { code: 'EADDRINUSE', syscall: 'listen', port });
  await t.rejects(holdServerPort(port, false), { code: 'EADDRINUSE' }, 'whoever sets the rules');
  listener.close();
  await once(listener, 'close');

  const held = await holdServerPort(port, true);
  await t.rejects(holdServerPort(port, true), { code: 'ERR_GUISE_PORT_TAKEN', option: 'local' });
  const shared = await holdServerPort(port, false);
  await shared[Symbol.asyncDispose]();
  await held[Symbol.asyncDispose]();
  await (await holdServerPort(port, true))[Symbol.asyncDispose]();
});

t.test('a pair of addresses is for one tunnel; the next one gets the next pair', async (t) => {
  const first = await holdAddresses({ given: {}, usual, ipv6: true });
  t.same(first.addresses, usual);
  const second = await holdAddresses({ given: {}, usual, ipv6: false });
  t.same(second.addresses, { local4: '203.0.113.5', peer4: '203.0.113.6' });
  const wanted = { given: { peer4: '203.0.113.2' }, usual, ipv6: false };
  await t.rejects(holdAddresses(wanted), {
    code: 'ERR_GUISE_ADDRESSES_TAKEN',
    option: 'tun-local',
    message: '203.0.113.1 or 203.0.113.2 is in use on this host; give others.',
  });
  // IPv4 is let go when IPv6 is not to be had.
  const given = { local4: '203.0.113.9', peer4: '203.0.113.10', peer6: '2001:db8::2' };
  await t.rejects(holdAddresses({ given, usual, ipv6: true }), {
    code: 'ERR_GUISE_ADDRESSES_TAKEN',
    option: 'tun-local6',
  });
  const third = await holdAddresses({ given, usual, ipv6: false });
  for (const each of [first, second, third]) await each[Symbol.asyncDispose]();
  const again = await holdAddresses(wanted);
  t.equal(again.addresses.peer4, '203.0.113.2');
  await again[Symbol.asyncDispose]();
});

t.test('a tool that is missing or fails is one sentence', async (t) => {
  t.equal(await run('cat', [], 'input'), 'input');
  await t.rejects(run('no-such-tool', []), {
    code: 'ERR_GUISE_PROGRAM_MISSING',
    message: 'The program `no-such-tool` is missing; install it.',
  });
  await t.rejects(run('ls', ['/no/such/file']), {
    code: 'ERR_GUISE_PROGRAM_FAILED',
    message: /^`ls \/no\/such\/file` failed: ls: .*No such file or directory\.$/,
  });
});
