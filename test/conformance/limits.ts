/** How long a connection had something to send, and how long the peer's window held it: two clocks of struct tcp_info. */
import type { Connection } from '../../src/netstack/tcp/connection.js';

export class Limits {
  /** Microseconds. */
  busy = 0;
  byPeer = 0;

  /** Time passes in which nothing changes. */
  pass(connection: Connection, microseconds: number): void {
    const { queue, nxt, una, sendWindow, segmentSize } = connection;
    if (queue.size === 0) return;
    this.busy += microseconds;
    const sent = (nxt - una) | 0;
    const unsent = queue.size - sent;
    if (unsent > 0 && sendWindow - sent < Math.min(unsent, segmentSize)) this.byPeer += microseconds;
  }
}
