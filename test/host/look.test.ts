import t from 'tap';
import { isConfigured, readInterfaces } from '../../src/host/look/interfaces.js';
import { isListening, readIsListening } from '../../src/host/look/ports.js';
import { isOn } from '../../src/host/look/sysctls.js';
import { tunState } from '../../src/host/look/tun.js';
import { createServer } from 'node:net';
import { once } from 'node:events';
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

const STATE = {
  ifname: 'tun0',
  mtu: 1500,
  flags: ['POINTOPOINT', 'NOARP', 'UP', 'LOWER_UP'],
  addr_info: [
    { local: '192.168.201.1', address: '192.168.201.2', prefixlen: 32 },
    { local: 'fcc9::1', address: 'fcc9::2', prefixlen: 128 },
  ],
};
const FOUR = { local4: '192.168.201.1', peer4: '192.168.201.2' };
const BOTH = { ...FOUR, local6: 'fcc9:0::1', peer6: 'FCC9::2' };

t.test('an interface that was prepared is known as such', async (t) => {
  t.ok(isConfigured([STATE], 'tun0', FOUR, 1500));
  t.ok(isConfigured([STATE], 'tun0', BOTH, 1500), 'however its IPv6 addresses are written');
  t.notOk(isConfigured([STATE], 'tun1', FOUR, 1500), 'another one');
  t.notOk(isConfigured([STATE], 'tun0', FOUR, 1400), 'another MTU');
  t.notOk(isConfigured([{ ...STATE, flags: ['POINTOPOINT'] }], 'tun0', FOUR, 1500), 'down');
  t.notOk(isConfigured([STATE], 'tun0', { ...FOUR, peer4: '192.168.201.3' }, 1500), 'another far end');
  t.notOk(isConfigured([{ ...STATE, addr_info: STATE.addr_info.slice(0, 1) }], 'tun0', BOTH, 1500), 'no IPv6');
});

t.test('the interfaces and sysctls of this very host can be read', async (t) => {
  const lo = (await readInterfaces()).find(({ ifname }) => ifname === 'lo');
  t.type(lo?.mtu, 'number');
  t.equal(isOn('net.ipv4.ip_nonsense'), false);
  t.equal(isOn('kernel.pid_max'), true);
});
