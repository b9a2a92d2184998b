/** Packet sockets: links, addresses and gateways that change under a connection, which goes on or is replaced. */
import t from 'tap';
import { answers, startApplication, startService } from './application.js';
import { CLIENT, IMPATIENT, startTunnel } from './packet_path.js';
import { run } from './process.js';
import { noRig, Rig, type Host } from './rig.js';

const skip = noRig() ?? false;
type Part = 'client' | 'server';
const OTHER = '02:00:00:00:00:99';

const netOf = (part: Part): number => (part === 'client' ? 1 : 2);

async function ip(host: Host, command: string): Promise<string> {
  return host.run('ip', command.split(' '));
}

async function hardwareAddress(host: Host, device: string): Promise<string> {
  return /link\/ether (\S+)/.exec(await ip(host, `link show dev ${device}`))![1]!;
}

/** What a host that configures a link does when it comes up. */
async function bringUp(rig: Rig, part: Part, device = 'eth0'): Promise<void> {
  await ip(rig[part], `link set ${device} up`);
  await ip(rig[part], `route replace default via 10.0.${netOf(part)}.1`);
}

async function downAndUp(rig: Rig, part: Part): Promise<void> {
  await ip(rig[part], 'link set eth0 down');
  await bringUp(rig, part);
}

async function rename(rig: Rig, part: Part): Promise<void> {
  await ip(rig[part], 'link set eth0 down');
  await ip(rig[part], 'link set eth0 name lan7');
  await bringUp(rig, part, 'lan7');
}

/** Another link to the same router; the router's end is as it was. */
async function replace(rig: Rig, part: Part, address?: string): Promise<void> {
  const [host, router, net] = [rig[part], rig.router, netOf(part)];
  const own = address ?? (await hardwareAddress(host, 'eth0'));
  const routers = await hardwareAddress(router, part);
  await ip(host, 'link delete eth0');
  const end = `netns ${router.name} address ${routers}`;
  const link = `link add eth0 address ${own} netns ${host.name} type veth peer name ${part} ${end}`;
  await run('ip', link.split(' '));
  await ip(router, `address add 10.0.${net}.1/24 dev ${part}`);
  await ip(router, `link set ${part} up`);
  await ip(host, `address add 10.0.${net}.2/24 dev eth0`);
  await bringUp(rig, part);
}

/** As another lease of DHCP. */
async function changeAddress({ client }: Rig): Promise<void> {
  await ip(client, 'address delete 10.0.1.2/24 dev eth0');
  await ip(client, 'address add 10.0.1.3/24 dev eth0');
  await ip(client, 'route replace default via 10.0.1.1');
}

/** Another router takes over, at another address. */
async function changeGateway({ client, router }: Rig): Promise<void> {
  await ip(router, `link set client address ${OTHER}`);
  await ip(router, 'address delete 10.0.1.1/24 dev client');
  await ip(router, 'address add 10.0.1.9/24 dev client');
  await ip(client, 'route replace default via 10.0.1.9');
}

/** Another router takes over the address, and says so (RFC 5227 §3). */
async function takeOverGateway({ client, router }: Rig): Promise<void> {
  await ip(router, `link set client address ${OTHER}`);
  await ip(client, `neighbour replace 10.0.1.1 lladdr ${OTHER} dev eth0 nud stale`);
}

const CHANGES: readonly (readonly [name: string, change: (rig: Rig) => Promise<void>])[] = [
  ...(['client', 'server'] as const).flatMap((part) => [
    [`the ${part}'s link goes down and up`, (rig: Rig) => downAndUp(rig, part)] as const,
    [`the ${part}'s interface is renamed`, (rig: Rig) => rename(rig, part)] as const,
    [`the ${part}'s interface is replaced`, (rig: Rig) => replace(rig, part)] as const,
    [`the ${part}'s interface is replaced by another`, (rig: Rig) => replace(rig, part, OTHER)] as const,
  ]),
  ['the client has another address', changeAddress],
  ['the client has another gateway', changeGateway],
  ["the client's gateway has another link address", takeOverGateway],
];

for (const [name, change] of CHANGES) {
  t.test(name, { skip, timeout: 60_000 }, async (t) => {
    await using rig = await Rig.create();
    await startTunnel(rig, [...CLIENT, ...IMPATIENT]);
    await startService(rig);
    const application = startApplication(rig);
    await answers(application, 5);
    await change(rig);
    await answers(application, 20);
    t.notMatch(application.output, /error/);
  });
}
