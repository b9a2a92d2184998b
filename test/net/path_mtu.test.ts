/** Paths that carry less than an Ethernet's packets, as WireGuard meets them. */
import t, { type Test } from 'tap';
import { transferFile } from './file_transfer.js';
import type { RunningProgram } from './process.js';
import { noRig, Rig, type Host } from './rig.js';
import { ping, startPeer } from './traffic.js';
import { wireGuard } from './wireguard.js';

const skip = noRig() ?? false;
/** Every cell of the matrix, not only those that differ most: `PATHS=all`. */
const all = process.env['PATHS'] === 'all';
t.jobs = 4;

type Place = 'uplink' | 'middle' | 'server side';

interface Cell {
  readonly family: 4 | 6;
  /** Bytes of the largest packet that the path carries. */
  readonly mtu: number;
  readonly place: Place;
  /** ICMP errors do not arrive. */
  readonly filtered: boolean;
  /** The router lowers the MSS in SYNs. */
  readonly clamped: boolean;
  readonly device: 'packet' | 'tun';
}

/** WireGuard's MTU on a path of 1500. */
const WIREGUARD = { 4: 1428, 6: 1408 } as const;
const LOST = /datagrams of more than (\d+) bytes are lost, so set MTU = (\d+) in WireGuard on both ends/;

function cells(): Cell[] {
  const found: Cell[] = [];
  for (const family of [4, 6] as const)
    for (const mtu of [1500, 1492, 1400, 1280])
      for (const place of ['uplink', 'middle', 'server side'] as const)
        for (const filtered of [false, true])
          for (const clamped of [false, true])
            for (const device of ['packet', 'tun'] as const)
              found.push({ family, mtu, place, filtered, clamped, device });
  return found.filter((cell) => all || isTold(cell));
}

/** All of one MTU, and of the others where nobody but a router or a probe tells. */
function isTold({ family, mtu, place, filtered, clamped, device }: Cell): boolean {
  if (mtu === 1500) return place === 'middle' && !filtered && !clamped && device === 'packet';
  if (device === 'tun') return mtu === 1400 && family === 4 && !clamped;
  return mtu === 1400 || (place === 'middle' && filtered && !clamped);
}

function nameOf({ family, mtu, place, filtered, clamped, device }: Cell): string {
  const parts = [`IPv${family}, ${mtu} bytes`, place, ...(filtered ? ['no ICMP'] : []), ...(clamped ? ['MSS'] : [])];
  return `${parts.join(', ')}${device === 'tun' ? ', TUN' : ''}`;
}

/** Gives both ends of a link an MTU; in the middle, where neither host sees it, the router's routes. */
async function narrow({ client, router, server }: Rig, place: Place, mtu: number): Promise<void> {
  const setLink = (host: Host, link: string): Promise<string> => host.run('ip', ['link', 'set', link, 'mtu', `${mtu}`]);
  switch (place) {
    case 'uplink':
      await setLink(client, 'eth0');
      await setLink(router, 'client');
      return;
    case 'server side':
      await setLink(server, 'eth0');
      await setLink(router, 'server');
      return;
    case 'middle':
      for (const [link, net] of [
        ['client', 1],
        ['server', 2],
      ] as const) {
        const by = ['dev', link, 'mtu', `${mtu}`];
        await router.run('ip', ['route', 'change', `10.0.${net}.0/24`, ...by]);
        await router.run('ip', ['-6', 'route', 'add', `fd00:${net}::/64`, 'metric', '1', ...by]);
      }
  }
}

/** No ICMP error gets through the router, nor leaves it. */
async function filterIcmp({ router }: Rig): Promise<void> {
  const errors =
    'icmp type destination-unreachable drop; icmpv6 type { destination-unreachable, packet-too-big } drop;';
  await router.nft(`table inet mute {
    chain forward { type filter hook forward priority 0; ${errors} };
    chain output { type filter hook output priority 0; ${errors} };
  }`);
}

async function clampMss({ router }: Rig): Promise<void> {
  await router.nft(`table inet clamp { chain forward { type filter hook forward priority mangle;
    tcp flags syn tcp option maxseg size set rt mtu; }; }`);
}

interface Tunnel {
  readonly client: RunningProgram;
  readonly server: RunningProgram;
}

async function startTunnel(rig: Rig, { family, device }: Pick<Cell, 'family' | 'device'>): Promise<Tunnel> {
  const to = family === 4 ? '10.0.2.2:443' : '[fd00:2::2]:443';
  const by = ['--device', device];
  const server = await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:51820', ...by]);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:51821', '--remote', to, ...by]);
  return { client, server };
}

function startWireGuard(rig: Rig, mtu: number): ReturnType<typeof wireGuard> {
  return wireGuard(
    { host: rig.client, address: '10.9.0.1/24', endpoint: '127.0.0.1:51821' },
    { host: rig.server, address: '10.9.0.2/24', listenPort: 51820 },
    mtu,
  );
}

/** A file goes through the WireGuard, both ways. */
async function checkFiles(t: Test, rig: Rig): Promise<void> {
  const bytes = 256 << 10;
  const up = await transferFile({ from: rig.client, to: rig.server, address: '10.9.0.2', bytes });
  t.equal(up.received, up.sent, 'up');
  const down = await transferFile({ from: rig.server, to: rig.client, address: '10.9.0.1', bytes });
  t.equal(down.received, down.sent, 'down');
}

for (const cell of cells()) {
  t.test(nameOf(cell), { skip, timeout: 90_000 }, async (t) => {
    const { family, mtu, place, filtered, clamped } = cell;
    await using rig = await Rig.create({ strict: true });
    await narrow(rig, place, mtu);
    if (filtered) await filterIcmp(rig);
    if (clamped) await clampMss(rig);
    const tunnel = await startTunnel(rig, cell);
    const { interfaces } = await startWireGuard(rig, WIREGUARD[family]);
    if (family === 6 && mtu < 1500) {
      // Datagrams that fill a segment, from both ends.
      const [near, far] = interfaces;
      for (const [host, to] of [
        [rig.client, '10.9.0.2'],
        [rig.server, '10.9.0.1'],
      ] as const)
        host.start('ping', ['-i', '0.2', '-s', '1380', to]);
      for (const end of [tunnel.client, tunnel.server]) {
        const [, most, advised] = LOST.exec(await end.waitFor(LOST))!;
        t.ok(Number(most) <= mtu - 60 && Number(most) > mtu - 80, `datagrams of ${most} bytes`);
        t.equal(Number(advised), Number(most) - 32, 'as WireGuard wraps them');
      }
      await rig.client.run('ip', ['link', 'set', near, 'mtu', `${mtu - 92}`]);
      await rig.server.run('ip', ['link', 'set', far, 'mtu', `${mtu - 92}`]);
    }
    await checkFiles(t, rig);
    t.equal(await rig.invalid(), 0);
  });
}

t.test(
  'where fragments do not arrive either, datagrams that do not fit are named',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await narrow(rig, 'middle', 1400);
    // Before the kernel puts them together.
    await rig.router.nft(`table ip cut { chain prerouting { type filter hook prerouting priority -450;
    ip frag-off & 0x3fff != 0 counter drop; }; }`);
    const { client } = await startTunnel(rig, { family: 4, device: 'packet' });
    await startWireGuard(rig, WIREGUARD[4]);
    rig.client.start('ping', ['-i', '0.2', '-s', '1400', '10.9.0.2']);
    const [, most] = LOST.exec(await client.waitFor(LOST))!;
    t.equal(most, '1360');
    await client.waitFor(/dropped \(pathMtu\)/);
  },
);

/**
 * Watches a link for a segment of the client's with data, and sends ICMP errors that quote it: that no more than 1000
 * bytes get through, with `shift` added to its number.
 */
const FORGER = `
import socket, struct, sys
link, shift = sys.argv[1], int(sys.argv[2])
def checksum(data):
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
taken = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
taken.bind((link, 0x800))
print('ready', flush=True)
while True:
    frame, _ = taken.recvfrom(65536)
    ip = frame[14:]
    if ip[9] != 6 or ip[12:16] != socket.inet_aton('10.0.1.2') or len(ip) < 400: continue
    ports, number = ip[20:24], struct.unpack('>I', ip[24:28])[0]
    quoted = ip[:20] + ports + struct.pack('>I', (number + shift) & 0xffffffff)
    body = struct.pack('>BBHHH', 3, 4, 0, 0, 1000) + quoted
    body = body[:2] + struct.pack('>H', checksum(body)) + body[4:]
    header = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(body), 0, 0, 64, 1, 0) + ip[16:20] + ip[12:16]
    header = header[:10] + struct.pack('>H', checksum(header)) + header[12:]
    taken.send(frame[6:12] + frame[:6] + b'\\x08\\x00' + header + body)
    print('sent', flush=True)
`;

t.test('ICMP errors that quote nothing that is under way change nothing', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
  await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:7000']);
  const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:443']);
  const send = (): ReturnType<typeof ping> => ping(rig.client, '--to 127.0.0.1:5000 --count 100 --size 1400');
  await send();
  // Ahead of what was sent, and behind what was acknowledged.
  for (const shift of [1 << 20, -(1 << 20)]) {
    await using forger = rig.router.start('python3', ['-c', FORGER, 'client', `${shift}`]);
    await forger.waitFor(/^ready/);
    await send();
    await forger.waitFor(/^sent/);
    await send();
  }
  t.notMatch(client.output, /packets to 10\.0\.2\.2 have/);
  await using honest = rig.router.start('python3', ['-c', FORGER, 'client', '0']);
  await honest.waitFor(/^ready/);
  await send();
  await client.waitFor(/packets to 10\.0\.2\.2 have at most 1000 bytes, since the router 10\.0\.2\.2 says so/);
});

t.test(
  'a route that carries less from now on is followed; what one end is told, the other hears',
  { skip, timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    await startPeer(rig.server, '--bind 127.0.0.1:7000 --echo --from-all --idle 600');
    await rig.server.guise('server', ['--local', '443', '--remote', '127.0.0.1:7000', '--mtu', '1450']);
    const client = await rig.client.guise('client', ['--local', '127.0.0.1:5000', '--remote', '10.0.2.2:443']);
    const flow = (): ReturnType<typeof ping> => ping(rig.client, '--to 127.0.0.1:5000 --count 20 --size 1430');
    await flow();
    await client.waitFor(/packets to 10\.0\.2\.2 have at most 1450 bytes, since the other end says so/);
    await rig.client.run('ip', ['route', 'change', 'default', 'via', '10.0.1.1', 'mtu', '1300']);
    const said = client.waitFor(/packets to 10\.0\.2\.2 have at most 1300 bytes, since this host's route or interface/);
    while (!(await Promise.race([said.then(() => true), flow().then(() => false)])));
    await said;
    t.equal((await flow()).lost, 0, 'in fragments');
  },
);
