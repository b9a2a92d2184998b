import fc from 'fast-check';
import t from 'tap';
import { parseAddress, parseEndpoint, parseHostPort, parsePort } from '../../src/config/addresses.js';
import { UsageError } from '../../src/errors.js';
import { formatEndpoint } from '../../src/wire/endpoint.js';

/** What a parser makes of a text: the value, or the code of the error. */
function outcome<T>(parse: (text: string) => T, text: string): T | string {
  try {
    return parse(text);
  } catch (error) {
    return (error as { code: string }).code;
  }
}

t.test('ports', async (t) => {
  const table: [string, number | string][] = [
    ['1', 1],
    ['443', 443],
    ['65535', 65_535],
    ['00080', 80],
    ['0000000080', 80],
    ['0', 'ERR_GUISE_PORT'],
    ['65536', 'ERR_GUISE_PORT'],
    ['99999999999999999999', 'ERR_GUISE_PORT'],
    ['-1', 'ERR_GUISE_PORT'],
    ['+80', 'ERR_GUISE_PORT'],
    ['80.0', 'ERR_GUISE_PORT'],
    ['8e1', 'ERR_GUISE_PORT'],
    ['0x50', 'ERR_GUISE_PORT'],
    [' 80', 'ERR_GUISE_PORT'],
    ['80\n', 'ERR_GUISE_PORT'],
    ['', 'ERR_GUISE_PORT'],
    ['\u0668\u0660', 'ERR_GUISE_PORT'],
    ['\uff18\uff10', 'ERR_GUISE_PORT'], // full-width 80
    ['https', 'ERR_GUISE_PORT'],
  ];
  for (const [text, expected] of table) t.equal(outcome(parsePort, text), expected, JSON.stringify(text));
});

t.test('addresses have one spelling', async (t) => {
  const table: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['::', '::'],
    ['fe80::1%eth0', 'ERR_GUISE_ZONE'],
    ['192.0.2.01', 'ERR_GUISE_IP'],
    ['192.0.2', 'ERR_GUISE_IP'],
    ['192.0.2.1/24', 'ERR_GUISE_IP'],
    ['[::1]', 'ERR_GUISE_IP'],
    ['localhost', 'ERR_GUISE_IP'],
    ['', 'ERR_GUISE_IP'],
  ];
  for (const [text, expected] of table) t.equal(outcome(parseAddress, text), expected, JSON.stringify(text));
});

t.test('hosts with ports', async (t) => {
  const label = 'a'.repeat(63);
  const longest = `${label}.${label}.${label}.${'a'.repeat(61)}`; // 253 characters, 255 bytes on the wire
  const table: [string, string | { host: string; port: number }][] = [
    ['vpn.example.net:443', { host: 'vpn.example.net', port: 443 }],
    ['VPN.Example.net:443', { host: 'VPN.Example.net', port: 443 }],
    ['vpn.example.net.:443', { host: 'vpn.example.net.', port: 443 }],
    ['my_service:443', { host: 'my_service', port: 443 }],
    ['localhost:0443', { host: 'localhost', port: 443 }],
    ['münchen.example:443', { host: 'xn--mnchen-3ya.example', port: 443 }],
    ['3com.example:443', { host: '3com.example', port: 443 }],
    ['192.0.2.1:443', { host: '192.0.2.1', port: 443 }],
    ['[2001:db8::1]:443', { host: '2001:db8::1', port: 443 }],
    ['[2001:DB8:0::1]:443', { host: '2001:db8::1', port: 443 }],
    ['[::ffff:192.0.2.1]:443', { host: '192.0.2.1', port: 443 }],
    [`${longest}:443`, { host: longest, port: 443 }],
    [`${longest}.:443`, { host: `${longest}.`, port: 443 }],
    [`${longest}a:443`, 'ERR_GUISE_HOST'],
    [`${label}a.example:443`, 'ERR_GUISE_HOST'],
    ['a..example:443', 'ERR_GUISE_HOST'],
    ['.:443', 'ERR_GUISE_HOST'],
    [' vpn.example.net:443', 'ERR_GUISE_HOST'],
    ['vpn example.net:443', 'ERR_GUISE_HOST'],
    ['vpn.example.net :443', 'ERR_GUISE_HOST'],
    ['vpn.example.net: 443', 'ERR_GUISE_PORT'],
    ['vpn.example.net:443 ', 'ERR_GUISE_PORT'],
    ['vpn.example.net:443\n', 'ERR_GUISE_PORT'],
    ['vpn.example.net:0', 'ERR_GUISE_PORT'],
    ['vpn.example.net:-1', 'ERR_GUISE_PORT'],
    ['vpn.example.net:\u0664\u0664\u0663', 'ERR_GUISE_PORT'],
    ['vpn.example.net:', 'ERR_GUISE_HOST_PORT'],
    ['vpn.example.net', 'ERR_GUISE_HOST_PORT'],
    [':443', 'ERR_GUISE_HOST_PORT'],
    ['443', 'ERR_GUISE_HOST_PORT'],
    ['', 'ERR_GUISE_HOST_PORT'],
    ['https://vpn.example.net:443', 'ERR_GUISE_HOST_PORT'],
    ['2001:db8::1:443', 'ERR_GUISE_HOST_PORT'],
    ['[2001:db8::1]', 'ERR_GUISE_HOST_PORT'],
    ['[2001:db8::1]443', 'ERR_GUISE_HOST_PORT'],
    ['[2001:db8::1:443', 'ERR_GUISE_HOST_PORT'],
    ['[]:443', 'ERR_GUISE_HOST_PORT'],
    ['[192.0.2.1]:443', 'ERR_GUISE_BRACKETS'],
    ['[vpn.example.net]:443', 'ERR_GUISE_BRACKETS'],
    ['[ ::1]:443', 'ERR_GUISE_BRACKETS'],
    ['[fe80::1%eth0]:443', 'ERR_GUISE_ZONE'],
    // What getaddrinfo would take for other addresses than people mean.
    ['010.0.0.1:443', 'ERR_GUISE_HOST'],
    ['127.1:443', 'ERR_GUISE_HOST'],
    ['192.0.2.1.:443', 'ERR_GUISE_HOST'],
    ['256.0.0.1:443', 'ERR_GUISE_HOST'],
    ['2130706433:443', 'ERR_GUISE_HOST'],
    ['0x7f.1:443', 'ERR_GUISE_HOST'],
    ['0x7f000001:443', 'ERR_GUISE_HOST'],
    ['\uff11\uff12\uff17.0.0.1:443', 'ERR_GUISE_HOST'], // full-width 127
    ['\u0661\u0662\u0667.0.0.1:443', 'ERR_GUISE_HOST'],
  ];
  for (const [text, expected] of table) t.same(outcome(parseHostPort, text), expected, JSON.stringify(text));
});

t.test('whatever is written is an address that is written the same way again, or one line', async (t) => {
  const part = fc.constantFrom('[', ']', ':', '.', '%', '::', '0x', '1', 'ff', '80', 'a', '-', ' ', '\n', 'é');
  const written = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(part).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(written, (text) => {
      try {
        const { host, port } = parseHostPort(text);
        const again = parseHostPort(formatEndpoint({ address: host, port }));
        return again.host === host && again.port === port;
      } catch (error) {
        return error instanceof UsageError && /^.+\.$/.test(error.message);
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});

t.test('endpoints are addresses, not names', async (t) => {
  const table: [string, string | { address: string; port: number }][] = [
    ['127.0.0.1:5000', { address: '127.0.0.1', port: 5000 }],
    ['[::1]:5000', { address: '::1', port: 5000 }],
    ['[::ffff:127.0.0.1]:5000', { address: '127.0.0.1', port: 5000 }],
    ['0.0.0.0:5000', { address: '0.0.0.0', port: 5000 }],
    ['localhost:5000', 'ERR_GUISE_IP'],
    ['*:5000', 'ERR_GUISE_HOST'],
    ['127.0.0.1', 'ERR_GUISE_HOST_PORT'],
  ];
  for (const [text, expected] of table) t.same(outcome(parseEndpoint, text), expected, JSON.stringify(text));
});
