/**
 * Every error that guise throws, in one place.
 *
 * What the system refused keeps the system's code (EADDRINUSE, ECONNREFUSED …) with `errno`, `syscall`, `address` and
 * `port`, as in node:net. Misuse and set-up failures have codes of ours. Each sentence names the cause and the mend.
 */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { formatEndpoint } from './wire/endpoint.js';

/** Our own codes and their sentences, details may follow in brackets; '' where the thrower has to say what is wrong. */
const SENTENCES = {
  ERR_GUISE_DATAGRAM_SIZE: 'A datagram must fit into one segment; lower the MTU of whoever sends it.',
  ERR_GUISE_SOCKET_CLOSED: 'The socket is closed; open a new one.',
  ERR_GUISE_DESCRIPTORS: 'A device needs 1 to 64 descriptors, one for each worker.',
  ERR_GUISE_USAGE: '',
  ERR_GUISE_SETUP: '',
} as const;

export type GuiseCode = keyof typeof SENTENCES;

export interface ErrorDetails {
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  readonly cause?: unknown;
}

export class GuiseError extends Error {
  readonly code: string;
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;

  constructor(code: GuiseCode | (string & {}), detail?: string, { cause, ...details }: ErrorDetails = {}) {
    const sentence = SENTENCES[code as GuiseCode] as string | undefined;
    super(sentence && detail ? `${sentence} (${detail})` : (detail ?? sentence ?? code), { cause });
    this.name = 'GuiseError';
    this.code = code;
    Object.assign(this, details);
  }
}

/** A command line that cannot be obeyed: exit code 2. */
export class UsageError extends GuiseError {
  constructor(sentence: string) {
    super('ERR_GUISE_USAGE', sentence);
    this.name = 'UsageError';
  }
}

/** What went wrong and what helps, for the calls that fail in ways that a user can mend. */
const MENDS: Record<string, Record<string, string>> = {
  TUNSETIFF: {
    EPERM: 'No right to create a TUN interface; run as root or give the process CAP_NET_ADMIN.',
    EBUSY: 'The TUN interface is in use by another process; choose another name with --tun.',
    EINVAL: 'The kernel refuses this TUN interface: the name may be that of another kind; choose another with --tun.',
    ENAMETOOLONG: 'The name of a TUN interface has at most 15 bytes; choose a shorter one with --tun.',
  },
  open: {
    ENOENT: 'There is no /dev/net/tun; load the module with `modprobe tun`, in a container pass --device /dev/net/tun.',
    ENODEV: 'The kernel has no TUN driver; load the module with `modprobe tun`.',
    EACCES: 'No right to open /dev/net/tun; run as root or give the process CAP_NET_ADMIN.',
    EPERM: 'No right to open /dev/net/tun; run as root, in a container pass --device /dev/net/tun --cap-add NET_ADMIN.',
    EMFILE: 'Too many open files; raise the limit with `ulimit -n`.',
  },
  bind: {
    EADDRINUSE: 'Another program has this UDP port; stop it or choose another with --local.',
    EADDRNOTAVAIL: 'This address is not one of the host; see `ip addr` and change --local.',
    EACCES: 'No right to bind a port below 1024; choose a higher one with --local or run as root.',
  },
  socket: { EMFILE: 'Too many open files; raise the limit with `ulimit -n`.' },
  connect: {
    ECONNREFUSED: 'Nothing listens there; check the port, and that guise-server runs.',
    ETIMEDOUT: 'No answer; check the address, and that firewalls on the way let this TCP port pass.',
    ECONNABORTED: 'The stack was closed meanwhile.',
    EADDRNOTAVAIL: 'The stack has no free port or no address of this family.',
    ENETUNREACH: 'No route to this network; see `ip route`.',
    ENFILE: 'As many connections as allowed are open.',
    EISCONN: 'The connection is spliced already; a connection is spliced once.',
    EMFILE: 'Too many open files; raise the limit with `ulimit -n`.',
  },
  listen: { EADDRINUSE: 'Another program has this TCP port (see `ss -ltnp`); stop it or choose another with --local.' },
  read: {
    ECONNRESET: 'The peer has reset the connection.',
    ETIMEDOUT: 'The peer does not answer any more.',
    ENODEV: 'The packet device is gone: somebody deleted the interface or closed its other end.',
  },
};

/**
 * Builds the error of a failed system call.
 *
 * @param error a negative errno, or its name
 */
export function systemError(
  error: number | string,
  syscall: string,
  { address, port }: { address?: string; port?: number } = {},
): GuiseError {
  const code = typeof error === 'string' ? error : getSystemErrorName(error);
  const number = constants.errno[code as keyof typeof constants.errno];
  const where = address === undefined || port === undefined ? '' : ` ${formatEndpoint({ address, port })}`;
  const mend = MENDS[syscall]?.[code];
  return new GuiseError(code, `${syscall} ${code}${where}${mend ? `: ${mend}` : '.'}`, {
    syscall,
    ...(number === undefined ? {} : { errno: -number }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
  });
}
