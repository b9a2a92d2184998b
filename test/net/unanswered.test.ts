/** What a client says of an open that does not succeed, by its cause. One rig has them all: each has a port of its own. */
import t from 'tap';
import { startApplication } from './application.js';
import { guise, settled } from './packet_path.js';
import type { RunningProgram } from './process.js';
import { noRig, Rig } from './rig.js';

const skip = noRig() ?? false;

/** What is wrong with the way to a server, and what the client says: after 3 s, and in the end. */
interface Case {
  readonly remote: string;
  readonly early?: RegExp;
  readonly end: RegExp;
  readonly never?: RegExp;
}

const CASES: Readonly<Record<string, Case>> = {
  'the OUTPUT chain of the own host drops': {
    remote: '10.0.2.2:4001',
    end: /connect EPERM 10\.0\.2\.2:4001: The firewall of this host drops .* OUTPUT/,
    never: /No answer/,
  },
  'the same over IPv6': {
    remote: '[fd00:2::2]:4001',
    end: /connect EPERM \[fd00:2::2\]:4001: The firewall of this host drops .* OUTPUT/,
    never: /No answer/,
  },
  'a neighbour is silent': {
    remote: '10.0.1.77:4002',
    early:
      /connect 10\.0\.1\.77:4002: No answer yet to [23] SYNs from 10\.0\.1\.2 by eth0: 10\.0\.1\.77, .* who has its/,
    end: /ETIMEDOUT 10\.0\.1\.77:4002: No answer to 3 SYNs from 10\.0\.1\.2 by eth0: 10\.0\.1\.77, to which/,
  },
  'a gateway is silent': {
    remote: '10.7.0.1:4003',
    early: /: No answer yet to .*: 10\.0\.1\.78, to which they go by eth0, does not answer who has its address/,
    end: /ETIMEDOUT 10\.7\.0\.1:4003: .*10\.0\.1\.78, to which they go by eth0, does not answer/,
  },
  'the router swallows SYNs': {
    remote: '10.0.2.2:4004',
    early: /: No answer yet to [23] SYNs from 10\.0\.1\.2 by eth0; check the address/,
    end: /ETIMEDOUT 10\.0\.2\.2:4004: No answer to 3 SYNs from 10\.0\.1\.2 by eth0; check the address/,
  },
  'the router answers with a RST': {
    remote: '10.0.2.2:4005',
    end: /ECONNREFUSED 10\.0\.2\.2:4005: .*the RST is from 10\.0\.1\.1, the next hop, as its TTL of 64 says/,
  },
  'nobody listens at the server': {
    remote: '10.0.2.2:4006',
    end: /ECONNREFUSED 10\.0\.2\.2:4006: Nothing listens there; check the port/,
  },
  'the own host changes ports': {
    remote: '10.0.2.2:4007',
    early: /No answer yet to .*an answer came to port \d+ instead, since this host masquerades/,
    end: /ETIMEDOUT 10\.0\.2\.2:4007: .*an answer came to port \d+ instead/,
  },
  'something changes numbers': {
    remote: '10.0.2.2:4008',
    early: /No answer yet to .*SYN-ACKs came that do not answer them/,
    end: /ETIMEDOUT 10\.0\.2\.2:4008: .*SYN-ACKs came that do not answer them/,
  },
  'a router forbids it': {
    remote: '10.0.2.2:4010',
    early: /No answer yet to .*: 10\.0\.1\.1 says that this is forbidden; ask whoever runs that router/,
    end: /ETIMEDOUT 10\.0\.2\.2:4010: .*: 10\.0\.1\.1 says that this is forbidden/,
  },
  'a router forbids it over IPv6': {
    remote: '[fd00:2::2]:4010',
    early: /No answer yet to .*: fd00:1::1 says that this is forbidden; ask whoever runs that router/,
    end: /ETIMEDOUT \[fd00:2::2\]:4010: .*: fd00:1::1 says that this is forbidden/,
  },
  'the host is gone from its network': {
    remote: '10.0.2.99:4011',
    end: /ETIMEDOUT 10\.0\.2\.99:4011: .*: 10\.0\.[12]\.1 says that this host does not answer/,
  },
  'the route goes while it waits': {
    remote: '10.8.0.1:4009',
    early:
      /No answer yet to .*: this host has no route there \(ENETUNREACH\), and 10\.0\.1\.1 says that it has no route/,
    end: /ETIMEDOUT 10\.8\.0\.1:4009: .*: this host has no route there/,
  },
};

t.test('each cause has its own sentence', { skip, timeout: 120_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, router, server } = rig;
  await settled(rig);
  await client.nft(`table inet own {
    chain output { type filter hook output priority 0; tcp dport 4001 drop; };
    chain nat { type nat hook postrouting priority srcnat; tcp dport 4007 masquerade random,fully-random; }; }`);
  await router.nft(`table inet wall { chain forward { type filter hook forward priority -10;
    tcp dport { 4004, 4009 } drop; tcp dport 4005 reject with tcp reset; tcp dport 4010 reject with icmpx admin-prohibited;
    tcp sport 4008 tcp flags & (syn | ack) == syn | ack tcp ackseq set 12345; };
    chain seen { type filter hook prerouting priority raw; tcp dport 4009 counter; }; }`);
  await client.run('ip', ['route', 'add', '10.7.0.0/16', 'via', '10.0.1.78']);
  await client.run('ip', ['route', 'add', '10.8.0.0/16', 'via', '10.0.1.1']);
  for (const port of ['4007', '4008']) await guise(server, 'server', ['-l', port, '-r', '127.0.0.1:7000']);
  const clients: [string, Case, RunningProgram][] = [];
  for (const [i, [name, each]] of Object.entries(CASES).entries()) {
    const args = ['-l', `127.0.0.1:${5000 + i}`, '-r', each.remote, '--connect-timeout', '4'];
    clients.push([name, each, await guise(client, 'client', args)]);
  }
  const SEND = `const socket = require('node:dgram').createSocket('udp4');
    for (let i = 0; i < ${clients.length}; i++) socket.send('x', 5000 + i, '127.0.0.1');
    setTimeout(() => socket.close(), 500);`;
  await client.run(process.execPath, ['-e', SEND]);
  // Its first SYN has found the route.
  while ((await router.counter('wall', 'seen')) === 0);
  await client.run('ip', ['route', 'replace', 'throw', '10.8.0.0/16']);
  await Promise.all(
    clients.map(async ([name, { early, end, never }, program]) => {
      const ended = program.waitFor(end);
      if (early) t.match(await program.waitFor(early), early, name);
      t.match(await ended, end, name);
      if (never) t.notMatch(program.output, never, name);
      t.ok(!early || program.output.match(/No answer yet/g)?.length === 1, `${name}: once`);
    }),
  );
});

t.test('behind a TUN the own NAT tells whether anything has come to it', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.client.nft(`table inet own { chain raw { type filter hook prerouting priority raw;
    tcp dport 4567 notrack; }; }`);
  const args = ['-l', '127.0.0.1:5000', '-r', '10.0.2.2:4567', '--device', 'tun', '--tun', 'guise7'];
  const client = await rig.client.guise('client', args);
  startApplication(rig);
  await client.waitFor(/No answer yet to [23] SYNs from 192\.168\.200\.2 by guise7 and eth0/);
  await client.waitFor(/nothing from guise7 has come as far as the NAT of this host; .*FORWARD/);
  t.pass('and says so');
});
