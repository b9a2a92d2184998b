/** Packet sockets on hosts that are built otherwise: several uplinks, bridges, containers, virtual routers, loopback. */
import t from 'tap';
import { guise, losses, SERVER, settled, startEcho, startTunnel, CLIENT } from './packet_path.js';
import { run } from './process.js';
import { Host, noRig, Rig } from './rig.js';
import { ping } from './traffic.js';

const skip = noRig() ?? false;

async function ip(host: Host, ...commands: string[]): Promise<void> {
  for (const command of commands) await host.run('ip', command.split(' '));
}

/** Packets from the server's port that the router has got on a link. */
async function count(rig: Rig, ...links: string[]): Promise<() => Promise<number[]>> {
  const chains = links.map(
    (link) => `chain from_${link} { type filter hook prerouting priority raw;
    iifname "${link}" tcp sport 4567 counter; };`,
  );
  await rig.router.nft(`table inet rig { ${chains.join('\n')} }`);
  return () => Promise.all(links.map((link) => rig.router.counter('rig', `from_${link}`)));
}

t.test('answers leave by the uplink that the SYN came by', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { router, server } = rig;
  const link = `link add eth1 netns ${server.name} type veth peer name server2 netns ${router.name}`;
  await run('ip', link.split(' '));
  await ip(server, 'address add 10.0.4.2/24 dev eth1', 'link set eth1 up');
  await ip(router, 'address add 10.0.4.1/24 dev server2', 'link set server2 up');
  // All that is not of the network of eth1 goes by eth0.
  t.match(await server.run('ip', ['route', 'get', '10.0.1.2', 'from', '10.0.4.2']), /dev eth0/);
  const counters = await count(rig, 'server', 'server2');
  await startTunnel(rig, ['--local', '127.0.0.1:5000', '--remote', '10.0.4.2:4567']);
  await startEcho(server);
  t.same(await losses(rig.client), [0, 0]);
  const [first, second] = await counters();
  t.equal(first, 0);
  t.ok(second! >= 40, `${second} by the second`);
});

t.test(
  'a default route of router advertisements stays',
  { skip: skip || !(await hasPython()), timeout: 60_000 },
  async (t) => {
    await using rig = await Rig.create();
    const { client, router } = rig;
    await client.sysctl('net.ipv6.conf.all.forwarding', 0); // a new namespace takes it from the host
    await client.sysctl('net.ipv6.conf.eth0.accept_ra', 1);
    await ip(client, '-6 route delete default');
    await settled(rig);
    const route = async (): Promise<string> => client.run('ip', ['-6', 'route', 'show', 'default']);
    while (!(await route()).includes('proto ra')) await router.run('python3', ['-c', ADVERTISE, 'client']);
    const advertised = /default via fe80::\S+ dev eth0 proto ra/;
    const running = await startTunnel(rig, ['--local', '127.0.0.1:5000', '--remote', '[fd00:2::2]:4567']);
    await startEcho(rig.server);
    t.same(await losses(client), [0, 0]);
    t.match(await route(), advertised, 'while it runs');
    await running.client.stop();
    t.match(await route(), advertised, 'when it has ended');
  },
);

/** Moves the server's address to an interface on top of eth0. */
const ON_TOP = {
  bridge: ['link add br0 type bridge', 'link set eth0 master br0', 'link set br0 up'],
  macvlan: ['link add link eth0 name mv0 type macvlan mode bridge', 'link set mv0 up'],
} as const;
for (const [kind, commands] of Object.entries(ON_TOP)) {
  t.test(`the server's address is on a ${kind}`, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create({ strict: true });
    const name = kind === 'bridge' ? 'br0' : 'mv0';
    await ip(rig.server, ...commands, 'address flush dev eth0', '-6 route flush dev eth0');
    await ip(rig.server, `address add 10.0.2.2/24 dev ${name}`, `address add fd00:2::2/64 dev ${name} nodad`);
    await ip(rig.server, 'route add default via 10.0.2.1', '-6 route replace default via fd00:2::1');
    await settled(rig);
    await startTunnel(rig);
    await guise(rig.client, 'client', ['--local', '[::1]:5000', '--remote', '[fd00:2::2]:4567']);
    await startEcho(rig.server);
    t.same(await losses(rig.client), [0, 0], 'IPv4');
    t.same(await losses(rig.client, '[::1]:5000'), [0, 0], 'IPv6');
    t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
  });
}

/** A host in a network of its own behind a bridge of another, which masquerades it, and leads TCP port 4567 to it. */
class Container extends Host implements AsyncDisposable {
  static async create(on: Host): Promise<Container> {
    const container = new Container(`${on.name}-box`, '172.30.0.2', '');
    await run('ip', ['netns', 'add', container.name]);
    await ip(on, 'link add docker9 type bridge', 'address add 172.30.0.1/24 dev docker9', 'link set docker9 up');
    await ip(on, `link add box master docker9 type veth peer name eth0 netns ${container.name}`, 'link set box up');
    await ip(container, 'link set lo up', 'address add 172.30.0.2/24 dev eth0', 'link set eth0 up');
    await ip(container, 'route add default via 172.30.0.1');
    await on.sysctl('net.ipv4.ip_forward', 1);
    await on.nft(`table inet containers {
      chain published { type nat hook prerouting priority dstnat; iifname "eth0" tcp dport 4567 dnat ip to 172.30.0.2; };
      chain leaving { type nat hook postrouting priority srcnat; ip saddr 172.30.0.0/24 oifname "eth0" masquerade; }; }`);
    return container;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAll();
    await run('ip', ['netns', 'delete', this.name]);
  }
}

t.test('both ends are in containers', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create({ strict: true });
  await using client = await Container.create(rig.client);
  await using server = await Container.create(rig.server);
  await guise(server, 'server', SERVER);
  await guise(client, 'client', CLIENT);
  await startEcho(server);
  t.same(await losses(client), [0, 0]);
  t.equal(await rig.invalid(), 0, 'conntrack finds nothing invalid');
});

t.test('both ends are on one host', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const host = rig.server;
  await guise(host, 'server', SERVER);
  await startEcho(host);
  const addresses = ['127.0.0.1', '10.0.2.2', '[::1]', '[fd00:2::2]'];
  for (const [i, address] of addresses.entries()) {
    await guise(host, 'client', ['--local', `127.0.0.1:500${i}`, '--remote', `${address}:4567`]);
    t.same(await losses(host, `127.0.0.1:500${i}`), [0, 0], address);
  }
});

t.test('the uplink has no link header', { skip: skip || !(await hasPython()), timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  await rig.router.nft('flush chain inet rig nat'); // either end may begin
  for (const [host, peer, own] of [
    [rig.client, '10.0.2.2', '10.9.0.1'],
    [rig.server, '10.0.1.2', '10.9.0.2'],
  ] as const) {
    const tunnel = host.start('python3', ['-c', TUNNEL, peer]);
    await tunnel.waitFor(/ready/);
    await ip(host, `address add ${own}/24 dev vpn0`, 'link set vpn0 mtu 1400 up');
  }
  await startTunnel(
    rig,
    ['--local', '127.0.0.1:5000', '--remote', '10.9.0.2:4567', '--mtu', '1400'],
    [...SERVER, '--mtu', '1400'],
  );
  await startEcho(rig.server);
  const { lost, wrong } = await ping(rig.client, '--to 127.0.0.1:5000 --count 20 --size 1300');
  t.same([lost, wrong], [0, 0]);
});

// VRRP (RFC 5798 §7.3): the virtual router's link address is that which answers ARP, what it passes on may come from its
// own.
t.test('a gateway answers ARP with another address than it sends from', { skip, timeout: 60_000 }, async (t) => {
  await using rig = await Rig.create();
  const { client, router } = rig;
  await ip(router, 'link add link client name vrrp address 00:00:5e:00:01:01 type macvlan mode private');
  await ip(router, 'address add 10.0.1.254/32 dev vrrp', 'link set vrrp up');
  for (const [name, value] of [
    ['client.arp_ignore', 1],
    ['all.rp_filter', 0],
    ['vrrp.rp_filter', 0],
    ['client.rp_filter', 0],
  ] as const) {
    await router.sysctl(`net.ipv4.conf.${name}`, value);
  }
  await ip(client, 'route replace default via 10.0.1.254');
  await startTunnel(rig);
  await startEcho(rig.server);
  t.same(await losses(client), [0, 0]);
  t.match(await client.run('ip', ['neighbour', 'show', '10.0.1.254']), /00:00:5e:00:01:01/);
});

async function hasPython(): Promise<boolean> {
  return run('python3', ['--version']).then(Boolean, () => false);
}

/** A router advertisement (RFC 4861 §4.2) with a lifetime of 1800 s to all nodes; the kernel adds the checksum. */
const ADVERTISE = `
import socket, struct, sys
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
link = socket.if_nametoindex(sys.argv[1])
raw.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), ('ff02::1', 0, 0, link))`;

/** Carries the packets of a TUN by UDP, as a VPN does. */
const TUNNEL = `
import fcntl, os, select, socket, struct, sys
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'vpn0', 0x1001))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('', 9000))
print('ready', flush=True)
while True:
    for ready in select.select([tun, udp], [], [])[0]:
        if ready is tun: udp.sendto(os.read(tun, 65535), (sys.argv[1], 9000))
        else: os.write(tun, udp.recv(65535))`;
