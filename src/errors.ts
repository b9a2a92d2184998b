/**
 * Every error that guise throws, and every reason for which it drops something: code, sentence and mend, here and
 * nowhere else.
 *
 * What the system refused keeps the system's code (EADDRINUSE, ECONNREFUSED …) with `errno`, `syscall`, `address` and
 * `port`, as in node:net; misuse and set-up failures have codes of ours, ERR_GUISE_…. A sentence says what is wrong, the
 * mend what helps. Neither names a flag: the library's users have none. `option` is the option by which a user can
 * change what is wrong; the command line names its flag.
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
  ERR_GUISE_CONSTRUCTOR: { sentence: 'A {what} is not made with `new`', mend: 'get one from {how}' },
  ERR_GUISE_CLOSED: { sentence: 'The {what} is closed', mend: 'open a new one' },
  ERR_GUISE_DATAGRAM_SIZE: {
    sentence: 'A datagram of {size} bytes does not fit into one segment, which carries 1 to {most}',
    mend: 'lower the MTU of whoever sends it',
  },
  ERR_GUISE_ADDON_MISSING: {
    sentence: 'The native addon is not built',
    mend: 'run `npm run build` (it needs g++, make and python3)',
  },
  ERR_GUISE_PROGRAM_MISSING: {
    sentence: 'The program `{program}` is missing',
    mend: '{mend}',
    option: '{option}',
  },
  ERR_GUISE_PROGRAM_UNFIT: {
    sentence: 'The program `{program}` {lack}',
    mend: '{mend}',
    option: '{option}',
  },
  ERR_GUISE_PROGRAM_START: {
    sentence: 'The program `{program}` cannot be started ({why})',
    mend: 'raise the limit of open files or processes, see `ulimit -a`',
  },
  ERR_GUISE_PROGRAM_FAILED: { sentence: '`{command}` failed: {said}' },
  ERR_GUISE_FORWARDING: {
    sentence: 'Forwarding is off and cannot be switched on here',
    mend: 'run `sysctl -w {sysctl}=1` on the host, or run as root',
  },
  ERR_GUISE_FAMILY_OFF: {
    sentence: 'New interfaces get no IPv6 here (net.ipv6.conf.default.disable_ipv6)',
    mend:
      'run `sysctl -w net.ipv6.conf.all.disable_ipv6=0`, start a container with ' +
      '`--sysctl net.ipv6.conf.all.disable_ipv6=0`, or use packet sockets',
    option: 'device',
  },
  ERR_GUISE_FORWARDING_READ_ONLY: {
    sentence: 'Forwarding ({sysctl}) is off, and sysctls are read-only here, as in a container',
    mend: 'start the container with `--sysctl {sysctl}=1`, or use packet sockets',
    option: 'device',
  },
  ERR_GUISE_FIREWALL: {
    sentence: 'nft refused the rules ({said})',
    mend: 'run as root or with CAP_NET_ADMIN, or set the rules by other means',
    option: 'firewall',
  },
  ERR_GUISE_FIREWALL_CHAIN: {
    sentence: 'No way through the chain {chain} could be made, and it may stop the tunnel ({why})',
    mend: 'let through there what comes and leaves by {tun}, with the program that owns it',
    option: 'firewall',
  },
  ERR_GUISE_LEGACY_TABLE: {
    sentence: 'The table {table} of {program} is not changed, and may stop the tunnel',
    mend:
      'let it through with `{program} -t {table} -I FORWARD -i {tun} -j ACCEPT` and ' +
      '`{program} -t {table} -I FORWARD -o {tun} -j ACCEPT`',
  },
  ERR_GUISE_LEGACY_NAT: {
    sentence: 'The table {table} of {program} is not looked into, and may lead TCP port {port} elsewhere',
    mend: 'see `{program} -t {table} -S`',
  },
  ERR_GUISE_PORT_FORWARDED: {
    sentence: 'Rules in {chain} lead TCP port {port} elsewhere too, as for a published port of a container',
    mend: 'remove them or choose another port',
    option: 'local',
  },
  ERR_GUISE_ROUTE: {
    sentence: 'The route to {peer} does not lead to {tun}',
    mend: 'see `ip route get {peer}` and `ip rule`, and what else sets routes here',
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
  ERR_GUISE_NAME: {
    sentence: 'No {what} found for "{host}" ({why})',
    mend: 'check the name',
    option: 'remote',
  },
  ERR_GUISE_NAME_UNKNOWN_YET: {
    sentence: 'The name "{host}" cannot be looked up yet ({why})',
    mend: 'see that the network is up, and that the resolver of /etc/resolv.conf answers',
    option: 'remote',
  },
  ERR_GUISE_USAGE: { sentence: '{what}', mend: 'see `{program} --help`' },
  ERR_GUISE_PART: {
    sentence: '"{part}" is no part of guise',
    mend: 'say `guise client`, `guise server` or `guise netstack`, and see `guise --help`',
  },
  ERR_GUISE_LOOP: {
    sentence: 'What leaves here comes back by the TUN',
    mend:
      'lead it past the TUN by a rule for the address that it leaves from (`ip rule add from ADDRESS lookup TABLE`), ' +
      'or route less to the TUN',
  },
  ERR_GUISE_NO_WAY_OUT: {
    sentence: 'There is no address of this family to leave from',
    mend: 'name one, or an interface that has one',
  },
  ERR_GUISE_PORT: { sentence: '"{text}" is not a port', mend: 'give a number from 1 to 65535' },
  ERR_GUISE_HOST_PORT: {
    sentence: '"{text}" is not HOST:PORT',
    mend: 'write it like vpn.example.net:4567 or [2001:db8::1]:4567',
  },
  ERR_GUISE_HOST: {
    sentence: '"{text}" is neither a host name nor an IP address',
    mend: 'write it like vpn.example.net or 192.0.2.1',
  },
  ERR_GUISE_BRACKETS: { sentence: '"{text}" in brackets is not an IPv6 address', mend: 'give one or leave them out' },
  ERR_GUISE_IP: { sentence: '"{text}" is not an IP address', mend: 'write it like 127.0.0.1 or 2001:db8::1' },
  ERR_GUISE_ZONE: {
    sentence: '"{text}" is an address of one link only, as % says, and those are not supported',
    mend: 'give one without %',
  },
  ERR_GUISE_OPTION: { sentence: '{given} takes {expected}, not {found}', option: '{option}' },
  ERR_GUISE_OPTION_VALUE: { sentence: '{given}: {why}', option: '{option}' },
  ERR_GUISE_OPTION_MISSING: { sentence: '{options} must be given' },
  ERR_GUISE_OPTION_TWICE: { sentence: '{given} is given more than once', mend: 'give it once', option: '{option}' },
  ERR_GUISE_OPTION_UNKNOWN: { sentence: '{given} is no option of a {role}', mend: 'leave it out', option: '{option}' },
  ERR_GUISE_OPTION_CONFLICT: {
    sentence: '{given} contradicts {other}',
    mend: 'leave one of them out',
    option: '{option}',
  },
  ERR_GUISE_OPTION_FILE: {
    sentence: '{given}: cannot read "{path}" ({why})',
    mend: 'check the path',
    option: '{option}',
  },
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
      mend: 'load the module with `modprobe tun`, and give a container the device /dev/net/tun',
    },
    ENODEV: { sentence: 'The kernel has no TUN driver', mend: 'load the module with `modprobe tun`' },
    EACCES: { sentence: 'No right to open /dev/net/tun', mend: 'run as root or give the process CAP_NET_ADMIN' },
    EPERM: {
      sentence: 'No right to open /dev/net/tun',
      mend: 'run as root; give a container the device /dev/net/tun and the capability NET_ADMIN',
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
  socket: {
    EPERM: {
      sentence: 'No right to open packet sockets',
      mend: 'run as root or give the process CAP_NET_RAW',
    },
    EAFNOSUPPORT: { sentence: 'The kernel has no packet sockets', mend: 'load the module with `modprobe af_packet`' },
    EMFILE: { sentence: 'Too many open files', mend: MORE_FILES },
  },
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
    EHOSTUNREACH: { sentence: 'The routes of this host say that there is no way', mend: 'see `ip route`' },
    EACCES: { sentence: 'The routes of this host forbid it', mend: 'see `ip route` and `ip rule`' },
    EINVAL: { sentence: 'The routes of this host lead nowhere', mend: 'see `ip route` and `ip rule`' },
    EPERM: {
      sentence: 'The firewall of this host drops what is sent there',
      mend: 'let this TCP port pass its OUTPUT chains',
    },
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
  SO_MARK: {
    EPERM: {
      sentence: 'No right to set a mark',
      mend: 'give the process CAP_NET_ADMIN; with Linux 5.17 CAP_NET_RAW is enough',
      option: 'fwmark',
    },
  },
  SO_BINDTODEVICE: {
    ENODEV: { sentence: 'There is no such interface', mend: 'see `ip link`', option: 'bind-device' },
    EPERM: { sentence: 'No right to choose an interface', mend: 'give the process CAP_NET_RAW', option: 'bind-device' },
  },
  PACKET_RX_RING: {
    ENOMEM: {
      sentence: 'No memory for what packet sockets receive',
      mend: 'give more memory, or use a TUN',
      option: 'device',
    },
  },
  listen: {
    EADDRNOTAVAIL: {
      sentence: 'This address is not one of the host',
      mend: 'see `ip address` and choose another',
      option: 'local',
    },
    EACCES: {
      sentence: 'No right to take a port below 1024',
      mend: 'choose a higher one, run as root, or give the process CAP_NET_BIND_SERVICE',
      option: 'local',
    },
    EADDRINUSE: {
      sentence: 'Another program has this TCP port (see `ss -ltnp`)',
      mend: 'stop it or choose another',
      option: 'local',
    },
  },
  send: {
    ECONNREFUSED: { sentence: 'Nobody listens there', mend: 'start what is to listen, or check the port' },
    EHOSTUNREACH: {
      sentence: 'The host there does not answer, or a router or firewall on the way rejects the datagrams',
      mend: 'check the address, and that the host is up',
    },
    ENETUNREACH: { sentence: 'No route to this network', mend: 'see `ip route`' },
    EPERM: {
      sentence: 'The firewall of this host drops what is sent there',
      mend: 'let this UDP port pass its OUTPUT chains',
    },
    EACCES: {
      sentence: 'A firewall or a prohibiting route forbids to send there',
      mend: 'see `ip route`, and the firewalls on the way',
    },
  },
  read: {
    ECONNRESET: { sentence: 'The peer has reset the connection' },
    ETIMEDOUT: { sentence: 'The peer does not answer any more' },
    EADDRNOTAVAIL: { sentence: 'The host has lost the address of this connection' },
    EBADMSG: {
      sentence:
        'Something on the path cuts or joins TCP segments, as proxies and some network cards do, so that no datagram comes whole',
      mend: 'choose another port or path, or switch off LRO on the network cards with `ethtool -K`',
    },
    ENODEV: { sentence: 'The packet device is gone: somebody deleted the interface or closed its other end' },
  },
};

/** … of connections and listeners of the user-space stack, where its sentence is another. */
const STACK: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  connect: {
    ECONNREFUSED: { sentence: 'Nothing listens there', mend: 'check the port' },
    ETIMEDOUT: { sentence: 'No answer', mend: 'check the address, and the routes to and from the TUN' },
    EADDRNOTAVAIL: { sentence: 'The stack has no port that is free', mend: 'close connections to this address' },
    EADDRINUSE: { sentence: 'The stack has a connection with both of these ends', mend: 'choose another local port' },
    ENFILE: { sentence: 'As many connections as allowed are open', mend: 'allow more (`maxConnections`)' },
    ECONNRESET: { sentence: 'The peer has reset the connection' },
    EHOSTUNREACH: { sentence: 'A router says that there is no way to this host' },
    ENETUNREACH: { sentence: 'A router says that there is no way to this network' },
    EPROTO: { sentence: 'A router or the peer does not take the packets' },
  },
  listen: {
    EADDRINUSE: {
      sentence: 'A listener of this stack has this address and port',
      mend: 'close it or choose another (port 0 is any)',
    },
  },
  bind: {
    EADDRINUSE: {
      sentence: 'A UDP socket of this stack has this address and port',
      mend: 'close it or choose another (port 0 is one that is free)',
    },
    EADDRNOTAVAIL: { sentence: 'The stack takes nothing for this address', mend: 'choose another' },
    EISCONN: { sentence: 'The socket has sessions already', mend: 'close those before' },
  },
  send: {
    ECONNREFUSED: { sentence: 'Nobody listens there' },
    EHOSTUNREACH: { sentence: 'A router says that there is no way to this host' },
    ENETUNREACH: { sentence: 'A router says that there is no way to this network' },
    EPROTO: { sentence: 'A router or the peer does not take the packets' },
    EMSGSIZE: { sentence: 'A datagram has up to 65507 bytes, over IPv6 65527', mend: 'send less at once' },
    EADDRNOTAVAIL: { sentence: 'The stack has no such address to send from', mend: 'give one of its own as `source`' },
  },
  ping: {
    ECONNREFUSED: { sentence: 'The host there takes no pings' },
    EHOSTUNREACH: { sentence: 'A router says that there is no way to this host' },
    ENETUNREACH: { sentence: 'A router says that there is no way to this network' },
    EPROTO: { sentence: 'A router or the peer does not take the packets' },
    EMSGSIZE: { sentence: 'It is larger than the path carries', mend: 'give a smaller `size`' },
    EADDRNOTAVAIL: { sentence: 'The stack has no such address to send from', mend: 'give another `localAddress`' },
    ENOBUFS: { sentence: 'As many pings as allowed wait for an answer' },
  },
  read: {
    EPROTO: { sentence: 'A router or the peer does not take the packets' },
  },
  write: {
    EPIPE: { sentence: 'The connection is over' },
  },
};

const RESETS: Entry = {
  sentence:
    '{count} connections were reset within a minute: if the server was not restarted, a box on the way injects RSTs',
  mend: 'have both ends ignore them (`ignore-rst`)',
};

/** What evidence says of an open that nobody has answered, or that a RST has refused. */
const CONNECT_CAUSES = {
  ownFirewall: {
    sentence: 'the firewall of this host drops what is sent there',
    mend: 'let this TCP port pass its OUTPUT chains',
  },
  unsent: { sentence: 'the kernel did not send {count} of them ({code})', mend: 'see `ip route` and `ip link`' },
  noRoute: { sentence: 'this host has no route there ({code})', mend: 'see `ip route`' },
  silentHop: {
    sentence: '{hop}, to which they go by {interface}, does not answer who has its address',
    mend: 'check the link and that address',
  },
  unreachable: { sentence: '{from} says {what}', mend: 'ask whoever runs that router or firewall' },
  otherPort: {
    sentence: 'an answer came to port {port} instead, since this host masquerades its own segments',
    mend: 'exempt TCP to this port from that, or use a TUN',
  },
  strange: {
    sentence: '{what}s came that do not answer them, so that something on the way changes sequence numbers',
    mend: 'look at what comes in with tcpdump',
  },
  notForwarded: {
    sentence: 'nothing from {tun} has come as far as the NAT of this host',
    mend: 'let it pass the FORWARD chains, and have its connections tracked',
  },
  otherSender: {
    sentence: 'the RST has come through {hops} routers and what the server sends through {known}: another has sent it',
    mend: 'look for a firewall on the way',
  },
  resetByNextHop: {
    sentence: 'the RST is from {hop}, the next hop, as its TTL of {hopLimit} says',
    mend: 'look for a firewall or a missing port forwarding there',
  },
} as const satisfies Record<string, Entry & { readonly mend: string }>;

/** A cause that evidence speaks for, with the details of its sentence. */
export interface ConnectCause {
  readonly cause: keyof typeof CONNECT_CAUSES;
  readonly details?: Details;
}

/** What is known of an open that has not succeeded. */
export interface ConnectTrouble {
  /** How many SYNs were sent. */
  readonly syns: number;
  /** From which address and by which interface they leave, where that is known. */
  readonly leaving?: { readonly source: string; readonly interface: string };
  /** The first one first; none where nothing but the silence is known. */
  readonly causes: readonly ConnectCause[];
}

/** Where to get the host's own tools, by program. */
const PROGRAMS: Readonly<Record<string, Pick<Entry, 'option'> & { readonly mend: string }>> = {
  ip: { mend: 'install iproute2, or use packet sockets', option: 'device' },
  nft: { mend: 'install nftables, set the rules by other means, or use packet sockets', option: 'firewall' },
  flock: { mend: 'install util-linux, or use packet sockets', option: 'device' },
};

const WATCH_THE_PATH = 'look at what comes in with tcpdump';
const LIMIT_SENDERS = 'limit by a firewall in front who may reach it';

/**
 * Why something is dropped (native/plane/drop_reason.h names the reasons). Those that a user can do something about have
 * a mend; the others are counted and not said.
 */
const DROPS: Readonly<Record<string, Entry>> = {
  truncated: { sentence: 'packets are shorter than their headers say' },
  notIp: { sentence: 'packets on the device are neither IPv4 nor IPv6' },
  notTcp: { sentence: 'packets on the device are not TCP' },
  fragment: { sentence: 'packets are fragments that cannot be put together' },
  badHeader: { sentence: 'packets have headers that contradict themselves' },
  badChecksum: {
    sentence: 'segments came with a wrong checksum: something on the path damages them',
    mend: 'check the network cards and drivers on both ends',
  },
  eventsFull: {
    sentence: 'more control segments than can be answered: the port is scanned or flooded',
    mend: LIMIT_SENDERS,
  },
  heldFull: { sentence: 'more segments came than are kept for a connection that is being set up' },
  pendingFull: {
    sentence: 'datagrams came faster than the connection was set up: the oldest were dropped',
    mend: 'check that the other end runs, if this lasts',
  },
  abandoned: { sentence: 'datagrams still waited when their connection or their application was forgotten' },
  applicationsFull: {
    sentence: 'more applications than the tunnel takes',
    mend: 'start a second client on another port',
  },
  pathMtu: {
    sentence: 'datagrams larger than what the path carries in one packet',
    mend: 'set the MTU in WireGuard that the line about the path says',
  },
  oversize: {
    sentence: 'datagrams are larger than one segment carries',
    mend: 'lower the MTU of WireGuard (see the MTU line above)',
  },
  emptyDatagram: {
    sentence: 'datagrams of 0 bytes, which go only between two guises that have heard of each other',
    mend: 'have the application send a byte at least (WireGuard never sends less)',
  },
  deviceRefused: {
    sentence: 'the kernel did not take segments that were to be sent',
    mend: 'look at the MTU of the interface, the routes to the other end, and the OUTPUT chains of the host',
  },
  backendRefused: {
    sentence: 'the UDP service did not take datagrams, since nobody listens there or there is no way to it',
    mend: 'start it, and check its address',
  },
  applicationRefused: {
    sentence: 'an application did not take the datagrams for it: it has ended, most likely',
    mend: 'start it again',
  },
  udpSendFailed: { sentence: 'datagrams could not be sent by UDP' },
  noFlow: { sentence: 'datagrams were sent on a connection that had just ended' },
  sendQueueFull: { sentence: 'datagrams were sent faster than the device takes them' },
  outOfWindow: {
    sentence: 'segments came with numbers that the peer would not send: injected, or after a long outage',
    mend: WATCH_THE_PATH,
  },
  badAck: {
    sentence: 'segments came that acknowledge what was never sent: injected, most likely',
    mend: WATCH_THE_PATH,
  },
  icmpForged: { sentence: 'errors came by ICMP that quote no segment that was under way: forged, or late' },
  stranger: { sentence: 'segments belong to no connection' },
  synLimit: {
    sentence: 'connections are asked for faster than segments can be read: the port is flooded',
    mend: LIMIT_SENDERS,
  },
  challengeLimit: { sentence: 'segments asked for an answer too soon after another' },
  flowsFull: {
    sentence: 'as many connections as allowed are open: new ones are refused',
    mend: 'start a second server on another port',
  },
  sourceFull: {
    sentence: 'one address has a quarter of all connections that are allowed: more of its own are refused',
    mend: 'let its clients come from several addresses',
  },
  applicationGone: { sentence: 'connections have lost the application that they were for' },
  finData: { sentence: 'datagrams came with a FIN' },
  deviceOverrun: {
    sentence: 'packets came faster than they were read',
    mend: 'give the host a processor more, or fewer clients',
  },
  notLocal: { sentence: 'packets are for others, to whom this host forwards them' },
  fragmentOverlap: { sentence: 'fragments of one packet contradict each other' },
  fragmentLate: { sentence: 'packets were fragmented on the way, and not all of their fragments came' },
  fragmentCrowded: { sentence: 'more fragments came than are kept' },
};

/** What is wrong with a path that works all the same. */
const NOTICES: Readonly<Record<'unscaled', Entry>> = {
  unscaled: {
    sentence: 'something on the way takes the window scale out of SYNs, so that only 48 KiB can be in flight',
    mend: 'have that firewall, load balancer or satellite modem leave TCP options alone, or take another way',
  },
};

/** All of it, for tests and documentation. */
export const REGISTRY = {
  own: OWN,
  system: SYSTEM,
  stack: STACK,
  programs: PROGRAMS,
  drops: DROPS,
  connectCauses: CONNECT_CAUSES,
  notices: NOTICES,
} as const;

/**
 * The codes of ours. An error of the system has the system's code.
 *
 * @example
 * ```ts
 * import { GuiseError, type GuiseCode, type Socket } from 'guise';
 *
 * declare const socket: Socket;
 * const closed: GuiseCode = 'ERR_GUISE_CLOSED';
 * try {
 *   socket.send(Buffer.from('late'));
 * } catch (error) {
 *   if (!(error instanceof GuiseError) || error.code !== closed) throw error;
 * }
 * ```
 */
export type GuiseCode = keyof typeof OWN;

/** What stands for `{name}` in a sentence. */
export type Details = Readonly<Record<string, string | number>>;

export interface SystemDetails {
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
}

/**
 * An error of guise's, with a code that stays the same from version to version.
 *
 * @example
 * ```ts
 * import { GuiseError, type Stack } from 'guise';
 *
 * declare const stack: Stack;
 * try {
 *   await stack.connect({ address: '203.0.113.7', port: 443 });
 * } catch (error) {
 *   if (!(error instanceof GuiseError) || error.code !== 'ECONNREFUSED') throw error;
 *   console.log(error.message, error.address, error.port);
 * }
 * ```
 */
export class GuiseError extends Error {
  /** The system's (EADDRINUSE …), or one of ours (ERR_GUISE_…). */
  readonly code: string;
  /** Negative, as node:net has it. */
  readonly errno?: number;
  readonly syscall?: string;
  readonly address?: string;
  readonly port?: number;
  /** The option (src/config/schema.ts) by which a user can change what is wrong. */
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

/** Options that cannot be obeyed; a program ends with exit code 2. */
export class UsageError extends GuiseError {
  override readonly name = 'UsageError';
}

/** Builds an error with a code of ours. */
export function guiseError(code: GuiseCode, details: Details = {}, cause?: unknown): GuiseError {
  return build(GuiseError, code, details, cause);
}

/** Builds the error of options that cannot be obeyed. */
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
  return ofSystem(code, syscall, SYSTEM[syscall]?.[code], { address, port });
}

/**
 * Builds the error of a connection, a listener or a UDP socket of the user-space stack, or of a ping.
 *
 * @param error as node:net has its code, or a negative errno
 */
export function stackError(
  error: number | string,
  syscall: string,
  where: { readonly address?: string; readonly port?: number } = {},
): GuiseError {
  const code = typeof error === 'string' ? error : getSystemErrorName(error);
  return ofSystem(code, syscall, STACK[syscall]?.[code] ?? SYSTEM[syscall]?.[code], where);
}

/**
 * Builds the error of an open that has not succeeded, with what is known of the cause.
 *
 * @param code ETIMEDOUT, ECONNREFUSED, or what the kernel said of a SYN
 */
export function connectError(
  code: string,
  remote: { readonly address: string; readonly port: number },
  trouble: ConnectTrouble,
): GuiseError {
  const usual = SYSTEM['connect']?.[code];
  return ofSystem(code, 'connect', usual && withCauses(usual, code === 'ETIMEDOUT', trouble), remote);
}

/** Says that an open takes long, with what is known of the cause. */
export function connectWarning(
  remote: { readonly address: string; readonly port: number },
  trouble: ConnectTrouble,
): string {
  const entry = withCauses(SYSTEM['connect']!['ETIMEDOUT']!, true, trouble);
  return `connect ${formatEndpoint(remote)}: ${sentenceOf(entry, {}).replace('No answer', 'No answer yet')}`;
}

/** What it may mean that connections are reset again and again. */
export function resetsAdvice(count: number): string {
  return sentenceOf(RESETS, { count });
}

/** A cause by itself, in one sentence. */
export function causeSentence({ cause, details = {} }: ConnectCause): string {
  return sentenceOf(CONNECT_CAUSES[cause], details);
}

/** @param counted the sentence says of how many SYNs, and how they leave */
function withCauses({ sentence, mend }: Entry, counted: boolean, { syns, leaving, causes }: ConnectTrouble): Entry {
  const how = leaving ? ` from ${leaving.source} by ${leaving.interface}` : '';
  const what = counted && syns > 0 ? `${sentence} to ${syns} SYN${syns > 1 ? 's' : ''}${how}` : sentence;
  if (causes.length === 0) return { sentence: what, ...(mend === undefined ? {} : { mend }) };
  const filled = causes.map(({ cause, details = {} }) => {
    const entry = CONNECT_CAUSES[cause];
    return { sentence: fill(entry.sentence, details), mend: fill(entry.mend, details) };
  });
  return {
    sentence: `${what}: ${filled.map((each) => each.sentence).join(', and ')}`,
    mend: [...new Set(filled.map((each) => each.mend))].join(', and '),
  };
}

function ofSystem(
  code: string,
  syscall: string,
  entry: Entry | undefined,
  { address, port }: { readonly address?: string | undefined; readonly port?: number | undefined },
): GuiseError {
  const errno: number | undefined = (constants.errno as Readonly<Record<string, number>>)[code];
  const where = address === undefined || port === undefined ? '' : ` ${formatEndpoint({ address, port })}`;
  const what = `${syscall} ${code}${where}`;
  return new GuiseError(code, entry ? `${what}: ${sentenceOf(entry, {})}` : `${what}.`, {
    syscall,
    ...(errno === undefined ? {} : { errno: -errno }),
    ...(address === undefined ? {} : { address }),
    ...(port === undefined ? {} : { port }),
    ...(entry?.option === undefined ? {} : { option: entry.option }),
  });
}

/** Builds what Node itself has for something that took too long: see `AbortSignal.timeout`. */
export function timeoutError(what: string, address: string): DOMException {
  return new DOMException(`${what} ${address}: no answer in time.`, 'TimeoutError');
}

/** Builds the error of a tool of the host's that is not installed, with where to get it. */
export function programMissing(program: string, cause?: unknown): GuiseError {
  const { mend, option } = PROGRAMS[program] ?? { mend: 'install it' };
  return build(GuiseError, 'ERR_GUISE_PROGRAM_MISSING', { program, mend, option: option ?? '' }, cause);
}

/** Builds the error of a tool of the host's that is there, and lacks something. */
export function programUnfit(program: string, lack: string, cause?: unknown): GuiseError {
  const { mend, option } = PROGRAMS[program] ?? { mend: 'install another' };
  return build(GuiseError, 'ERR_GUISE_PROGRAM_UNFIT', { program, lack, mend, option: option ?? '' }, cause);
}

/** What a count of drops means for a user and what helps, or undefined where nothing does. */
export function dropAdvice(reason: string): string | undefined {
  const entry = DROPS[reason];
  return entry?.mend === undefined ? undefined : sentenceOf(entry, {}).replace(/\.$/, '');
}

/** What is wrong with a path, and what helps. */
export function notice(name: keyof typeof NOTICES): string {
  return sentenceOf(NOTICES[name], {});
}

function build<E extends GuiseError>(
  kind: new (...args: ConstructorParameters<typeof GuiseError>) => E,
  code: GuiseCode,
  details: Details,
  cause: unknown,
): E {
  const entry: Entry = OWN[code];
  const option = fill(entry.option ?? '', details);
  return new kind(code, sentenceOf(entry, details), {
    ...(option === '' ? {} : { option }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** One sentence, whether what it quotes ends in a full stop or not. */
function sentenceOf({ sentence, mend }: Entry, details: Details): string {
  return `${fill(sentence, details)}${mend === undefined ? '' : `; ${fill(mend, details)}`}`.replace(/\.?$/, '.');
}

/** What users and tools say stays on the line of the sentence, and cannot steer a terminal. */
// eslint-disable-next-line no-control-regex
const CONTROL_CHARACTERS = /[\0-\x1f\x7f-\x9f\u2028\u2029]+/g;

function fill(text: string, details: Details): string {
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    `${details[name] ?? ''}`.replaceAll(CONTROL_CHARACTERS, ' '),
  );
}
