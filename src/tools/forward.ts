/**
 * A transparent forwarder: TCP, UDP and pings that come by a TUN go to the real network, by sockets of the kernel. It
 * needs no right beyond the TUN.
 *
 *     sudo sh -c "ip tuntap add dev tuna mode tun user $USER; ip address add 10.9.0.1/16 dev tuna; ip link set tuna up"
 *     guise netstack forward --out eth0
 *     sudo ip link del tuna
 */
import { networkInterfaces } from 'node:os';
import { normalAddress } from '../wire/address.js';
import { Network } from './network.js';
import { relay } from './relay.js';
import { checkPlaces, openStack, readFlags, serve, TUN_FLAG, wrongUsage } from './tool.js';

export const HELP = `guise netstack forward [--tun NAME] [--out INTERFACE|ADDRESS]…

Leads TCP, UDP and pings that come by the TUN to the address that they are for, by sockets of the kernel.

  --out INTERFACE|ADDRESS   leaves from the addresses of this interface, or from this address of the host

Where the TUN has the default route, what leaves has to find another one:
  ip rule add from ADDRESS lookup 100; ip route add default via GATEWAY dev INTERFACE table 100`;

export async function run(args: readonly string[], signal: AbortSignal): Promise<void> {
  const options = { ...TUN_FLAG, out: { type: 'string', multiple: true } } as const;
  const { values, positionals } = readFlags('forward', args, options);
  checkPlaces('forward', positionals, 0);
  const network = new Network(values.out?.flatMap(addressesOf));
  await using stack = await openStack(values.tun, { onPing: (request) => network.ping(request) });
  relay(stack, network);
  await serve(stack, signal);
}

/** Of an interface, those that reach beyond its own link; an address of the host by itself. */
function addressesOf(out: string): readonly string[] {
  const all = networkInterfaces();
  const found = all[out]?.filter(({ scopeid = 0 }) => scopeid === 0).map(({ address }) => address);
  if (found?.length) return found;
  const address = Object.values(all)
    .flatMap((each) => each ?? [])
    .find((each) => each.address === out)?.address;
  if (address === undefined) throw wrongUsage('forward', `--out: this host has no interface and no address "${out}"`);
  return [normalAddress(address)];
}
