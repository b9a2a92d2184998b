/** Boxes that join or cut segments: fake TCP cannot work behind them, and must not pretend to. */
import t from 'tap';
import type { RunningProgram } from './process.js';
import { noRig, Rig } from './rig.js';
import { ping, startPeer } from './traffic.js';

const skip = noRig() ?? false;
const SAID = /EBADMSG .*Something on the path cuts or joins TCP segments/;

/**
 * Takes what goes from one of the router's links to the other, whose own forwarding is off, and sends it on: two
 * segments with data that follow each other as one, or each of more than 200 bytes as two.
 */
const BOX = `
import select, socket, struct, sys
how, macs = sys.argv[1], {}
for name, mac in zip(('client', 'server'), sys.argv[2:4]): macs[name] = bytes.fromhex(mac.replace(':', ''))
def checksum(data):
    if len(data) % 2: data += b'\\0'
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
def packet(ip, tcp, data):
    tcp = tcp[:16] + b'\\0\\0' + tcp[18:]
    size = len(tcp) + len(data)
    pseudo = ip[12:20] + struct.pack('>BBH', 0, 6, size)
    tcp = tcp[:16] + struct.pack('>H', checksum(pseudo + tcp + data)) + tcp[18:]
    ip = ip[:2] + struct.pack('>H', 20 + size) + ip[4:10] + b'\\0\\0' + ip[12:]
    return ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:] + tcp + data
def moved(tcp, by): return tcp[:4] + struct.pack('>I', (struct.unpack('>I', tcp[4:8])[0] + by) & 0xffffffff) + tcp[8:]
links = {}
for name in macs:
    links[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
    links[name].setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
    links[name].bind((name, 0x800))
print('ready', flush=True)
held = {name: None for name in macs}
def send(name, ip): links[name].send(macs[name] + links[name].getsockname()[4] + b'\\x08\\0' + ip)
while True:
    readable, _, _ = select.select(list(links.values()), [], [], 0.002 if any(held.values()) else None)
    for name, waiting in held.items():
        if waiting and links['server' if name == 'client' else 'client'] not in readable:
            send(name, packet(*waiting))
            held[name] = None
    for name, link in links.items():
        if link not in readable: continue
        frame, address = link.recvfrom(65536)
        if address[2] != socket.PACKET_HOST: continue
        to = 'server' if name == 'client' else 'client'
        ip = frame[14:34]
        total = struct.unpack('>H', ip[2:4])[0]
        rest = frame[34:14 + total]
        if ip[9] != 6: send(to, frame[14:14 + total]); continue
        head = (rest[12] >> 4) * 4
        tcp, data = rest[:head], rest[head:]
        if how == 'split' and len(data) > 200:
            send(to, packet(ip, tcp, data[:100]))
            send(to, packet(ip, moved(tcp, 100), data[100:]))
            continue
        waiting = held[to]
        if how == 'join' and data and waiting and len(waiting[2] + data) < 1400 and moved(waiting[1], len(waiting[2]))[4:8] == tcp[4:8]:
            send(to, packet(waiting[0], waiting[1], waiting[2] + data))
            held[to] = None
            continue
        if waiting: send(to, packet(*waiting)); held[to] = None
        if how == 'join' and data: held[to] = (ip, tcp, data)
        else: send(to, packet(ip, tcp, data))
`;

async function startBox(rig: Rig, how: 'join' | 'split'): Promise<RunningProgram> {
  const addresses: string[] = [];
  for (const host of [rig.client, rig.server]) {
    addresses.push((await host.run('cat', ['/sys/class/net/eth0/address'])).trim());
    // What it takes has the size that goes over a wire, and its checksum.
    await host.run('ethtool', ['-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off']);
  }
  for (const link of ['client', 'server']) await rig.router.run('ethtool', ['-K', link, 'gro', 'off', 'tx', 'off']);
  await rig.router.sysctl('net.ipv4.ip_forward', 0);
  const program = rig.router.start('python3', ['-c', BOX, how, ...addresses]);
  await program.waitFor(/^ready$/);
  return program;
}

for (const how of ['join', 'split'] as const) {
  t.test(`a box that ${how}s segments is found out at both ends`, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create();
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
    await using _ = await startBox(rig, how);
    const server = await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:7000']);
    const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:443']);
    const traffic = ping(rig.client, '--to 127.0.0.1:5000 --count 5 --size 100');
    await Promise.all([client.waitFor(SAID), server.waitFor(SAID)]);
    await traffic;
    t.match(client.output, /Trying again in a minute/);
    t.equal(client.output.split('\n').filter((line) => SAID.test(line)).length, 1, 'once');
  });
}

/** A transparent proxy: ends the connection, and opens another one to where it went. */
const PROXY = `
const net = require('node:net');
net.createServer((near) => {
  const far = net.connect(443, '10.0.2.2');
  for (const [from, to] of [[near, far], [far, near]]) {
    from.on('data', (data) => to.write(data)).on('close', () => to.destroy()).on('error', () => {});
  }
}).listen(9000, () => console.log('ready'));
`;

t.test('a TCP proxy is found out at both ends', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  await using proxy = rig.router.start(process.execPath, ['-e', PROXY]);
  await proxy.waitFor(/^ready$/);
  await rig.router.nft(`table ip proxy { chain nat { type nat hook prerouting priority dstnat;
    iifname "client" tcp dport 443 redirect to :9000; }; }`);
  const server = await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:7000']);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:443']);
  const traffic = ping(rig.client, '--to 127.0.0.1:5000 --count 20 --size 100');
  await Promise.all([client.waitFor(SAID), server.waitFor(SAID)]);
  await traffic;
  t.match(client.output, /Trying again in a minute/);
});

t.test('segments that the kernel joins and cuts again are what they were', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ noTso: true });
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  const server = await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:7000']);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:443']);
  // For as long as the probes may take.
  for (let i = 0; i < 4; i++) await ping(rig.client, '--to 127.0.0.1:5000 --count 2000 --size 1400');
  t.notMatch(client.output + server.output, SAID);
});
