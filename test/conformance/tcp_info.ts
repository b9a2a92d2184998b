/** struct tcp_info (include/uapi/linux/tcp.h), as far as the machine knows what it asks. */
import type { Connection } from '../../src/netstack/tcp/connection.js';
import { MODE, STATE } from '../../src/netstack/tcp/states.js';
import { LOST, RESENT, SACKED } from '../../src/netstack/tcp/scoreboard.js';
import { MTU } from './sysctls.js';
import type { TcpSocket } from './tcp_socket.js';

const SIZE = 280;

/** The kernel's numbers of the states. */
const STATE_OF: Record<number, number> = {
  [STATE.established]: 1,
  [STATE.synSent]: 2,
  [STATE.synReceived]: 3,
  [STATE.finWait1]: 4,
  [STATE.finWait2]: 5,
  [STATE.timeWait]: 6,
  [STATE.closed]: 7,
  [STATE.closeWait]: 8,
  [STATE.lastAck]: 9,
  [STATE.listen]: 10,
  [STATE.closing]: 11,
};

/** tcp_ca_state. */
const OPEN = 0;
const DISORDER = 1;
const CONGESTION_OF: Record<number, number> = { [MODE.reduced]: 2, [MODE.recovery]: 3, [MODE.loss]: 4 };

/** TCP_INFINITE_SSTHRESH. */
const NO_THRESHOLD = 0x7fff_ffff;

export function tcpInfo(socket: TcpSocket, connection: Connection, milliseconds: number): Buffer {
  const info = connection.info();
  const { outstanding, sacked, lost, resent } = underWay(connection);
  const bytes = Buffer.alloc(SIZE);
  const u32 = (offset: number, value: number): number => bytes.writeUInt32LE(Math.round(value), offset);
  const u64 = (offset: number, value: number): number => bytes.writeBigUInt64LE(BigInt(Math.round(value)), offset);
  bytes[0] = STATE_OF[connection.state] ?? 7;
  const isDisordered = sacked > 0 || connection.duplicates > 0;
  bytes[1] = CONGESTION_OF[connection.mode] ?? (isDisordered ? DISORDER : OPEN);
  bytes[3] = connection.unanswered;
  bytes[4] = connection.backoff;
  u32(8, info.retransmissionTimeout * 1000);
  u32(16, info.segmentSize);
  u32(20, connection.peerSegment);
  u32(24, outstanding);
  u32(28, sacked);
  // The kernel counts what is lost until it has arrived, whether it was sent again or not.
  u32(32, lost + (connection.mode === MODE.open ? 0 : resent));
  u32(36, resent);
  u32(52, milliseconds - socket.lastReceived);
  u32(60, MTU);
  u32(68, info.roundTrip * 1000);
  u32(72, info.roundTripVariance * 1000);
  const threshold = info.slowStartThreshold / info.segmentSize;
  u32(76, Number.isFinite(threshold) ? Math.floor(threshold) : NO_THRESHOLD);
  u32(80, Math.floor(info.congestionWindow / info.segmentSize));
  u32(84, socket.mostSegment || MTU - (socket.local!.address.length === 16 ? 60 : 40));
  u32(88, connection.rack.reordering);
  u64(168, socket.limits.busy);
  u64(176, socket.limits.byPeer);
  return bytes;
}

/** Segments that are sent and not acknowledged in order, by what became of them. */
function underWay({ board }: Connection): { outstanding: number; sacked: number; lost: number; resent: number } {
  const counts = { outstanding: 0, sacked: 0, lost: 0, resent: 0 };
  board.each(({ size, segmentSize, state }) => {
    const segments = Math.ceil(size / segmentSize);
    counts.outstanding += segments;
    if (state & SACKED) counts.sacked += segments;
    else if (state & LOST) counts.lost += segments;
    else if (state & RESENT) counts.resent += segments;
    return true;
  });
  return counts;
}
