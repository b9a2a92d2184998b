/** A stack on a TUN of this host, with all that the host has to be set up for it: opened together, undone together. */
import type { GuiseError } from '../errors.js';
import { Stack } from '../fake_tcp/stack.js';
import { Disposables } from '../host/disposables.js';
import { setUpHostNetwork } from '../host/network.js';
import { holdAddresses } from '../host/tun_addresses.js';
import { refuseTakenTun } from '../host/tun_interface.js';
import type { TunnelOptions } from './options.js';

export interface StackNeeds {
  readonly role: 'client' | 'server';
  readonly options: TunnelOptions;
  /** The server's TCP port. */
  readonly port?: number;
  /** IPv6 addresses on the TUN. */
  readonly ipv6: boolean;
  /** When the peer of a connection is probed; those of policy.ts where the tunnel opens none. */
  readonly liveness?: { readonly keepalive: number; readonly deadAfter: number };
}

export interface OpenedStack extends AsyncDisposable {
  readonly stack: Stack;
  /** Resolves with the reason when the device is gone, which can be before the rest is set up. */
  readonly lost: Promise<GuiseError>;
  /** What was set up for it, one line each. */
  readonly done: readonly string[];
}

/** Opens what a tunnel runs on; what is half set up when it fails is undone. */
export type OpenStack = (needs: StackNeeds) => Promise<OpenedStack>;

/** To be asked for right behind `Stack.open`: an `'error'` that nobody hears is thrown. */
export function lossOf(stack: Stack): Promise<GuiseError> {
  return new Promise((resolve) => stack.once('error', resolve));
}

/** @throws {GuiseError} when a right, a program, an address, a port or the interface is not to be had */
export async function openHostStack({ role, options, port, ipv6, liveness }: StackNeeds): Promise<OpenedStack> {
  const { tun, queues, mtu, log } = options;
  const opened = new Disposables();
  try {
    if (tun !== undefined) await refuseTakenTun(tun);
    const { addresses } = opened.use(
      await holdAddresses({ given: options.tunAddresses, usual: options.usualAddresses, ipv6, tun }),
    );
    const stack = opened.use(
      await Stack.open({
        device: { ...(tun === undefined ? {} : { name: tun }), ...(queues === undefined ? {} : { queues }) },
        addresses: addresses.peer6 === undefined ? [addresses.peer4] : [addresses.peer4, addresses.peer6],
        mtu,
        offload: options.offload,
        idleTimeout: options.idleTimeout,
        ignoreRst: options.ignoreRst,
        ...liveness,
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
        ...(port === undefined ? {} : { port }),
      }),
    );
    return { stack, lost, done: network.done, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}
