/**
 * Every error that guise throws, and every reason for which it drops something: code, sentence and mend, here and
 * nowhere else.
 *
 * What the system refused keeps the system's code (EADDRINUSE, ECONNREFUSED …) with `errno`, `syscall`, `address` and
 * `port`, as in node:net; misuse and set-up failures have codes of ours, ERR_GUISE_…. A sentence says what is wrong, the
 * mend what helps. Neither names a flag: the library's users have none. `option` is the option by which a user can
 * change what is wrong; the command line names it when it was given.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { formatEndpoint } from './wire/endpoint.js';

interface Entry {
  /** What is wrong. `{name}` stands for a detail of the error. */
  readonly sentence: string;
  /** What helps. */
  readonly mend?: string;
  /** The option that can be changed. */
  readonly option?: string;
}

const MORE_FILES = 'raise the limit of open files with `ulimit -n`';

/** Codes of ours. */
const OWN = {
  ERR_GUISE_ARGUMENT: { sentence: '{name} is {found}', mend: 'give {expected}' },
  ERR_GUISE_CLOSED: { sentence: 'The {what} is closed', mend: 'open a new one' },
  ERR_GUISE_DATAGRAM_SIZE: {
    sentence: 'A datagram of {size} bytes does not fit into one segment, which carries 1 to {most}',
    mend: 'lower the MTU of whoever sends it',
  },
  ERR_GUISE_ADDON_MISSING: {
    sentence: 'The native addon is not built',
    mend: 'run `npm run build` (it needs g++, make and python3)',
  },
  ERR_GUISE_PROGRAM_MISSING: { sentence: 'The program `{program}` is missing', mend: '{mend}' },
  ERR_GUISE_PROGRAM_START: {
    sentence: 'The program `{program}` cannot be started ({why})',
    mend: 'raise the limit of open files or processes, see `ulimit -a`',
  },
  ERR_GUISE_PROGRAM_FAILED: { sentence: '`{command}` failed: {said}' },
  ERR_GUISE_FORWARDING: {
    sentence: 'Forwarding is off and cannot be switched on here',
    mend: 'run `sysctl -w {sysctl}=1` on the host, or run as root',
  },
  ERR_GUISE_FIREWALL: {
    sentence: 'nft refused the rules ({said})',
    mend: 'run as root or with CAP_NET_ADMIN, or set the rules by other means (`--no-firewall` prints them)',
  },
  ERR_GUISE_ADDRESSES_TAKEN: { sentence: '{which} in use on this host', mend: 'give others', option: '{option}' },
  ERR_GUISE_INTERFACE_TAKEN: {
    sentence: 'The interface {name} exists and is in use',
    mend: 'choose another name',
    option: 'tun',
  },
  ERR_GUISE_PORT_TAKEN: {
    sentence: 'Another guise server on this host has TCP port {port}',
    mend: 'stop it or choose another',
    option: 'local',
  },
  ERR_GUISE_NAME: { sentence: 'No {what} found for "{host}" ({why})', mend: 'check the name and the resolver' },
  ERR_GUISE_USAGE: { sentence: '{what}', mend: 'see `{program} --help`' },
  ERR_GUISE_PORT: { sentence: '"{text}" is not a port', mend: 'give a number from 1 to 65535' },
  ERR_GUISE_HOST_PORT: {
    sentence: '"{text}" is not HOST:PORT',
    mend: 'write it like vpn.example.net:4567 or [2001:db8::1]:4567',
  },
  ERR_GUISE_BRACKETS: { sentence: '"{text}" in brackets is not an IPv6 address', mend: 'give one or leave them out' },
  ERR_GUISE_IP: { sentence: '"{text}" is not an IP address', mend: 'give one of this host, like 127.0.0.1' },
  ERR_GUISE_OPTION: { sentence: '--{option} takes {expected}, not {found}' },
  ERR_GUISE_OPTION_CONFLICT: { sentence: '--{option} contradicts {others}', mend: 'leave one of them out' },
  ERR_GUISE_OPTION_FILE: { sentence: '--{option}: cannot read "{path}" ({why})', mend: 'check the path' },
} as const satisfies Record<string, Entry>;

/** Codes of the system, by the call that failed. */
const SYSTEM: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  TUNSETIFF: {
    EPERM: { sentence: 'No right to create a TUN interface', mend: 'run as root or give the process CAP_NET_ADMIN' },
    EBUSY: {
      sentence: 'The TUN interface is in use by another process',
      mend: 'choose another name',
      option: 'tun',
    },
    EINVAL: {
      sentence: 'The kernel refuses this TUN interface: the name may be that of an interface of another kind',
      mend: 'choose another name',
      option: 'tun',
    },
    ENAMETOOLONG: { sentence: 'The name of a TUN interface has at most 15 bytes', mend: 'shorten it', option: 'tun' },
  },
  open: {
    ENOENT: {
      sentence: 'There is no /dev/net/tun',
      mend: 'load the module with `modprobe tun`; a container needs `--device /dev/net/tun`',
    },
    ENODEV: { sentence: 'The kernel has no TUN driver', mend: 'load the module with `modprobe tun`' },
    EACCES: { sentence: 'No right to open /dev/net/tun', mend: 'run as root or give the process CAP_NET_ADMIN' },
    EPERM: {
      sentence: 'No right to open /dev/net/tun',
      mend: 'run as root; a container needs `--device /dev/net/tun --cap-add NET_ADMIN`',
    },
    EMFILE: { sentence: 'Too many open files', mend: MORE_FILES },
  },
  bind: {
    EADDRINUSE: { sentence: 'Another program has this UDP port', mend: 'stop it or choose another', option: 'local' },
    EADDRNOTAVAIL: {
      sentence: 'This address is not one of the host',
      mend: 'see `ip address` and choose another',
      option: 'local',
    },
    EACCES: {
      sentence: 'No right to bind a port below 1024',
      mend: 'choose a higher one or run as root',
      option: 'local',
    },
  },
  socket: { EMFILE: { sentence: 'Too many open files', mend: MORE_FILES } },
  epoll_create1: { EMFILE: { sentence: 'Too many open files', mend: MORE_FILES } },
  eventfd: { EMFILE: { sentence: 'Too many open files', mend: MORE_FILES } },
  timerfd_create: { EMFILE: { sentence: 'Too many open files', mend: MORE_FILES } },
  epoll_ctl: {
    EPERM: { sentence: 'This descriptor cannot be watched', mend: 'give one of a TUN or a socket, not of a file' },
    EBADF: { sentence: 'This descriptor is not open', mend: 'give one that is' },
    ENOSPC: {
      sentence: 'Too many descriptors are watched by this user',
      mend: 'raise `sysctl fs.epoll.max_user_watches`',
    },
  },
  connect: {
    ECONNREFUSED: { sentence: 'Nothing listens there', mend: 'check the port, and that guise-server runs' },
    ETIMEDOUT: {
      sentence: 'No answer',
      mend: 'check the address, and that firewalls on the way let this TCP port pass',
    },
    ECONNABORTED: { sentence: 'The stack was closed meanwhile' },
    EADDRNOTAVAIL: { sentence: 'The stack has no free port or no address of this family' },
    ENETUNREACH: { sentence: 'No route to this network', mend: 'see `ip route`' },
    ENFILE: { sentence: 'As many connections as allowed are open' },
    EMFILE: { sentence: 'Too many open files', mend: MORE_FILES },
  },
  mmap: { ENOMEM: { sentence: 'No memory for the data plane', mend: 'allow fewer connections, or give more memory' } },
  pthread_create: {
    EAGAIN: { sentence: 'No more threads can be started', mend: 'raise the limit of processes with `ulimit -u`' },
  },
  splice: {
    EXDEV: {
      sentence: 'The application belongs to another worker than the connection',
      mend: 'connect with the `worker` of the application',
    },
    EISCONN: { sentence: 'The connection is spliced already', mend: 'splice a connection once' },
    ENOENT: { sentence: 'The application is gone', mend: 'its next datagram makes it new' },
  },
  listen: {
    EADDRINUSE: {
      sentence: 'Another program has this TCP port (see `ss -ltnp`)',
      mend: 'stop it or choose another',
      option: 'local',
    },
  },
  read: {
    ECONNRESET: { sentence: 'The peer has reset the connection' },
    ETIMEDOUT: { sentence: 'The peer does not answer any more' },
    ENODEV: { sentence: 'The packet device is gone: somebody deleted the interface or closed its other end' },
  },
};

/** Why something is dropped (native/plane/drop_reason.h), and where a user can do something about it, what. */
const DROPS: Readonly<Record<string, Entry>> = {
  oversize: {
    sentence: 'datagrams are larger than one segment carries',
    mend: 'lower the MTU of WireGuard (see the MTU line above)',
  },
  backendRefused: { sentence: 'nobody listens at --remote', mend: 'start the UDP service there' },
  pendingFull: { sentence: 'datagrams came faster than the connection was set up: the oldest were dropped' },
  applicationsFull: { sentence: 'more applications than the tunnel takes' },
  eventsFull: { sentence: 'more control segments than can be answered: the port is scanned or flooded' },
  synLimit: { sentence: 'connections are asked for faster than segments can be read: the port is flooded' },
  flowsFull: { sentence: 'as many connections as allowed are open: new ones are refused' },
  sourceFull: {
    sentence: 'one address has a quarter of all connections that are allowed: more of its own are refused',
  },
  outOfWindow: {
    sentence: 'segments came with numbers that the peer would not send: injected, or after a long outage',
  },
  badAck: { sentence: 'segments came that acknowledge what was never sent: injected, most likely' },
  applicationGone: { sentence: 'connections have lost the application that they were for' },
  badChecksum: { sentence: 'segments came with a wrong checksum: something on the path damages them' },
};

export type GuiseCode = keyof typeof OWN;

/** What stands for `{name}` in a sentence. */
export type Details = Readonly<Record<string, string | number>>;

export interface SystemDetails {
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

/** An error of guise's, with a code that stays the same from version to version. */
export class GuiseError extends Error {
  /** The system's (EADDRINUSE …), or one of ours (ERR_GUISE_…). */
  readonly code: string;
  /** Negative, as node:net has it. */
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  /** The option of a command line by which a user can change what is wrong. */
  readonly option?: string;

  /** @param message a whole sentence; use `guiseError` and `systemError`, which take it from the registry */
  constructor(
    code: string,
    message: string,
    { cause, ...details }: SystemDetails & { readonly option?: string; readonly cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'GuiseError';
    this.code = code;
    Object.assign(this, details);
  }
}

/** A command line that cannot be obeyed: exit code 2. */
export class UsageError extends GuiseError {
  override readonly name = 'UsageError';
}

/** Builds an error with a code of ours. */
export function guiseError(code: GuiseCode, details: Details = {}, cause?: unknown): GuiseError {
  return build(GuiseError, code, details, cause);
}

/** Builds the error of a command line that cannot be obeyed. */
export function usageError(code: GuiseCode, details: Details = {}, cause?: unknown): UsageError {
  return build(UsageError, code, details, cause);
}

/**
 * Builds the error of a failed system call.
 *
 * @param error a negative errno, or its name
 */
export function systemError(
  error: number | string,
  syscall: string,
  { address, port }: { readonly address?: string; readonly port?: number } = {},
): GuiseError {
  const code = typeof error === 'string' ? error : getSystemErrorName(error);
  const errno: number | undefined = (constants.errno as Readonly<Record<string, number>>)[code];
  const where = address === undefined || port === undefined ? '' : ` ${formatEndpoint({ address, port })}`;
  const entry = SYSTEM[syscall]?.[code];
  const what = `${syscall} ${code}${where}`;
  return new GuiseError(code, entry ? `${what}: ${sentenceOf(entry, {})}` : `${what}.`, {
    syscall,
    ...(errno === undefined ? {} : { errno: -errno }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(entry?.option === undefined ? {} : { option: entry.option }),
  });
}

/** What a count of drops means for a user and what helps, or undefined where that is nobody's business. */
export function dropAdvice(reason: string): string | undefined {
  const entry = DROPS[reason];
  return entry && sentenceOf(entry, {}).replace(/\.$/, '');
}

function build<E extends GuiseError>(
  kind: new (...args: ConstructorParameters<typeof GuiseError>) => E,
  code: GuiseCode,
  details: Details,
  cause: unknown,
): E {
  const entry: Entry = OWN[code];
  return new kind(code, sentenceOf(entry, details), {
    ...(entry.option === undefined ? {} : { option: fill(entry.option, details) }),
    ...(cause === undefined ? {} : { cause }),
  });
}

function sentenceOf({ sentence, mend }: Entry, details: Details): string {
  return `${fill(sentence, details)}${mend === undefined ? '' : `; ${fill(mend, details)}`}.`;
}

function fill(text: string, details: Details): string {
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => `${details[name] ?? ''}`);
}
