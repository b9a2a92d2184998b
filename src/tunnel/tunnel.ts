/** What client and server do alike: open the stack, set up the host, say so, watch for drops, undo all of it. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { holdAddresses } from '../host/tun_addresses.js';
import { refuseTakenTun } from '../host/tun_interface.js';
import { setUpHostNetwork } from '../host/network.js';
import { dropPrivileges } from '../daemon/privileges.js';
import { Stack } from '../fake_tcp/stack.js';
import { dropAdvice, type GuiseError } from '../errors.js';
import { wireGuardMtu } from './mtu.js';
import type { TunnelOptions } from './options.js';
import { HOST, OBSERVE } from '../policy.js';

export interface Part {
  readonly role: 'client' | 'server';
  readonly options: TunnelOptions;
  /** The server's TCP port. */
  readonly port?: number;
  /** First lines of the start block. */
  readonly title: readonly string[];
  /** IP family of the fake TCP leg, where it is known. */
  readonly family?: 4 | 6;
  /** When the peer of a connection is probed; those of fake_tcp/liveness.ts where it opens none. */
  readonly liveness?: { readonly keepalive: number; readonly silence: number };
  /** IPv6 addresses on the TUN. */
  readonly ipv6: boolean;
  /** Called with the open stack; what it starts ends when `signal` aborts, with the stack. */
  readonly start: (stack: Stack, signal: AbortSignal) => void;
}

/**
 * Runs until the signal aborts; then everything is undone. An interface that somebody deletes is made again. Whatever
 * needs more rights than that comes before: this process gives up all others.
 */
export async function runTunnel(part: Part): Promise<void> {
  const { log, signal } = part.options;
  const privileges = dropPrivileges();
  for (;;) {
    const lost = await runOnce(part, privileges);
    if (!lost) return;
    log.warn(`${lost.message} Setting it up again.`);
    await delay(HOST.reopenWait, undefined, { signal }).catch(() => {});
  }
}

/** The reason for which the tunnel ended before it was asked to, or undefined. */
async function runOnce(part: Part, privileges: string): Promise<GuiseError | undefined> {
  const { role, options, port, title, family, liveness, ipv6, start } = part;
  const { log, signal, mtu } = options;
  const { tun, queues } = options;
  if (tun) await refuseTakenTun(tun);
  await using held = await holdAddresses({ given: options.tunAddresses, usual: options.usualAddresses, ipv6, tun });
  const { addresses } = held;
  await using stack = await Stack.open({
    device: { ...(tun === undefined ? {} : { name: tun }), ...(queues === undefined ? {} : { queues }) },
    addresses: addresses.peer6 === undefined ? [addresses.peer4] : [addresses.peer4, addresses.peer6],
    mtu,
    offload: options.offload,
    idleTimeout: options.idleTimeout,
    ignoreReset: options.ignoreRst,
    ...liveness,
  });
  await using network = await setUpHostNetwork({
    role,
    tun: stack.interfaceName!,
    addresses,
    mtu,
    firewall: options.firewall,
    warn: (sentence) => log.warn(sentence),
    ...(port === undefined ? {} : { port }),
  });
  const running = new AbortController();
  start(stack, running.signal);
  for (const line of [...title, ...network.done, privileges, mtuLine(mtu, family), offloadLine(stack)]) log.info(line);
  const watch = setInterval(watchDrops(stack, log.warn.bind(log)), OBSERVE.dropInterval);
  log.info(`ready (pid ${process.pid})`);
  const lost = await endOf(stack, signal);
  running.abort();
  clearInterval(watch);
  if (lost) return lost;
  const open = [...stack.sockets].length;
  log.info(`closing${open > 0 ? ` ${open} connection${open > 1 ? 's' : ''}` : ''}`);
  await stack.close();
  return undefined;
}

/** Resolves when the signal aborts, or with the error when the device is gone. */
async function endOf(stack: Stack, signal: AbortSignal): Promise<GuiseError | undefined> {
  try {
    const [error] = (await once(stack, 'error', { signal })) as [GuiseError];
    return error;
  } catch (reason) {
    if (signal.aborted) return undefined;
    throw reason;
  }
}

function mtuLine(mtu: number, family: 4 | 6 | undefined): string {
  const advice = (which: 4 | 6): string => `MTU = ${wireGuardMtu(mtu, which)} over IPv${which}`;
  return `WireGuard on both ends: ${family ? advice(family) : `${advice(4)}, ${advice(6)}`}`;
}

function offloadLine(stack: Stack): string {
  const how = stack.segmentation ? 'super-segments in both directions' : 'one segment a packet (slow: no offload)';
  return `data plane: ${stack.workers} worker${stack.workers > 1 ? 's' : ''}, ${how}`;
}

/** Says once a reason, and again when it has grown tenfold. */
function watchDrops(stack: Stack, warn: (sentence: string) => void): () => void {
  const said = new Map<string, number>();
  return () => {
    for (const [reason, count] of Object.entries(stack.counters.dropped)) {
      const advice = dropAdvice(reason);
      if (!advice || count < (said.get(reason) ?? 0) * OBSERVE.dropGrowth || count === said.get(reason)) continue;
      said.set(reason, count);
      warn(`${count} dropped (${reason}): ${advice}`);
    }
  };
}
