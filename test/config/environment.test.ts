import t from 'tap';
import { readEnvironment } from '../../src/config/environment.js';

t.test('variables give options, and are named as what gave them', async (t) => {
  const { values, names, unknown } = readEnvironment('client', {
    GUISE_IDLE_TIMEOUT: '60',
    GUISE_FIREWALL: 'TRUE',
    PATH: '/bin',
    NOT_GUISE_MTU: '3',
  });
  t.same(values, { 'idle-timeout': '60', firewall: 'TRUE' });
  t.same(
    [...names],
    [
      ['idle-timeout', 'GUISE_IDLE_TIMEOUT'],
      ['firewall', 'GUISE_FIREWALL'],
    ],
  );
  t.same(unknown, []);
});

t.test('GUISE_NO_… is --no-…', async (t) => {
  for (const yes of ['1', 'y', 'yes', 'TRUE', 'on']) {
    t.same(readEnvironment('server', { GUISE_NO_FIREWALL: yes }).values, { firewall: false });
  }
  for (const no of ['0', 'N', 'no', 'False', 'off']) {
    t.same(readEnvironment('server', { GUISE_NO_FIREWALL: no }).values, { firewall: true });
  }
  t.throws(() => readEnvironment('server', { GUISE_NO_FIREWALL: 'maybe' }), {
    message: 'GUISE_NO_FIREWALL takes yes or no, not "maybe".',
    option: 'firewall',
  });
  t.throws(() => readEnvironment('server', { GUISE_FIREWALL: '1', GUISE_NO_FIREWALL: '1' }), {
    message: 'GUISE_NO_FIREWALL contradicts GUISE_FIREWALL; leave one of them out.',
  });
  t.same(readEnvironment('server', { GUISE_NO_MTU: '1' }).unknown, [{ name: 'GUISE_NO_MTU', nearest: 'GUISE_MTU' }]);
});

t.test('an empty variable is none', async (t) => {
  const environment = { GUISE_MTU: '', GUISE_FIREWALL: '', GUISE_NO_OFFLOAD: '', GUISE_NONSENSE: '' };
  t.match(readEnvironment('client', environment), { values: {}, unknown: [] });
});

t.test('two programs may share an environment', async (t) => {
  const environment = { GUISE_KEEPALIVE: '10', GUISE_MTU: '1400' };
  t.same(readEnvironment('server', environment).values, { mtu: '1400' });
  t.same(readEnvironment('server', environment).unknown, []);
  t.same(readEnvironment('client', environment).values, { keepalive: '10', mtu: '1400' });
});

t.test('what no option has is told, with what is most like it', async (t) => {
  const environment = { GUISE_OF_ANOTHER_PROGRAM: '1', GUISE_idle_timeout: '1', GUISE_: '1', GUISE_REMOT: 'a:1' };
  const { values, unknown } = readEnvironment('client', environment);
  t.same(values, {});
  t.same(unknown, [
    { name: 'GUISE_OF_ANOTHER_PROGRAM', nearest: undefined },
    { name: 'GUISE_idle_timeout', nearest: 'GUISE_IDLE_TIMEOUT' },
    { name: 'GUISE_', nearest: undefined },
    { name: 'GUISE_REMOT', nearest: 'GUISE_REMOTE' },
  ]);
});
