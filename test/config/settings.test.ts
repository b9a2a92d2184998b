import fc from 'fast-check';
import t from 'tap';
import { OPTIONS, type Role, type Schema } from '../../src/config/schema.js';
import { settingsOf } from '../../src/config/settings.js';
import { UsageError } from '../../src/errors.js';
import { CONNECTION, LIVENESS, TUNNEL } from '../../src/policy.js';

const CLIENT = { local: '127.0.0.1:5000', remote: 'vpn.example.net:443' };
const SERVER = { local: 443, remote: '127.0.0.1:51820' };

function refusal(role: Role, values: Record<string, unknown>): { message: string; code: string; option?: string } {
  try {
    settingsOf(role, values);
  } catch (error) {
    return error as { message: string; code: string; option?: string };
  }
  throw new Error(`${JSON.stringify(values)} was taken`);
}

t.test('what is not given has its default, in the units that are used inside', async (t) => {
  t.same(settingsOf('client', CLIENT), {
    local: { address: '127.0.0.1', port: 5000 },
    remote: { host: 'vpn.example.net', port: 443 },
    idleTimeout: TUNNEL.idleTimeout,
    ignoreRst: false,
    device: 'auto',
    ipv4Only: false,
    firewall: true,
    mtu: CONNECTION.mtu,
    offload: true,
    logLevel: 'info',
    logFormat: 'text',
    connectTimeout: CONNECTION.connectTimeout,
    keepalive: LIVENESS.keepalive,
    deadAfter: LIVENESS.deadAfter,
    profile: 'auto',
  });
  const { local, remote } = settingsOf('server', SERVER);
  t.same(
    [local, remote],
    [
      { address: '::', port: 443 },
      { host: '127.0.0.1', port: 51_820 },
    ],
  );
});

t.test('each kind of value, as text and as a file of settings has it', async (t) => {
  const given = (values: Record<string, unknown>) => settingsOf('client', { ...CLIENT, ...values });
  t.equal(given({ 'idle-timeout': '60' }).idleTimeout, 60_000);
  t.equal(given({ 'idle-timeout': 60 }).idleTimeout, 60_000);
  t.equal(given({ 'dead-after': '1' }).deadAfter, 1000);
  t.equal(given({ keepalive: '0' }).keepalive, Infinity, 'never');
  t.equal(given({ keepalive: 0 }).keepalive, Infinity, 'never');
  t.equal(given({ mtu: '1400' }).mtu, 1400, 'bytes stay bytes');
  for (const yes of [true, '1', 'yes', 'Yes', 'TRUE', 'on']) t.equal(given({ offload: yes }).offload, true);
  for (const no of [false, '0', 'no', 'NO', 'False', 'off']) t.equal(given({ offload: no }).offload, false);
  t.equal(given({ profile: 'phantun' }).profile, 'phantun');
  t.equal(given({ 'tun-local6': 'FD00:0::1' }).tunLocal6, 'fd00::1');
  t.equal(given({ 'handshake-packet': '/tmp/packet' }).handshakePacket, '/tmp/packet');
  t.equal(given({ tun: undefined }).tun, undefined);
  t.same(settingsOf('server', { ...SERVER, local: '0443' }).local, { address: '::', port: 443 });
  const one = settingsOf('server', { ...SERVER, local: '[2001:db8::1]:443' });
  t.same(one.local, { address: '2001:db8::1', port: 443 });
});

t.test('what no option takes is refused with its name, what was found and what is expected', async (t) => {
  const wrong: [Record<string, unknown>, string, RegExp][] = [
    [{ mtu: '575' }, 'mtu', /^mtu takes a whole number of bytes from 576 to 65535, not 575\.$/],
    [{ mtu: 65_536 }, 'mtu', /not 65536\.$/],
    [{ mtu: 1500.5 }, 'mtu', /not 1500\.5\.$/],
    [{ mtu: '1e3' }, 'mtu', /not "1e3"\.$/],
    [{ mtu: '\u0669\u0660\u0660' }, 'mtu', /not "\u0669\u0660\u0660"\.$/],
    [{ mtu: '' }, 'mtu', /not ""\.$/],
    [{ mtu: null }, 'mtu', /not null\.$/],
    [{ mtu: [1500] }, 'mtu', /not \[ 1500 \]\.$/],
    [{ queues: '0' }, 'queues', /^queues takes a whole number from 1 to 64, not 0\.$/],
    [{ 'idle-timeout': '-5' }, 'idle-timeout', /a whole number of seconds from 1 to 86400, not -5\.$/],
    [{ firewall: 'nein' }, 'firewall', /^firewall takes yes or no, not "nein"\.$/],
    [{ firewall: {} }, 'firewall', /not \{\}\.$/],
    [{ firewall: 1 }, 'firewall', /not 1\.$/],
    [{ firewall: null }, 'firewall', /not null\.$/],
    [{ profile: 'Guise' }, 'profile', /^profile takes auto, guise or phantun, not "Guise"\.$/],
    [{ 'log-level': 'loud' }, 'log-level', /takes error, warn, info or debug/],
    [{ local: 5000 }, 'local', /^local takes an IP address and a port, not 5000\.$/],
    [{ local: 'localhost:1' }, 'local', /^local: "localhost" is not an IP address; write it like/],
    [{ remote: 'a:0' }, 'remote', /^remote: "0" is not a port; give a number from 1 to 65535\.$/],
    [{ tun: 'a name' }, 'tun', /takes an interface name .*, not "a name"\.$/],
    [{ tun: '..' }, 'tun', /takes an interface name/],
    [{ tun: 'abcdefghijklmnop' }, 'tun', /takes an interface name/],
    [{ 'tun-local': '::1' }, 'tun-local', /takes an IPv4 address, not "::1"\.$/],
    [{ 'tun-peer6': '10.0.0.1' }, 'tun-peer6', /takes an IPv6 address/],
    [{ 'tun-peer6': '::ffff:10.0.0.1' }, 'tun-peer6', /takes an IPv6 address/],
    [{ 'tun-peer6': 'fe80::1%eth0' }, 'tun-peer6', /of one link only/],
    [{ 'ipv4-only': 'yes', 'tun-peer6': 'fd::1' }, 'ipv4-only', /^ipv4-only contradicts tun-peer6; leave one/],
    [{ device: 'packet', 'tun-local': '10.0.0.1' }, 'device', /^device contradicts tun-local; leave one/],
    [{ device: 'tun', fwmark: '5' }, 'device', /^device contradicts fwmark; leave one/],
    [{ nonsense: 1 }, 'nonsense', /^nonsense is no option of a client; leave it out\.$/],
    [{ toString: 1 }, 'toString', /no option/],
  ];
  for (const [values, option, sentence] of wrong) {
    const error = refusal('client', { ...CLIENT, ...values });
    t.match(error.message, sentence);
    t.equal(error.option, option);
    t.match(error, { name: 'UsageError', code: /^ERR_GUISE_OPTION/ });
  }
  t.match(refusal('server', { ...SERVER, keepalive: 5 }).message, /keepalive is no option of a server/);
  t.match(
    refusal('server', {}).message,
    /^local \[IP:\]PORT \(TCP port .*\) and remote HOST:PORT \(.*\) must be given\.$/,
  );
});

t.test('whatever is given, the answer is settings or one sentence', async (t) => {
  const client: Schema = OPTIONS.client;
  const names = fc.constantFrom(...Object.keys(client));
  fc.assert(
    fc.property(names, fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (name, value) => {
      try {
        settingsOf('client', { ...CLIENT, [name]: value });
      } catch (error) {
        if (!(error instanceof UsageError) || !/^.+\.$/.test(error.message)) throw error;
      }
    }),
  );
  t.pass();
});

t.test('no address family of the TUN contradicts IPv6 that is wanted', async (t) => {
  const settings = settingsOf('client', { ...CLIENT, 'ipv4-only': 'no', 'tun-peer6': 'fd00::1' });
  t.equal(settings.tunPeer6, 'fd00::1');
});

t.test('every default is one that its option takes, and comes back as it was written', async (t) => {
  for (const [role, schema] of Object.entries<Schema>(OPTIONS)) {
    for (const [name, option] of Object.entries(schema)) {
      const label = `${role} ${name}`;
      t.match(option.help, /^\S.*[^.\s]$/, `${label} has a sentence without a full stop`);
      t.match(name, /^[a-z]+\d?(-[a-z]+\d?)*$/, label);
      t.not(option.required === true, 'default' in option || option.otherwise !== undefined, label);
      if ('default' in option) t.equal(option.kind.read(option.kind.write(option.default)), option.default, label);
    }
  }
});

t.test("phantun's options are here, under its names", async (t) => {
  const own = [
    'handshake-packet',
    'ipv4-only',
    'local',
    'remote',
    'tun',
    'tun-local',
    'tun-local6',
    'tun-peer',
    'tun-peer6',
  ];
  const aliases = { local: 'l', remote: 'r', 'ipv4-only': '4' };
  for (const schema of Object.values<Schema>(OPTIONS)) {
    const theirs = Object.entries(schema).filter(([, { phantun }]) => phantun);
    t.same(theirs.map(([name]) => name).sort(), own);
    t.same(Object.fromEntries(theirs.flatMap(([name, { alias }]) => (alias ? [[name, alias]] : []))), aliases);
  }
});
