/**
 * Every number that is a choice of ours: its unit, its reason, its source. Numbers of wire formats and kernel interfaces
 * stand where those are spoken. What the data plane decides by is handed to it when it starts: nothing of this is written
 * again in C++.
 */

/**
 * What the data plane goes by. native/plane/policy.h has the same fields, native/binding/policy.cc their ranges.
 */
export const DATA_PLANE = {
  /**
   * Bytes received before a pure ACK is sent: between the two, by the pace of the last so many milliseconds. The least is
   * every second datagram of the usual size, as TCP does; the most is four of the largest packets. Up to so many bytes a
   * second it is the least, and beyond them what is received in this part of a second more. So there are no more than 6100
   * ACKs a second, at 100 Mbit/s, and 2000 to 2200 from 1 Gbit/s on. A firewall that stops after 64 KiB which nobody has
   * acknowledged lets 105 Mbit/s pass over a round trip of 5 ms at most, and 3 KiB are what is left of them for 100: that
   * is where each second datagram matters. Those that stop later leave more.
   */
  leastAckBytes: 2 << 10,
  mostAckBytes: 256 << 10,
  everySecondRate: 12_500_000,
  acksPerSecond: 2000,
  ackPaceInterval: 20,
  /** The most while windows are not scaled: a sixth of `unscaledWindow`, so that one lost ACK does not stop the sender. */
  unscaledAckBytes: 8 << 10,
  /**
   * Milliseconds before a pure ACK is sent for less than that. Far below the 300 s after which conntrack forgets data
   * that nobody acknowledges (nf_conntrack_tcp_timeout_unacknowledged), so that one-way traffic stays ESTABLISHED.
   */
  ackInterval: 200,
  /**
   * Milliseconds between two ACKs of one connection to segments that ask for one: probes of an honest peer come every
   * 500 (LIVENESS.probeWait). A limit for all connections together would leave keepalives of some unanswered when
   * others are busy with it, and tell strangers of them (CVE-2016-5696).
   */
  challengeInterval: 100,
  /**
   * Bytes that may leave before the peer's first segment, and that may be in flight at any time where something has taken
   * the window scale out of the handshake. A SYN-ACK's window is not scaled: 64 KiB are all that a strict router lets
   * through until it sees a scaled one (net/netfilter/nf_conntrack_proto_tcp.c, tcp_in_window). What is left of them is
   * for the datagrams that are sent to a peer whose ACKs are missing, one each `ackInterval`.
   */
  unscaledWindow: 48 << 10,
  /**
   * Bytes that are sent, and milliseconds without an acknowledgement, until a bare ACK says how far we are: a quarter of
   * what the strictest firewalls let through, and as soon as the coarse clock tells. It is the time that a connection
   * stands still which such a firewall has stopped. Doubled each time, five times at most: over a way of 600 ms that are
   * seven packets of 40 bytes, and no more than six a second where nobody acknowledges.
   */
  unansweredBytes: 16 << 10,
  unansweredWait: 5,
  /** Bytes by which a datagram or its ACK number may be late when others have overtaken it: 100 ms of 10 Gbit/s. */
  lateWindow: 1 << 27,
  /**
   * Bytes that a FIN may be ahead, because what came before it is lost, and that its ACK number may be late. It ends the
   * connection, so it is believed less than a datagram: of random numbers one in 250 and one in 4000.
   */
  finWindow: 1 << 24,
  finLateWindow: 1 << 20,
  /**
   * Datagrams in a row outside of the window, with ACK numbers that only somebody who sees the connection knows, after
   * which they are believed: after an outage the peer may have sent more than a window.
   */
  believedStrays: 8,
  /** Seconds of a slot of the clock in a SYN cookie, which is good in its own slot and the next: 32 to 64 s. */
  cookieSlotSeconds: 32,
  /** Segments with neither a connection nor a cookie that JavaScript hears of each second: it answers some with a RST. */
  strangersPerSecond: 100,
  /** ICMP errors about segments of ours that JavaScript hears of each second, a worker: one tells all that there is. */
  icmpErrorsPerSecond: 100,
  /** Full batches of segments in a row, until SYNs are refused: that many clients may come at once. */
  fullBatchesBeforeBusy: 32,
  /**
   * SYNs that are then answered in a batch, and of those that were refused before. An answer takes the kernel on its way
   * to the wire as long as reading and refusing five: with no limit 100 000 SYNs a second keep the device's queue full,
   * and it drops one in ten datagrams of those who are connected.
   */
  synAnswersWhenBusy: 16,
  /**
   * Bytes that remember refused SYNs, one each, from the first refusal on. Of SYNs that are refused at 100 000 a second,
   * 9 in 10 are still known a second later, when an honest client asks again; 1 in 256 that never came is taken for known.
   */
  refusedSynSlots: 1 << 20,
  /** Bytes that wait for one application, and for one connection that is neither read nor spliced. */
  queueBytes: 1 << 20,
  /** Bytes that wait in all of these queues together. */
  allQueuesBytes: 64 << 20,
  /** Bytes that JavaScript may be ahead of a worker, a connection. */
  sendQueueBytes: 4 << 20,
  /** Bytes of events that wait for JavaScript, a worker, twice: 10 ms of datagrams at 2 Gbit/s, the most it reads. */
  eventBufferBytes: 2 << 20,
  /** Applications of one worker. */
  maxApplications: 65_536,
  /**
   * Packets that are read from the device before other descriptors of the worker have their turn, and bytes: 16 of the
   * largest, which the processor's cache still holds when they are sent.
   */
  deviceBatchPackets: 64,
  deviceBatchBytes: 1 << 20,
  /**
   * Bytes of the send buffer of packet sockets, as far as the host allows, and milliseconds that a packet may wait for
   * room in it: a link of 100 Mbit/s takes 64 KiB in 5.
   */
  linkSendBytes: 4 << 20,
  linkSendWait: 10,
  /**
   * Bytes of fragments that wait for the rest of their packets, a worker, with what it takes to keep them: the kernel's
   * own limit for all of them is 4 MiB (net.ipv4.ipfrag_high_thresh). Of one packet they are 64 at most: as many as 64 KiB
   * have on a link of 1 KiB.
   */
  fragmentBytes: 4 << 20,
  fragmentsOfPacket: 64,
  /** Milliseconds that they wait: as long as the kernel lets them (net.ipv4.ipfrag_time, net.ipv6.ip6frag_time). */
  fragmentWait4: 30_000,
  fragmentWait6: 60_000,
  /**
   * Messages that are received from a UDP socket at once, and of large ones, that the kernel has merged: no more than
   * the cache still holds when they are sent.
   */
  udpBatchMessages: 64,
  udpBatchLargeMessages: 8,
  /**
   * Bytes of the kernel's buffers of a UDP socket, each way: a burst of 5 ms at 10 Gbit/s (wireguard-go asks for the same,
   * conn/controlfns.go).
   */
  udpSocketBytes: 7 << 20,
} as const;

/** What a packet port (src/native/packet_port.ts) keeps at most. */
export const PACKET_PORT = {
  /** Fragments, as for DATA_PLANE; of one packet as many as 64 KiB have with an MTU of 576. */
  fragmentBytes: DATA_PLANE.fragmentBytes,
  fragmentsOfPacket: 128,
  fragmentWait4: DATA_PLANE.fragmentWait4,
  fragmentWait6: DATA_PLANE.fragmentWait6,
  /** Bytes of packets that wait in memory, each way, where there is no device: a window of the largest (16 MiB). */
  queueBytes: 16 << 20,
} as const;

/** What packet sockets receive with. */
export const RINGS = {
  /**
   * Bytes of the kernel's rings, for all workers together, of each family that is used, and the most of the host's memory
   * that they may be. They hold what comes while another thread has the processor: 7 ms of 20 Gbit/s in packets of
   * 64 KiB, 11 ms of what a plain sender's datagrams leave in, 20 ms of a flood of 100 000 SYNs a second. With half of it,
   * 5 % were lost on two processors that a sender and a receiver kept busy.
   */
  bytes: 32 << 20,
  memoryShare: 1 / 64,
} as const;

/** Established connections, and those that are being opened. */
export const CONNECTION = {
  /** Milliseconds until a SYN is sent again, doubled each time: at 0, 1, 3 and 7 s, as Linux does (RFC 6298 §2.1, §5.5). */
  synWait: 1000,
  /** Milliseconds without an answer until what is known of the cause is said: two SYNs have had none. */
  unansweredAfter: 3000,
  /** Milliseconds until an open has failed: four SYNs and time for an answer to the last. */
  connectTimeout: 15_000,
  /** Ports that connections are opened from: Linux's net.ipv4.ip_local_port_range, which phantun takes too. */
  firstPort: 32_768,
  lastPort: 60_999,
  /** FINs before the peer is given up, and milliseconds from one to the next: a close takes 1.2 s at most. */
  finTries: 3,
  finWait: 400,
  /** Milliseconds for which a connection that the peer closed still answers a repeated FIN. */
  linger: 2000,
  /** RSTs to strangers a second: what they make us send must not be worth provoking. */
  resetsPerSecond: 100,
  /** Bytes of the largest IP packet, unless told otherwise: Ethernet's. */
  mtu: 1500,
  /** Bytes, with `datagramOverhead` for each datagram, that wait for a reader in JavaScript; the oldest go first. */
  receiveQueueBytes: 4 << 20,
  /**
   * Bytes that a waiting datagram takes beside its own, as a Uint8Array with a buffer of its own: measured as resident
   * memory on Node 20, 230 with 1400 bytes and 360 to 400 with less.
   */
  datagramOverhead: 400,
  /** Connections of one listener that nobody has taken yet: Node's default of net.Server.listen. More are refused. */
  backlog: 511,
  /** Milliseconds for which an address may be gone: renewing one takes it away for a moment. */
  addressPatience: 500,
  /** Milliseconds between two rounds, each of which checks the connections that are due. */
  roundInterval: 125,
  /** Checks within an idle time-out: a connection is closed a sixteenth late at most. */
  idleParts: 16,
  /** Default of connections at the same time, and the most: 128 bytes of counters are reserved for each. */
  maxFlows: 65_536,
  mostFlows: 1 << 20,
  /** One remote address may have opened a quarter of them by default. */
  sourceShare: 1 / 4,
} as const;

/** Defaults of a tunnel. */
export const TUNNEL = {
  /** Milliseconds without a datagram until a connection is closed: phantun's UDP_TTL. */
  idleTimeout: 180_000,
} as const;

/** How large a packet a path carries. */
export const PATH = {
  /** Bytes that no limit is below: every host takes 576 (RFC 1122 §3.3.2), every link of IPv6 1280 (RFC 8200 §5). */
  least4: 576,
  least6: 1280,
  /** Milliseconds for which a limit that was learned holds before a larger one is tried (RFC 1191 §6.3, RFC 8201 §4). */
  learnedFor: 600_000,
  /**
   * Bytes of packets that are searched among, the largest first: FDDI's and Ethernet's jumbo frames, then what is left of
   * 1500 behind PPPoE (1492), GRE (1476), IPv6 in IPv4 (1480), L2TP (1460), LTE (1428 to 1430), WireGuard (1440, 1420,
   * 1412), VXLAN (1450), IPsec (1400 to 1446) and one in the other; RFC 1191 §7.1 for the rest.
   */
  sizes: [
    65_535, 32_000, 17_914, 9000, 8166, 4352, 2002, 1500, 1492, 1488, 1484, 1480, 1476, 1472, 1468, 1464, 1460, 1456,
    1452, 1450, 1446, 1440, 1436, 1432, 1430, 1428, 1424, 1420, 1412, 1406, 1400, 1390, 1380, 1370, 1360, 1350, 1340,
    1320, 1300, 1280, 1260, 1240, 1200, 1100, 1006, 800,
  ],
  /** Milliseconds for which what a route carries is good: many connections to one address are opened at once. */
  routeFresh: 1000,
  /**
   * Rounds of probes before what is not answered counts as lost; of those that search, which are many at once; and
   * answers to small ones that it takes for that.
   */
  tries: 4,
  searches: 4,
  smallAnswers: 2,
  /** Milliseconds from one round to the next: at first, and twice the round trip within these. */
  firstWait: 500,
  shortestWait: 250,
  longestWait: 2000,
  /** Milliseconds for which what was found out is not asked again. */
  rest: 5000,
} as const;

/** Whether segments come as they left. */
export const BOUNDARIES = {
  /** Bytes of the small probes, and the most of the large ones. */
  small: 64,
  large: 16_384,
  /** Times that a peer is asked; a lost answer says nothing. */
  tries: 3,
  /**
   * Connections that are asked each second: of 4000 that were opened at once, the probes of all in one go were more than
   * the peer's ring holds, and one in five first datagrams was lost.
   */
  perSecond: 1000,
  /** Milliseconds from one to the next; as long as nothing was heard of the peer, doubled each time. */
  wait: 500,
  longestWait: 32_000,
} as const;

/** Whether a peer lives. */
export const LIVENESS = {
  /**
   * Milliseconds without a segment until the peer is probed although nothing is sent: far below the 300 s of the most
   * impatient routers.
   */
  keepalive: 25_000,
  /** A keepalive comes up to this share of its time early: those of many that were opened at once come apart. */
  keepaliveJitter: 0.25,
  /** Milliseconds of silence from a peer that is sent datagrams until it is probed. */
  deadAfter: 5000,
  /** Probes without an answer before the peer is dead, and milliseconds from one to the next. */
  probes: 3,
  probeWait: 500,
  /** Milliseconds from one check of a peer to the next. */
  checkInterval: 500,
  /**
   * Of a peer that acknowledges. Milliseconds in which it does, with a margin for its timer (DATA_PLANE.ackInterval, from
   * the first of the datagrams on), and the least that is waited for an answer beside that: a host may have other things
   * to do for so long.
   */
  ackWait: 200,
  leastTimeout: 100,
  /** Milliseconds that a round trip is taken for before one was measured (RFC 6298 §2.1). */
  firstRoundTrip: 1000,
  /**
   * Probes before the connection is given up, and milliseconds from one to the next: no less than the peer answers
   * (DATA_PLANE.challengeInterval). Where 20 % are lost each way, all of them are in one of 200 000 silences, and an hour
   * of a datagram a second has 1300 of these.
   */
  manyProbes: 12,
  shortProbeWait: 125,
  /** Probes before a SYN asks whether the server is there, and milliseconds until the next SYN. */
  askAfter: 2,
  askWait: 1000,
  /** Milliseconds from one check to the next. */
  acknowledgedCheckInterval: 250,
  /** … of any peer, before it is left alone until its keepalive, or the next datagram. */
  idleCheckInterval: 1500,
  /** Milliseconds by which a check may be late and still count as silence of the peer. */
  forgiven: 500,
} as const;

/** How a client gets a connection back. */
export const RECONNECT = {
  /** Milliseconds before a failed connection is tried again: doubled each time, half to one and a half of it. */
  firstWait: 250,
  longestWait: 2000,
  /** … before one is tried again over whose path no datagram comes whole. */
  damagedWait: 60_000,
  /**
   * Milliseconds that a connection has to last to be replaced at once when it is lost; after less there is a wait. A
   * server that is full resets what it has taken, in a round trip.
   */
  stable: 1000,
  /** Connections that were reset within these milliseconds, after which that is said: a server is not restarted so often. */
  suspiciousResets: 3,
  resetsWithin: 60_000,
  /** Milliseconds that an attempt to connect again may take: SYNs at 0, 1 and 3 s, then from another port. */
  timeout: 5000,
  /**
   * Milliseconds for which a connection that has been replaced still delivers. WireGuard answers within 10 s what it
   * only receives (its KEEPALIVE_TIMEOUT), and thereby leads the other end to the new one.
   */
  drain: 12_000,
} as const;

/** Names and the addresses that they lead to. */
export const NAMES = {
  /** Milliseconds between two look-ups of a server's name. */
  lookUpInterval: 30_000,
  /** Milliseconds for which addresses are good: many connections are opened again at once. */
  fresh: 2000,
  /** Milliseconds that a connection waits for addresses: the resolver may be behind the tunnel that is down. */
  patience: 2000,
  /** Milliseconds that an address has before the next is tried beside it (RFC 8305 §5, Connection Attempt Delay). */
  headStart: 250,
  /**
   * Milliseconds until it is said that a name has not been looked up yet, and between two tries, doubled each time: a
   * network comes up within seconds of a boot, and a resolver that is back is to be found soon.
   */
  lookUpPatience: 2000,
  firstRetry: 500,
  longestRetry: 5000,
  /** Milliseconds that a service's address has to refuse a datagram, and until all are asked again that did. */
  refusalWait: 50,
  serviceWait: 500,
} as const;

/** UDP of the user-space stack (src/netstack/ip). */
export const NETSTACK_UDP = {
  /** Bytes that wait for a reader, of a socket and of a session, and what a datagram counts beside its own bytes. */
  queueBytes: 1 << 20,
  datagramCost: 128,
  /**
   * Bytes up to which a datagram is copied when it is handed out: a larger one is a part of the slab that it was read
   * into, which stays as long as it does.
   */
  copiedBytes: 2048,
  /** Milliseconds without a datagram after which a session ends: no less is allowed to a NAT (RFC 4787 §4.3). */
  idleTimeout: 120_000,
  /** Sessions of a socket. */
  sessions: 16_384,
  /**
   * Milliseconds for which it is remembered what a path carries (RFC 1191 §6.3), of so many addresses, and the least that
   * is believed (net.ipv4.route.min_pmtu; RFC 8200 §5).
   */
  pathMemory: 600_000,
  paths: 1024,
  leastMtu4: 552,
  leastMtu6: 1280,
  /** Ports that are chosen from when the user leaves it to the stack (RFC 6335 §6). */
  firstPort: 49_152,
  lastPort: 65_535,
} as const;

/** ICMP of the user-space stack (src/netstack/ip). */
export const NETSTACK_ICMP = {
  /** Errors a second to all, and how many of them at once (net.ipv4.icmp_msgs_per_sec, icmp_msgs_burst). */
  errorsPerSecond: 1000,
  errorBurst: 50,
  /**
   * Milliseconds from one error to the next to the same address (net.ipv4.icmp_ratelimit, net.ipv6.icmp.ratelimit), and
   * how many at once (XRLIM_BURST_FACTOR of net/ipv4/icmp.c).
   */
  peerInterval4: 1000,
  peerInterval6: 100,
  peerBurst: 6,
  /** Addresses that it is known of when they were last sent an error. */
  peers: 1024,
  /** TTL and hop limit of what is sent (RFC 1122 §3.2.1.7, net.ipv6.conf.all.hop_limit). */
  hopLimit: 64,
  /** Milliseconds that an answer to a ping is waited for, and the bytes that it carries, as those of iputils. */
  pingTimeout: 10_000,
  pingSize: 56,
  /** Echo requests of others at a time that the user has not decided about; more are not answered. */
  undecidedPings: 1024,
  /** Pings that wait for an answer: fewer than the 65 536 numbers that there are for them. */
  pings: 8192,
} as const;

/** What the user-space stack remembers of addresses. */
export const NETSTACK_ADDRESSES = {
  /** Slots, each a power of two: addresses whose spelling is known, and pairs that the filters have judged. */
  names: 4096,
  verdicts: 4096,
  /** Spellings whose bytes are known. */
  bytes: 4096,
} as const;

/** What is said, and when. */
export const OBSERVE = {
  /** Lines about single connections a second; a flood of them would cost more than the connections. */
  connectionLines: 50,
  /**
   * Milliseconds that a service may take for its first datagram back until that is said at the client: WireGuard asks
   * twice in that time (its REKEY_TIMEOUT is 5 s).
   */
  answerWait: 10_000,
  /**
   * Bytes of lines that wait for whoever reads the log: as much as a pipe holds. Milliseconds between two tries to write
   * them, and those that the end of the program waits for it.
   */
  logQueueBytes: 64 << 10,
  logRetry: 100,
  logPatience: 500,
  /** Milliseconds between two looks at what was dropped. */
  dropInterval: 5000,
  /** Remote addresses of which it is remembered what was said of their paths. */
  pathsRemembered: 1024,
  /** A reason for drops is said again when its count has grown by this factor. */
  dropGrowth: 10,
} as const;

/** What guise sets up on a host. */
export const HOST = {
  /** Milliseconds between two looks whether others have undone it. */
  keepInterval: 1000,
  /** Failures in a row until they are told: while somebody changes rules, one that has gone in between is no news. */
  keepFailures: 3,
  /** Milliseconds until the next try then. */
  keepLongInterval: 30_000,
  /** Where rules change all the time, looks at them take this part of it, and up to these milliseconds ahead. */
  firewallShare: 0.002,
  firewallAhead: 1000,
  /** Packets that wait for a slow worker: a burst of one round trip, where the default of 500 is lost (Firezone's finding). */
  tunQueueLength: 10_000,
  /** Milliseconds before a tunnel whose interface was deleted is set up again. */
  reopenWait: 500,
  /** Two guises' pairs of addresses are this far apart, as if each were a network of its own. */
  addressStep: 4,
  /**
   * Pairs to go on from where networks and routes of the host have all of the usual ones: RFC 1918, the addresses of
   * benchmarks (RFC 2544), which nobody routes, and RFC 4193.
   */
  otherAddresses: [
    ['10.200.200.1', '10.200.200.2'],
    ['172.30.200.1', '172.30.200.2'],
    ['198.19.200.1', '198.19.200.2'],
    ['fd67:7569:7365::1', 'fd67:7569:7365::2'],
  ],
  /** Routes to larger networks are parts of a default route (0.0.0.0/1, 2000::/3), or of all that is private (fc00::/7). */
  leastNetworkBits: 8,
} as const;

/** How packets are read by the user-space stack (src/netstack/loop). */
export const NETSTACK_LOOP = {
  /**
   * Bytes of the memory that packets are read into, and of which parts are handed out: 15 of the largest packets. The
   * next is made when this is used up.
   */
  slabBytes: 1 << 20,
  /** Bytes up to which a payload is copied: one byte that a reader keeps does not keep a slab. */
  copiedBytes: 1024,
  /** Packets that are read before users have their turn. */
  batchPackets: 64,
  /** Bytes of the largest packet of a stack without a device, unless told otherwise: Ethernet's. */
  mtu: 1500,
  /** Milliseconds of the longest timer: what is due later is looked at in between. */
  longestTimer: 3_600_000,
} as const;

/** TCP of the user-space stack (src/netstack). */
export const NETSTACK_TCP = {
  /** Bytes that a stream keeps for its reader and its writer beside the connection's own buffers: two large packets. */
  streamBytes: 128 << 10,
  /** Bytes of a connection's buffers: at first, and the most that they grow to (net.ipv4.tcp_wmem, tcp_rmem). */
  sendBuffer: 256 << 10,
  sendBufferMost: 4 << 20,
  receiveBuffer: 64 << 10,
  receiveBufferMost: 6 << 20,
  /** Bytes by which the receive buffers of all connections may grow. */
  receiveBudget: 256 << 20,
  /** Connections at the same time, those in TIME-WAIT among them. */
  mostConnections: 65_536,
  /** Handshakes that something is kept of; those beyond are answered by SYN cookies. */
  halfOpen: 1024,
  /** Connections in TIME-WAIT: the oldest goes for the newest. 10 MB. */
  mostTimeWait: 4096,
  /** Accepted connections of one listener that nobody has taken yet: Node's default of net.Server.listen. */
  backlog: 511,
  /** Ports that connections are opened from: Linux's net.ipv4.ip_local_port_range. */
  firstPort: 32_768,
  lastPort: 60_999,
  /** ACKs that answer what looks like an attack, a second, all connections together (RFC 5961 §7). */
  challengesPerSecond: 1000,
  /** Milliseconds that a stack which is closed waits for connections that their users have closed before. */
  closePatience: 2000,
  /**
   * Of `setKeepAlive`: milliseconds of silence (RFC 9293 §3.8.4), and of libuv's uv_tcp_keepalive, so that a dead peer is
   * found as soon as with `net.Socket`, those between probes and their number.
   */
  keepAliveTime: 7_200_000,
  keepAliveInterval: 1000,
  keepAliveProbes: 10,
  /** Of each connection; milliseconds, and numbers of tries (src/netstack/tcp/options.ts). */
  times: {
    keepAliveInterval: 1000,
    keepAliveProbes: 10,
    /** As Linux: net.ipv4.tcp_syn_retries, tcp_retries2. */
    synRetries: 6,
    retries: 15,
    userTimeout: 0,
    /** 2 MSL as in Linux (TCP_TIMEWAIT_LEN). */
    timeWait: 60_000,
    /** The shortest of Linux's (TCP_DELACK_MIN). */
    delayedAck: 40,
  },
} as const;
