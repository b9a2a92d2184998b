/**
 * Every option of guise: what it takes, its default, its sentence, and who has it. Flags, environment, help and the
 * table of README.md come from here. Defaults are values as they are used inside: times in milliseconds.
 */
import { LOG_FORMATS, LOG_LEVELS } from '../observe/log.js';
import { CONNECTION, LIVENESS, TUNNEL } from '../policy.js';
import { choice, endpoint, file, hostPort, ip, listening, number, text, yesNo, type Kind } from './kinds.js';

/** What segments go through. */
export const DEVICES = ['auto', 'packet', 'tun'] as const;

export type Role = 'client' | 'server';

export interface Option<T> {
  readonly kind: Kind<T>;
  /** The heading of `--help` under which it stands. */
  readonly heading: 'Tunnel' | 'Host' | 'Data plane' | 'Log';
  /** What it does or is, in one line. */
  readonly help: string;
  /** One letter. */
  readonly alias?: string;
  /** phantun has it too, under this name and with this default. */
  readonly phantun?: true;
  /** There is no default, and nothing works without it. */
  readonly required?: true;
  readonly default?: T;
  /** What happens where it is not given and has no default. */
  readonly otherwise?: string;
}

/** By name, as users write it: `idle-timeout` is the flag --idle-timeout, GUISE_IDLE_TIMEOUT and `idleTimeout`. */
export type Schema = Readonly<Record<string, Option<unknown>>>;

/** Both ends of the TUN interface, where nothing else has them: phantun's choice. */
export const USUAL_ADDRESSES = {
  client: { local4: '192.168.200.1', peer4: '192.168.200.2', local6: 'fcc8::1', peer6: 'fcc8::2' },
  server: { local4: '192.168.201.1', peer4: '192.168.201.2', local6: 'fcc9::1', peer6: 'fcc9::2' },
} as const satisfies Record<Role, object>;

/** Who gives one of these wants a TUN. */
export const TUN_OPTIONS = ['tun', 'tun-local', 'tun-peer', 'tun-local6', 'tun-peer6'] as const;
/** … and of these, packet sockets. */
export const PACKET_OPTIONS = ['fwmark', 'bind-device'] as const;

const DAY = 86_400;
const interfaceName = text({
  form: 'NAME',
  expected: 'an interface name (1 to 15 ASCII characters, no space, slash or colon)',
  // What the kernel takes (dev_valid_name in net/core/dev.c; IFNAMSIZ is 16 with the closing 0), as far as it is ASCII.
  pattern: /^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$/,
});

function shared(role: Role) {
  const { local4, peer4, local6, peer6 } = USUAL_ADDRESSES[role];
  const orFree = (address: string): string => `${address}, or what is free`;
  return {
    'handshake-packet': option(file, {
      heading: 'Tunnel',
      phantun: true,
      help: 'file whose content is the first data of each connection',
      otherwise: 'none',
    }),
    'idle-timeout': option(number({ unit: 'seconds', least: 1, most: DAY }), {
      heading: 'Tunnel',
      default: TUNNEL.idleTimeout,
      help: 'seconds without a datagram until a connection is closed',
    }),
    'ignore-rst': option(yesNo, {
      heading: 'Tunnel',
      default: false,
      help: 'RSTs do not end established connections: where a network injects them',
    }),
    device: option(choice(DEVICES), {
      heading: 'Host',
      default: 'auto',
      help: 'packet sockets, which change nothing on the host, or a TUN; auto takes the first that can be had',
    }),
    fwmark: option(number({ least: 1, most: 2 ** 32 - 1 }), {
      heading: 'Host',
      help: "mark of what finds its way by the host's routes, where rules (`ip rule`) go by it",
      otherwise: 'none',
    }),
    'bind-device': option(interfaceName, {
      heading: 'Host',
      help: 'interface that connections are opened by, whatever the routes say',
      otherwise: 'any',
    }),
    tun: option(interfaceName, {
      heading: 'Host',
      phantun: true,
      help: 'name of the TUN interface; this option and those of its addresses ask for a TUN',
      otherwise: 'kernel picks',
    }),
    'tun-local': option(ip(4), {
      heading: 'Host',
      phantun: true,
      help: "host's IPv4 end of the TUN",
      otherwise: orFree(local4),
    }),
    'tun-peer': option(ip(4), {
      heading: 'Host',
      phantun: true,
      help: "guise's IPv4 end of the TUN",
      otherwise: orFree(peer4),
    }),
    'ipv4-only': option(yesNo, { heading: 'Host', alias: '4', phantun: true, default: false, help: 'no IPv6' }),
    'tun-local6': option(ip(6), {
      heading: 'Host',
      phantun: true,
      help: "host's IPv6 end of the TUN",
      otherwise: orFree(local6),
    }),
    'tun-peer6': option(ip(6), {
      heading: 'Host',
      phantun: true,
      help: "guise's IPv6 end of the TUN",
      otherwise: orFree(peer6),
    }),
    firewall: option(yesNo, {
      heading: 'Host',
      default: true,
      help: 'install NAT and forwarding rules, instead of printing them',
    }),
    mtu: option(number({ unit: 'bytes', least: 576, most: 65_535 }), {
      heading: 'Host',
      default: CONNECTION.mtu,
      help: 'bytes of the largest packet on the path',
    }),
    queues: option(number({ least: 1, most: 64 }), {
      heading: 'Data plane',
      help: 'threads that share what comes; queues of the TUN',
      otherwise: 'one for two CPUs',
    }),
    offload: option(yesNo, {
      heading: 'Data plane',
      default: true,
      help: 'super-segments, for all kernels but those that mangle them',
    }),
    'log-level': option(choice(LOG_LEVELS), { heading: 'Log', default: 'info', help: 'least level that is written' }),
    'log-format': option(choice(LOG_FORMATS), { heading: 'Log', default: 'text', help: 'lines for people, or JSON' }),
  };
}

export const OPTIONS = {
  client: {
    local: option(endpoint, {
      heading: 'Tunnel',
      alias: 'l',
      phantun: true,
      required: true,
      help: 'UDP address that applications send to',
    }),
    remote: option(hostPort, {
      heading: 'Tunnel',
      alias: 'r',
      phantun: true,
      required: true,
      help: 'TCP address of the server',
    }),
    ...shared('client'),
    'connect-timeout': option(number({ unit: 'seconds', least: 1, most: 3600 }), {
      heading: 'Tunnel',
      default: CONNECTION.connectTimeout,
      help: 'seconds until a handshake has failed',
    }),
    keepalive: option(number({ unit: 'seconds', least: 0, most: DAY, zero: Infinity }), {
      heading: 'Tunnel',
      default: LIVENESS.keepalive,
      help: 'seconds without traffic until the server is probed, at the latest; 0 for never',
    }),
    'dead-after': option(number({ unit: 'seconds', least: 1, most: DAY }), {
      heading: 'Tunnel',
      default: LIVENESS.deadAfter,
      help:
        'seconds of silence from a server that is sent datagrams until it is probed and, ' +
        'unless it answers, connected to anew',
    }),
    profile: option(choice(['auto', 'guise', 'phantun']), {
      heading: 'Tunnel',
      default: 'auto',
      help: "the server's kind; auto finds out",
    }),
  },
  server: {
    local: option(listening, {
      heading: 'Tunnel',
      alias: 'l',
      phantun: true,
      required: true,
      help: 'TCP port that clients connect to, of one address or of all',
    }),
    remote: option(hostPort, {
      heading: 'Tunnel',
      alias: 'r',
      phantun: true,
      required: true,
      help: 'UDP address of the service',
    }),
    ...shared('server'),
  },
} as const satisfies Record<Role, Schema>;

type CamelCase<S extends string> = S extends `${infer A}-${infer B}` ? `${A}${Capitalize<CamelCase<B>>}` : S;
type ValueOf<O> = O extends { kind: Kind<infer T> } ? T : never;
type Always = { required: true } | { default: unknown };

type SettingsOf<S> = {
  readonly [K in keyof S & string as S[K] extends Always ? CamelCase<K> : never]: ValueOf<S[K]>;
} & {
  readonly [K in keyof S & string as S[K] extends Always ? never : CamelCase<K>]?: ValueOf<S[K]>;
};

/** The values of all options of a role, by their names inside (`idleTimeout`). Times in milliseconds. */
export type Settings<R extends Role> = SettingsOf<(typeof OPTIONS)[R]>;
/** Those that client and server share. */
export type SharedSettings = SettingsOf<ReturnType<typeof shared>> & Pick<Settings<'client'>, 'remote'>;

/** The name inside: `idleTimeout` of `idle-timeout`. */
export function insideName(option: string): string {
  return option.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function option<T, const R extends Omit<Option<NoInfer<T>>, 'kind'>>(kind: Kind<T>, rest: R): { kind: Kind<T> } & R {
  return { kind, ...rest };
}
