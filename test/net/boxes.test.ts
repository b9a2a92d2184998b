/** Boxes on the way that do odd things to TCP. One rig has them all: each has a port of its own. */
import t from 'tap';
import { startApplication, startService } from './application.js';
import { CLIENT, guise, settled, startTunnel } from './packet_path.js';
import type { RunningProgram } from './process.js';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;

/** What a box does to the segments of a port, as nft rules of the router, by chain. */
interface Box {
  /** Before connection tracking. */
  readonly raw?: (port: number) => string;
  readonly forward?: (port: number) => string;
  /** Behind NAT. */
  readonly last?: (port: number) => string;
  readonly nat?: (port: number) => string;
  /** On the hosts at both ends, before connection tracking. */
  readonly hosts?: (port: number) => string;
  /** Of both programs. */
  readonly args?: readonly string[];
  /** Datagrams that are sent at 2000 a second. */
  readonly bulk?: number;
}

const both = (port: number, what: string): string => `tcp dport ${port} ${what}; tcp sport ${port} ${what}`;

const BOXES: Readonly<Record<string, Box>> = {
  'synproxy in front of the server': {
    raw: (port) => `iifname "client" tcp dport ${port} tcp flags & (syn | ack) == syn notrack`,
    forward: (port) =>
      `tcp dport ${port} ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm; tcp dport ${port} ct state invalid drop`,
    // It takes the window scale from SYNs without timestamps (net/netfilter/nf_synproxy_core.c), see `docs/situations.md`.
    bulk: 8000,
  },
  'an MSS below the datagrams': { forward: (port) => both(port, 'tcp flags syn tcp option maxseg size set 1000') },
  'ISNs changed in both directions': {
    raw: (port) =>
      `iifname "client" tcp dport ${port} tcp sequence set tcp sequence ^ 0x80000000; iifname "server" tcp sport ${port} tcp sequence set tcp sequence ^ 0x80000000`,
    last: (port) =>
      `oifname "client" tcp sport ${port} tcp ackseq set tcp ackseq ^ 0x80000000; oifname "server" tcp dport ${port} tcp flags & ack == ack tcp ackseq set tcp ackseq ^ 0x80000000`,
  },
  'no connection tracking on the hosts': {
    hosts: (port) => both(port, 'notrack'),
  },
  'no connection tracking on the router': { raw: (port) => both(port, 'notrack') },
  'a zone of its own': { raw: (port) => both(port, 'ct zone set 5') },
  'NAT that does not keep ports': { nat: (port) => `tcp dport ${port} masquerade random,fully-random` },
  'exact RSTs twice a second, which are ignored': { args: ['--ignore-rst'], bulk: 8000 },
};

/** Injects a RST with the number that is expected next behind what the router sends to and from a port, twice a second. */
const INJECTOR = `
import select, socket, struct, sys, time
port, sockets, last, sent = int(sys.argv[1]), [], {}, 0
for name in 'client', 'server':
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    raw.bind((name, 3))
    sockets.append(raw)
print('ready', flush=True)
def total(data):
    value = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while value >> 16: value = (value & 0xffff) + (value >> 16)
    return ~value & 0xffff
next_at = time.monotonic() + 1
while True:
    for raw in select.select(sockets, [], [], 0.01)[0]:
        frame, address = raw.recvfrom(65600)
        if address[2] != socket.PACKET_OUTGOING or frame[12:14] != b'\\x08\\x00' or frame[23] != 6: continue
        segment = frame[34:14 + struct.unpack('>H', frame[16:18])[0]]
        if port not in struct.unpack('>HH', segment[:4]) or segment[13] & 6: continue
        number, payload = struct.unpack('>I', segment[4:8])[0], len(segment) - (segment[12] >> 4) * 4
        last[raw] = (frame[:34], segment[:4], (number + payload) & 0xffffffff, segment[8:12])
    if time.monotonic() < next_at: continue
    next_at += 0.5
    for raw, (head, ports, number, ack) in last.items():
        ip = bytearray(head[14:34])
        ip[2:4], ip[10:12] = struct.pack('>H', 40), b'\\0\\0'
        ip[10:12] = struct.pack('>H', total(bytes(ip)))
        tcp = bytearray(ports + struct.pack('>I', number) + ack + b'\\x50\\x14\\xff\\xff\\0\\0\\0\\0')
        tcp[16:18] = struct.pack('>H', total(bytes(ip[12:20]) + b'\\0\\x06\\0\\x14' + bytes(tcp)))
        raw.send(head[:14] + bytes(ip) + bytes(tcp))
        sent += 1
    print('injected', sent, flush=True)`;

async function startInjector({ router }: Rig, port: number): Promise<RunningProgram> {
  const injector = router.start('python3', ['-c', INJECTOR, `${port}`]);
  await injector.waitFor(/ready/);
  return injector;
}

t.test('what comes through odd boxes', { skip, timeout: 300_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, router, server } = rig;
  await settled(rig);
  const boxes = Object.entries(BOXES).map(([name, box], i) => ({
    name,
    ...box,
    port: 4001 + i,
    local: 5001 + i,
    service: 7001 + i,
  }));
  const rules = (chain: 'raw' | 'forward' | 'last' | 'nat' | 'hosts'): string =>
    boxes.flatMap((box) => (box[chain] ? [box[chain](box.port)] : [])).join(';\n');
  await router.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0);
  await router.nft(`table inet boxes {
    chain raw { type filter hook prerouting priority raw; ${rules('raw')}; };
    chain forward { type filter hook forward priority -10; ${rules('forward')}; };
    chain last { type filter hook postrouting priority 300; ${rules('last')}; };
    chain nat { type nat hook postrouting priority srcnat - 10; ${rules('nat')}; }; }`);
  const tracked = rules('hosts');
  for (const host of [client, server]) {
    await host.nft(`table inet boxes { chain in { type filter hook prerouting priority raw; ${tracked}; };
      chain out { type filter hook output priority raw; ${tracked}; }; }`);
  }
  const injector = await startInjector(rig, boxes.find(({ args }) => args)!.port);
  for (const { port, service, local, args = [] } of boxes) {
    await guise(server, 'server', ['-l', `${port}`, '-r', `127.0.0.1:${service}`, ...args]);
    await guise(client, 'client', ['-l', `127.0.0.1:${local}`, '-r', `10.0.2.2:${port}`, ...args]);
  }
  for (const { name, local, service, bulk = 2000 } of boxes) {
    const there = await startPeer(server, `--bind 127.0.0.1:${service} --echo --from-all --idle 600`);
    // The first may find no connection yet.
    await ping(client, `--to 127.0.0.1:${local} --count 3`);
    const { lost, wrong } = await ping(client, `--to 127.0.0.1:${local} --count 30 --size 1400 --losses 5`);
    t.same([lost, wrong], [0, 0], `${name}: round trips`);
    const here = await startPeer(client, `--to 127.0.0.1:${local} --count ${bulk} --rate 2000 --size 1200`);
    await here.result();
    const { received, corrupted } = await there.stop();
    t.same([received, corrupted], [bulk, 0], `${name}: one way`);
  }
  t.match(injector.output, /injected \d{2}/, 'RSTs were injected');
});

t.test('RSTs that are not ignored are said to come too often', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client } = await startTunnel(rig);
  await startService(rig);
  startApplication(rig);
  await startInjector(rig, 4567);
  await client.waitFor(/3 connections were reset within a minute: .* a box on the way injects RSTs; .*ignore-rst/);
  t.match(client.output, /read ECONNRESET/);
});

t.test('a box that lets no SYN-ACK without timestamps pass is a silent one', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.router.nft(`table inet wall { chain forward { type filter hook forward priority 0;
    tcp flags & (syn | ack) == syn | ack tcp option timestamp missing counter drop; }; }`);
  await guise(rig.server, 'server', ['-l', '4567', '-r', '127.0.0.1:7000']);
  const client = await guise(rig.client, 'client', [...CLIENT, '--connect-timeout', '4']);
  startApplication(rig);
  await client.waitFor(/No answer yet to [23] SYNs from 10\.0\.1\.2 by eth0; check the address, and that firewalls/);
  await client.waitFor(/connect ETIMEDOUT/);
  t.ok((await rig.router.counter('wall', 'forward')) >= 3);
});

t.test('conntrack forgets after 30 s what guise keeps alive', { skip, timeout: 90_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await rig.router.sysctl('net.netfilter.nf_conntrack_tcp_timeout_established', 30);
  await rig.router.sysctl('net.netfilter.nf_conntrack_tcp_timeout_unacknowledged', 30);
  await rig.router.sysctl('net.netfilter.nf_conntrack_tcp_loose', 0);
  const { client } = await startTunnel(rig);
  // The service speaks first after a silence that is longer: only a connection that is known leads its datagram back.
  const service = rig.server.start(process.execPath, [
    '-e',
    `const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (message, { port }) => {
      console.log('asked');
      setTimeout(() => socket.send('late', port, '127.0.0.1'), 40_000);
    });
    socket.bind(7000, '127.0.0.1', () => console.log('ready'));`,
  ]);
  await service.waitFor(/ready/);
  const application = startApplication(rig, 'once');
  await service.waitFor(/asked/);
  const answered = (): Promise<string> => application.waitFor(/answer late/);
  await answered().catch(answered); // it waits 30 s each time
  t.notMatch(client.output, /read E/);
  t.equal(await rig.invalid(), 0);
});
