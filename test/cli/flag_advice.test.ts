import t from 'tap';
import { sentenceFor } from '../../src/cli/flag_advice.js';
import { guiseError, systemError, usageError } from '../../src/errors.js';

const busy = guiseError('ERR_GUISE_INTERFACE_TAKEN', { name: 'eth0' });

t.test('the flag or variable that gave what is wrong is named', async (t) => {
  const sentence = 'The interface eth0 exists and is in use; choose another name.';
  t.equal(sentenceFor(busy, new Map([['tun', '--tun']])), `${sentence} Change it with --tun.`);
  t.equal(sentenceFor(busy, new Map([['tun', 'GUISE_TUN']])), `${sentence} Change it with GUISE_TUN.`);
  const port = systemError('EADDRINUSE', 'bind', { address: '127.0.0.1', port: 5000 });
  t.equal(
    sentenceFor(port, new Map([['local', '--local']])),
    'bind EADDRINUSE 127.0.0.1:5000: Another program has this UDP port; stop it or choose another. ' +
      'Change it with --local.',
  );
});

t.test('no flag is named that the user has not given', async (t) => {
  t.equal(sentenceFor(busy), busy.message);
  t.equal(sentenceFor(busy, new Map([['mtu', '--mtu']])), busy.message);
  const forwarding = guiseError('ERR_GUISE_FORWARDING', { sysctl: 'net.ipv4.ip_forward' });
  t.equal(sentenceFor(forwarding, new Map([['tun', '--tun']])), forwarding.message);
});

t.test('what is on unless it is switched off has a flag for that', async (t) => {
  const refused = guiseError('ERR_GUISE_FIREWALL', { said: 'Operation not permitted' });
  t.notMatch(refused.message, /--no-firewall/);
  t.match(sentenceFor(refused), /set the rules by other means\. To do without, add --no-firewall\.$/);
});

t.test('a usage error names its flag once', async (t) => {
  const details = { option: 'mtu', given: '--mtu', expected: 'a number', found: 'x' };
  const usage = usageError('ERR_GUISE_OPTION', details);
  t.equal(sentenceFor(usage, new Map([['mtu', '--mtu']])), usage.message);
});

t.test('what is no error of ours is one to report', async (t) => {
  t.equal(
    sentenceFor(new TypeError('x is not a function')),
    'unexpected failure, please report it: x is not a function',
  );
  t.equal(sentenceFor('thrown text'), 'unexpected failure, please report it: thrown text');
});
