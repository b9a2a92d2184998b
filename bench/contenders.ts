/** Who competes, and how each is set up: by its own advice, with nothing of ours in the way. */
import { join } from 'node:path';
import type { RunningProgram } from '../test/net/process.js';
import { natForPhantunClient, natForPhantunServer, phantunFolder } from '../test/net/phantun.js';
import type { Host, Rig } from '../test/net/rig.js';
import { startRelay } from '../test/net/traffic.js';
import { isProgram, needs, whereIs } from './programs.js';
import type { Contender as AnyContender } from './race.js';

/** Where the sender sends to, and where the receiver binds. */
export interface Way {
  readonly to: string;
  readonly bind: string;
  /** What carries the datagrams on either side; none when they go straight. */
  readonly programs: readonly RunningProgram[];
}

export interface Contender extends AnyContender {
  /** Sets it up on a rig of its own. */
  start(rig: Rig): Promise<Way>;
}

const THROUGH = { to: '127.0.0.1:5000', bind: '127.0.0.1:7000' } as const;
const STRAIGHT = { to: '10.0.2.2:7000', bind: '10.0.2.2:7000' } as const;

function guise(name: string, tuning: string, options: readonly string[]): Contender {
  return {
    name,
    tuning,
    missing: () => undefined,
    start: async (rig) => ({
      ...THROUGH,
      programs: [
        await rig.client.guise('client', ['-l', THROUGH.to, '-r', '10.0.2.2:4567', ...options]),
        await rig.server.guise('server', ['-l', '4567', '-r', THROUGH.bind, ...options]),
      ],
    }),
  };
}

const straight: Contender = {
  name: 'straight UDP',
  tuning: 'nothing between sender and receiver but the router',
  missing: () => undefined,
  start: () => Promise.resolve({ ...STRAIGHT, programs: [] }),
};

const phantun: Contender = {
  name: 'phantun',
  tuning: 'as its README says: NAT by nftables, one queue and thread a core (its default)',
  missing: () =>
    isProgram(`${phantunFolder}/client`) ? undefined : 'PHANTUN_BIN names no folder with its client and server',
  async start(rig) {
    const folder = phantunFolder;
    const env = { RUST_LOG: 'error' };
    await natForPhantunClient(rig.client);
    await natForPhantunServer(rig.server);
    const programs = [
      rig.server.start(join(folder, 'server'), ['-l', '4567', '-r', THROUGH.bind, '-4'], { env }),
      rig.client.start(join(folder, 'client'), ['-l', THROUGH.to, '-r', '10.0.2.2:4567', '-4'], { env }),
    ];
    await interfaceUp(rig.client, 'tun0');
    await interfaceUp(rig.server, 'tun0');
    return { ...THROUGH, programs };
  },
};

const udp2raw: Contender = {
  name: 'udp2raw',
  tuning:
    'faketcp, no cipher, no authentication, no replay check, its own iptables rules (-a), --fix-gro, largest buffers',
  missing: needs('udp2raw', 'UDP2RAW'),
  async start(rig) {
    const program = whereIs('udp2raw', 'UDP2RAW')!;
    const options = [
      '-k',
      'key',
      '--raw-mode',
      'faketcp',
      '--cipher-mode',
      'none',
      '--auth-mode',
      'none',
      '--disable-anti-replay',
      '-a',
      '--fix-gro',
      '--sock-buf',
      '10240',
      '--force-sock-buf',
      '--disable-color',
      '--mtu-warn',
      '1500',
    ];
    const server = rig.server.start(program, ['-s', '-l', '10.0.2.2:4567', '-r', THROUGH.bind, ...options]);
    await server.waitFor(/now listening/);
    const client = rig.client.start(program, ['-c', '-l', THROUGH.to, '-r', '10.0.2.2:4567', ...options]);
    await client.waitFor(/to client_ready/);
    return { ...THROUGH, programs: [client, server] };
  },
};

const mimic: Contender = {
  name: 'mimic',
  tuning: 'eBPF on eth0 of both hosts, checksum offload off in place of its kernel module, as its documentation allows',
  missing: needs('mimic', 'MIMIC'),
  async start(rig) {
    const program = whereIs('mimic', 'MIMIC')!;
    const programs: RunningProgram[] = [];
    for (const [host, filter] of [
      [rig.client, 'remote=10.0.2.2:7000'],
      [rig.server, 'local=10.0.2.2:7000'],
    ] as const) {
      await host.run('ethtool', ['-K', 'eth0', 'tx', 'off']);
      const running = host.start(program, ['run', '-f', filter, 'eth0']);
      await running.waitFor(/successfully deployed|deployed/i);
      programs.push(running);
    }
    return { ...STRAIGHT, programs };
  },
};

/** Yardsticks for the round trip: what passing datagrams on in user space costs at least. */
function relays(name: string, both: boolean): Contender {
  return {
    name,
    tuning: 'poll, recvfrom, send, one datagram at a time',
    missing: () => undefined,
    async start(rig) {
      const far = both ? '10.0.2.2:4567' : STRAIGHT.to;
      const programs = [startRelay(rig.client, `--bind ${THROUGH.to} --to ${far}`)];
      if (both) programs.push(startRelay(rig.server, `--bind ${far} --to ${THROUGH.bind}`));
      return { to: THROUGH.to, bind: both ? THROUGH.bind : STRAIGHT.bind, programs: await Promise.all(programs) };
    },
  };
}

async function interfaceUp(host: Host, name: string): Promise<void> {
  await host.run('sh', ['-c', `until ip -br link show dev ${name} 2>/dev/null | grep -q UP; do :; done`]);
}

export const GUISE = 'guise';
export const STRAIGHT_UDP = straight.name;
export const ON_TUN = 'guise --device tun';
export const NO_OFFLOAD = 'guise --no-offload';

export const ONE_RELAY = 'UDP relay at the client';
export const TWO_RELAYS = 'UDP relays on both hosts';

export const CONTENDERS: readonly Contender[] = [
  straight,
  guise(GUISE, 'as installed', []),
  guise(ON_TUN, 'the same build, on a TUN behind NAT', ['--device', 'tun']),
  guise(NO_OFFLOAD, 'the same build, a segment a packet', ['--no-offload']),
  phantun,
  udp2raw,
  mimic,
  relays(ONE_RELAY, false),
  relays(TWO_RELAYS, true),
];
