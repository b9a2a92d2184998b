/** What a tunnel runs on: a stack on the links of this host, or on a TUN with all that the host has to be set up for it. */
import type { GuiseError } from '../errors.js';
import { packetSocketsRefused } from '../fake_tcp/device.js';
import { Stack } from '../fake_tcp/stack.js';
import { Disposables } from '../host/disposables.js';
import { refusedIPv6 } from '../host/forwarding.js';
import { setUpHostNetwork } from '../host/network.js';
import { holdAddresses } from '../host/tun_addresses.js';
import { refuseTakenTun } from '../host/tun_interface.js';
import type { Endpoint } from '../wire/endpoint.js';
import type { TunnelOptions } from './options.js';

export interface StackNeeds {
  readonly role: 'client' | 'server';
  readonly options: TunnelOptions;
  readonly device: Device;
  /** The server's TCP port. */
  readonly listening?: Endpoint;
  /** Connections over IPv6, too. */
  readonly ipv6: boolean;
  /** The only family of the connections, where that is known. */
  readonly family?: 4 | 6;
  /** When the peer of a connection is probed; those of policy.ts where the tunnel opens none. */
  readonly liveness?: { readonly keepalive: number; readonly deadAfter: number };
}

export interface OpenedStack extends AsyncDisposable {
  readonly stack: Stack;
  /** Resolves with the reason when the device is gone, which can be before the rest is set up. */
  readonly lost: Promise<GuiseError>;
  /** What was set up for it, one line each. */
  readonly done: readonly string[];
  /** What the host's set-up knows of connections that are not answered, in one sentence. */
  readonly explainSilence?: () => Promise<string | undefined>;
}

/** Opens what a tunnel runs on; what is half set up when it fails is undone. */
export type OpenStack = (needs: StackNeeds) => Promise<OpenedStack>;

/** To be asked for right behind `Stack.open`: an `'error'` that nobody hears is thrown. */
export function lossOf(stack: Stack): Promise<GuiseError> {
  return new Promise((resolve) => stack.once('error', resolve));
}

/** What a tunnel runs on: what was asked for, or packet sockets where they can be had. */
export interface Device {
  readonly kind: 'packet' | 'tun';
  /** Why it is a TUN, when that was not asked for. */
  readonly because?: GuiseError;
}

/** To be asked before rights are given up. */
export function chooseDevice({ device }: TunnelOptions): Device {
  if (device !== 'auto') return { kind: device };
  const refused = packetSocketsRefused();
  return refused ? { kind: 'tun', because: refused } : { kind: 'packet' };
}

/** @throws {GuiseError} when a right, a program, an address, a port or the interface is not to be had */
export async function openHostStack(needs: StackNeeds): Promise<OpenedStack> {
  const { kind, because } = needs.device;
  if (kind === 'packet') return openPacketStack(needs);
  if (!because) return openTunStack(needs);
  const opened = await openTunStack(needs).catch(() => {
    throw because; // packet sockets need less
  });
  return { ...opened, done: [`no packet sockets, a TUN instead: ${because.message}`, ...opened.done] };
}

async function openPacketStack(needs: StackNeeds): Promise<OpenedStack> {
  const { queues, fwmark, bindDevice } = needs.options;
  const stack = await Stack.open({
    device: {
      packet: true,
      ...(queues === undefined ? {} : { queues }),
      ...(fwmark === undefined ? {} : { fwmark }),
      ...(bindDevice === undefined ? {} : { interface: bindDevice }),
    },
    ...stackOptions(needs),
  });
  return {
    stack,
    lost: lossOf(stack),
    done: [
      needs.role === 'server'
        ? 'packet sockets: nothing on the host is changed; its firewall does not see what comes to the port'
        : 'packet sockets: nothing on the host is changed',
    ],
    [Symbol.asyncDispose]: () => stack.close(),
  };
}

async function openTunStack(needs: StackNeeds): Promise<OpenedStack> {
  const { role, options, listening } = needs;
  const { tun, queues, mtu, log } = options;
  const opened = new Disposables();
  try {
    const noIPv6 = needs.ipv6 ? refusedIPv6() : undefined;
    if (noIPv6 && needs.family === 6) throw noIPv6;
    const ipv6 = needs.ipv6 && !noIPv6;
    if (tun !== undefined) await refuseTakenTun(tun);
    const { addresses } = opened.use(
      await holdAddresses({ given: options.tunAddresses, usual: options.usualAddresses, ipv6, tun }),
    );
    const stack = opened.use(
      await Stack.open({
        device: { ...(tun === undefined ? {} : { name: tun }), ...(queues === undefined ? {} : { queues }) },
        addresses: addresses.peer6 === undefined ? [addresses.peer4] : [addresses.peer4, addresses.peer6],
        ...stackOptions(needs),
      }),
    );
    const lost = lossOf(stack);
    const network = opened.use(
      await setUpHostNetwork({
        role,
        tun: stack.interfaceName!,
        addresses,
        mtu,
        firewall: options.firewall,
        warn: (sentence) => log.warn(sentence),
        ...(listening === undefined ? {} : { listening }),
      }),
    );
    const dispose = (): Promise<void> => opened[Symbol.asyncDispose]();
    const explainSilence = (): Promise<string | undefined> => network.explainSilence();
    const done = noIPv6 ? [`IPv6: off, IPv4 goes on. ${noIPv6.message}`, ...network.done] : network.done;
    return { stack, lost, done, explainSilence, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

function stackOptions({ options, liveness }: StackNeeds) {
  const { mtu, offload, idleTimeout, ignoreRst } = options;
  return { mtu, offload, idleTimeout, ignoreRst, ...liveness };
}
