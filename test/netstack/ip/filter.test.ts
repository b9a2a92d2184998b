import t from 'tap';
import { isMulticast, isUnicast, unicastOnly } from '../../../src/netstack/ip/filter.js';

const HOSTS = ['10.0.0.1', '192.0.2.255', '1.1.1.1', '223.255.255.255', '126.0.0.1', '128.0.0.1', '0.0.0.1', 'fd00::1'];
const MORE_HOSTS = ['fe80::1', '2001:db8::ff02', '::2', 'fe00::1', '1::'];
const MANY = ['224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1234', 'ffff::'];
const NONE = ['0.0.0.0', '255.255.255.255', '127.0.0.1', '127.255.255.255', '::', '::1'];

t.test('addresses of hosts on a network are told from others', async (t) => {
  for (const address of [...HOSTS, ...MORE_HOSTS]) t.ok(isUnicast(address), address);
  for (const address of [...MANY, ...NONE]) t.notOk(isUnicast(address), address);
});

t.test('addresses for many hosts are known', async (t) => {
  for (const address of MANY) t.ok(isMulticast(address), address);
  for (const address of [...HOSTS, ...MORE_HOSTS, ...NONE]) t.notOk(isMulticast(address), address);
});

t.test('the default filter looks at both addresses', async (t) => {
  t.ok(unicastOnly('10.0.0.1', '10.0.0.2'));
  t.notOk(unicastOnly('0.0.0.0', '10.0.0.2'));
  t.notOk(unicastOnly('10.0.0.1', '255.255.255.255'));
  t.notOk(unicastOnly('fe80::1', 'ff02::2'));
});
