import t from 'tap';
import { wireGuardMtu } from '../../src/tunnel/mtu.js';

t.test('a WireGuard packet of the advised size fills a segment of the path', async (t) => {
  // 20 IPv4 or 40 IPv6, 20 TCP, 32 WireGuard.
  t.equal(wireGuardMtu(1500, 4), 1428);
  t.equal(wireGuardMtu(1500, 6), 1408);
  t.equal(wireGuardMtu(1420, 4), 1348);
});
