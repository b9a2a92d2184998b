import t from 'tap';
import { readInterfaces, readRoutes } from '../../src/host/look/interfaces.js';
import { isListening, readIsListening } from '../../src/host/look/ports.js';
import { isOn, refusalOf } from '../../src/host/look/sysctls.js';
import { tunState } from '../../src/host/look/tun.js';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { isSetUp } from '../../src/native/process.js';
import { recorded } from './recorded.js';

t.test('a port that a program listens on is seen, in whichever family', async (t) => {
  const table = recorded('proc_net_tcp') + recorded('proc_net_tcp6');
  t.ok(isListening(table, 4567), 'on all addresses');
  t.ok(isListening(table, 22), 'on one');
  t.ok(isListening(table, 443), 'IPv6');
  t.notOk(isListening(table, 58_740), 'an end of a connection does not listen');
  t.match(table, /:E574 0100007F:0016 01/, 'which is there');
  t.notOk(isListening(table, 0x1d7), 'a port whose digits end another one');
  t.notOk(isListening('', 4567));
});

t.test('a listening socket of this very host is seen', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  t.ok(await readIsListening(port));
  server.close();
  await once(server, 'close');
  t.notOk(await readIsListening(port));
});

t.test('a TUN is free to be attached to when it is persistent, and only then', async (t) => {
  t.equal(tunState({ index: undefined, flags: undefined }), 'absent');
  t.equal(tunState({ index: '2\n', flags: undefined }), 'taken', 'an Ethernet interface');
  t.equal(tunState({ index: '7\n', flags: '0x5001\n' }), 'taken', 'the TUN of a process');
  t.equal(tunState({ index: '7\n', flags: '0x5801\n' }), 'persistent');
});

t.test('the interfaces, routes and sysctls of this very host can be read', async (t) => {
  const lo = (await readInterfaces()).find(({ ifname }) => ifname === 'lo');
  t.ok(lo?.addr_info.some(({ local }) => local === '127.0.0.1'));
  t.ok((await readRoutes()).some(({ dst }) => dst.startsWith('127.')));
  t.equal(refusalOf('net.ipv4.ip_nonsense'), 'ENOENT');
  t.equal(isOn('net.ipv4.ip_nonsense'), false);
  t.equal(isOn('kernel.pid_max'), true);
});

t.test('an interface is set up when it is up, has its MTU and a route leads to it', async (t) => {
  const mtu = Number(readFileSync('/sys/class/net/lo/mtu', 'utf8'));
  t.ok(isSetUp('lo', mtu, '127.0.0.2'));
  t.notOk(isSetUp('lo', mtu - 1, '127.0.0.2'), 'another MTU');
  t.notOk(isSetUp('lo', mtu, '198.51.100.1'), 'another route, or none');
  t.notOk(isSetUp('lo', mtu, 'ff0e::1'));
  t.notOk(isSetUp('no-such', mtu, '127.0.0.2'), 'no interface');
});
