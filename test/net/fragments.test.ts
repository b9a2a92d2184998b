import t from 'tap';
import { transferFile } from './file_transfer.js';
import type { RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';
import { startPeer } from './traffic.js';
import { wireGuard } from './wireguard.js';

const skip = noRig() ?? false;
// Behind a TUN the kernel puts fragments together, behind packet sockets guise does. One worker: of two, one may get the
// fragments of a connection and the other what is whole, and then nothing keeps them in order.
const COMMON = ['--device', 'packet', '--queues', '1'];

/** The largest packet that the path takes whole. */
const PATH_MTU = 800;

/** A router that takes DF away, as some do in front of links that carry less, and fragments what it forwards. */
async function fragmentOnTheWay({ router }: Rig): Promise<void> {
  await router.nft(`table ip rig_fragments { chain prerouting { type filter hook prerouting priority raw;
    ip frag-off & 0x4000 != 0 ip frag-off set 0; }; }`);
  for (const [name, net] of [
    ['client', 1],
    ['server', 2],
  ]) {
    await router.run('ip', ['route', 'change', `10.0.${net}.0/24`, 'dev', `${name}`, 'mtu', `${PATH_MTU}`]);
  }
}

/** Counts the fragments that a host is sent, before it puts them together itself. */
async function countFragments(host: Host): Promise<() => Promise<number>> {
  await host.nft(`table inet fragments {
    chain ipv4 { type filter hook prerouting priority -450; ip frag-off & 0x3fff != 0 counter; };
    chain ipv6 { type filter hook prerouting priority -450; exthdr frag exists counter; }; }`);
  return async () => (await host.counter('fragments', 'ipv4')) + (await host.counter('fragments', 'ipv6'));
}

/**
 * Sends each IPv6 segment with a payload on from one interface to another in fragments, the last first, and the first
 * twice. An IPv6 router fragments nothing: it is to drop these segments.
 */
const FRAGMENTER = `
import socket, struct, sys
source, to, port, neighbour = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4].replace(':', ''))
IPV6, TCP, FRAGMENT, SYN, SIZE = 0x86dd, 6, 44, 2, 504
taken = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV6))
taken.setsockopt(socket.SOL_SOCKET, 33, 8 << 20) # SO_RCVBUFFORCE: what waited for the handshake comes at once
taken.bind((source, IPV6))
sent = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sent.bind((to, IPV6))
own = sent.getsockname()[4]
print('ready', flush=True)
for identification in range(1, 1 << 32):
    frame, address = taken.recvfrom(65536)
    header, segment = frame[14:54], frame[54:]
    if address[2] != socket.PACKET_HOST or header[6] != TCP or len(segment) <= 20 or segment[13] & SYN: continue
    if port not in struct.unpack('>HH', segment[:4]): continue
    pieces = []
    for at in range(0, len(segment), SIZE):
        data = segment[at:at + SIZE]
        place = at | (at + SIZE < len(segment))
        fragment = struct.pack('>BBHI', TCP, 0, place, identification) + data
        changed = header[:4] + struct.pack('>HB', len(fragment), FRAGMENT) + header[7:]
        pieces.append(neighbour + own + struct.pack('>H', IPV6) + changed + fragment)
    for piece in [*reversed(pieces), *pieces[:len(pieces) > 2]]: sent.send(piece)
`;

async function startFragmenter(rig: Rig, from: 'client' | 'server', to: 'client' | 'server'): Promise<RunningProgram> {
  const address = (await rig[to].run('cat', ['/sys/class/net/eth0/address'])).trim();
  // A capture sees checksums that are left to the device before it has made them.
  await rig[from].run('ethtool', ['-K', 'eth0', 'tx', 'off']);
  const program = rig.router.start('python3', ['-c', FRAGMENTER, from, to, '4567', address]);
  await program.waitFor(/^ready$/);
  return program;
}

t.test('segments that a router fragments arrive as if it had not, both ways', { skip, timeout: 60_000 }, async (t) => {
  for (const offload of [[], ['--no-offload']]) {
    await using rig = await Rig.create();
    await fragmentOnTheWay(rig);
    const counts = [await countFragments(rig.client), await countFragments(rig.server)];
    await rig.server.guise('server', ['--local', '4567', '--remote', '127.0.0.1:7000', ...COMMON, ...offload]);
    await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:4567', ...COMMON, ...offload]);
    const there = await startPeer(rig.server, '--bind 127.0.0.1:7000 --count 10000 --rate 4000 --size 1-1460');
    const here = await startPeer(rig.client, '--to 127.0.0.1:5000 --count 10000 --rate 4000 --size 1-1460');
    for (const result of [await here.result(), await there.result()]) {
      t.same([result.received, result.corrupted, result.reordered, result.duplicated], [10_000, 0, 0, 0]);
    }
    for (const count of counts) t.ok((await count()) > 5000, `${await count()} fragments`);
  }
});

t.test('WireGuard goes through a path that fragments', { skip, timeout: 90_000 }, async (t) => {
  await using rig = await Rig.create();
  await fragmentOnTheWay(rig);
  const count = await countFragments(rig.server);
  await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:51820', ...COMMON]);
  await rig.client.guise('client', ['--local', '127.0.0.1:51821', '--remote', '10.0.2.2:443', ...COMMON]);
  await wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: '127.0.0.1:51821' },
    { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
    1428,
  );
  await rig.client.run('ping', ['-c', '3', '-i', '0.2', '-M', 'do', '-s', '1400', '10.9.0.2']);
  const file = await transferFile({ from: rig.client, to: rig.server, address: '10.9.0.2', bytes: 8 << 20 });
  t.equal(file.received, file.sent);
  t.ok((await count()) > (8 << 20) / PATH_MTU, `${await count()} fragments`);
});

t.test('IPv6 fragments in any order, some of them twice, make datagrams', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  // New links take up to a second until IPv6 goes over them.
  await rig.client.run('ping', ['-q', '-c', '1', '-i', '0.2', '-w', '10', rig.server.address6]);
  // What the fragmenter passes on goes past the router's NAT.
  await rig.router.nft('flush chain inet rig nat');
  await rig.router.nft(`table ip6 rig_fragments { chain forward { type filter hook forward priority filter;
    ip6 length > 20 tcp flags & syn == 0 tcp dport 4567 drop; ip6 length > 20 tcp flags & syn == 0 tcp sport 4567 drop; }; }`);
  await startFragmenter(rig, 'client', 'server');
  await startFragmenter(rig, 'server', 'client');
  const counts = [await countFragments(rig.client), await countFragments(rig.server)];
  const own = [...COMMON, '--no-offload']; // what a link carries, one by one
  await rig.server.guise('server', ['--local', '4567', '--remote', '[::1]:7000', ...own]);
  await rig.client.guise('client', ['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567', ...own]);
  const there = await startPeer(rig.server, '--bind [::1]:7000 --count 4000 --rate 1000 --size 1-1440');
  const here = await startPeer(rig.client, '--to [::1]:5000 --count 4000 --rate 1000 --size 1-1440');
  for (const result of [await here.result(), await there.result()]) {
    t.same([result.received, result.corrupted, result.reordered, result.duplicated], [4000, 0, 0, 0]);
  }
  for (const count of counts) t.ok((await count()) > 4000, `${await count()} fragments`);
});
