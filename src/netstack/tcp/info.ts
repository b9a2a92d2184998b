/** What a connection tells of itself. */
import type { ControlBlock } from './control_block.js';
import { type ConnectionInfo } from './options.js';
import { windowOf } from './recovery.js';
import { STATE } from './states.js';

const NAMES = Object.keys(STATE) as (keyof typeof STATE)[];

export function describe(c: ControlBlock): ConnectionInfo {
  const { roundTrip, congestion } = c;
  return {
    state: NAMES[c.state]!,
    roundTrip: roundTrip.smoothed,
    roundTripVariance: roundTrip.variance,
    leastRoundTrip: roundTrip.least,
    retransmissionTimeout: roundTrip.timeout * 2 ** c.backoff,
    congestion: congestion.name,
    congestionWindow: windowOf(c),
    slowStartThreshold: congestion.threshold,
    inFlight: c.inFlight,
    sendWindow: c.sendWindow,
    receiveWindow: Math.max(0, (c.edge - c.rcvNxt) | 0),
    segmentSize: c.segmentSize,
    sendQueue: c.queue.size,
    receiveQueue: c.unread,
    bytesSent: c.bytesSent,
    bytesReceived: c.bytesReceived,
    bytesRetransmitted: c.bytesResent,
    timeouts: c.timeouts,
    recoveries: c.recoveries,
    spurious: c.spurious,
    deliveryRate: c.deliveryRate,
    ecn: c.ecn,
  };
}
