/** Who competes: stacks on a TUN, and the kernel's own over a veth. */
import { fileURLToPath } from 'node:url';
import type { RunningProgram } from '../../test/net/process.js';
import { HOST, Site, STACK, TUN, type Path } from '../../test/net/site.js';
import { serveStreams, SINK } from '../../test/net/streams.js';
import { needs, whereIs } from '../programs.js';
import type { Contender as AnyContender } from '../race.js';

/** What a stack meets. */
export interface Conditions {
  /** Super-segments between the stack and its peer, or one packet each. */
  readonly offload: boolean;
  /** What lies between, or nothing. */
  readonly path?: Path;
  readonly congestion: 'cubic' | 'bbr';
}

/** A stack that runs, and serves: 7001 a sink, 7002 a source, 7003 an echo; 8080 is a web server where it runs in Node. */
export interface Stand {
  readonly site: Site;
  readonly address: string;
  /** Of the stack. */
  readonly program: RunningProgram;
}

export interface Contender extends AnyContender {
  /** Sets it up on a site of its own. */
  start(conditions: Conditions): Promise<Stand>;
}

export const KERNEL = 'kernel';
export const OURS = 'guise/netstack';
export const GVISOR = 'gVisor';
export const LWIP = 'lwIP';
export const SMOLTCP = 'smoltcp';

const program = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url));

async function onSite(making: Promise<Site>, start: (site: Site) => Promise<Stand>): Promise<Stand> {
  const site = await making;
  try {
    return await start(site);
  } catch (error) {
    await site[Symbol.asyncDispose]();
    throw error;
  }
}

const kernel: Contender = {
  name: KERNEL,
  tuning: 'one thread with epoll, sockets as they are; over a veth where nothing else lies between',
  missing: () => undefined,
  start({ offload, path, congestion }) {
    const making = path === undefined ? Site.veth({ offload }) : Site.path(path);
    return onSite(making, async (site) => {
      const serving = await serveStreams(site.host, `${HOST}:${SINK}`, `--congestion ${congestion}`);
      const web = site.host.start(process.execPath, [program('kernel_http'), HOST]);
      await web.waitFor(/^ready$/);
      return { site, address: HOST, program: serving };
    });
  },
};

function onTun(
  name: string,
  tuning: string,
  missing: () => string | undefined,
  command: (conditions: Conditions) => readonly string[],
): Contender {
  return {
    name,
    tuning,
    missing,
    start: (conditions) =>
      onSite(conditions.path === undefined ? Site.alone() : Site.path(conditions.path), async (site) => {
        const [file, ...args] = command(conditions);
        const running = site.host.start(file!, args);
        await running.waitFor(/^ready$/);
        return { site, address: STACK, program: running };
      }),
  };
}

function anchor(name: string, file: string, variable: string, tuning: string, offloads: boolean): Contender {
  return onTun(name, tuning, needs(file, variable), ({ offload }) => [
    whereIs(file, variable)!,
    TUN,
    STACK,
    ...(offloads && !offload ? ['--no-offload'] : []),
  ]);
}

export const CONTENDERS: readonly Contender[] = [
  kernel,
  onTun(
    OURS,
    'as installed, streams through stream.Duplex',
    () => undefined,
    ({ offload, congestion }) => [
      process.execPath,
      program('stack_program'),
      TUN,
      ...(offload ? [] : ['--no-offload']),
      ...(congestion === 'bbr' ? ['--bbr'] : []),
    ],
  ),
  anchor(GVISOR, 'gvisor', 'NETSTACK_GVISOR', 'SACK, CUBIC, buffers to 8 MiB; host GSO, without offload fdbased', true),
  anchor(LWIP, 'lwip', 'NETSTACK_LWIP', 'raw interface, one thread, windows of 1 MiB, SACK; has no offload', false),
  anchor(
    SMOLTCP,
    'smoltcp-anchor',
    'NETSTACK_SMOLTCP',
    'one thread, CUBIC, the buffers of netstack-smoltcp; has no offload',
    false,
  ),
];
