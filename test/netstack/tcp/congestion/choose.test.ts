import t from 'tap';
import { chooseCongestion, CONGESTION_NAMES } from '../../../../src/netstack/tcp/congestion/choose.js';
import { initialWindow } from '../../../../src/netstack/tcp/congestion/window.js';

t.test('each name makes a control of that name', async (t) => {
  t.same(CONGESTION_NAMES, ['cubic', 'reno', 'bbr']);
  for (const name of CONGESTION_NAMES) {
    const control = chooseCongestion(name)(1448, 1);
    t.match(control, { name, window: 14_480, threshold: Infinity, ownsRecovery: name === 'bbr' });
    t.equal(control.pacingRate === Infinity, name !== 'bbr');
  }
});

t.test('the initial window is ten segments, and less of large ones (RFC 6928)', async (t) => {
  const windows = [536, 1448, 1460, 1461, 2000, 8948].map((size) => [size, initialWindow(size)]);
  t.same(windows, [
    [536, 5360],
    [1448, 14_480],
    [1460, 14_600],
    [1461, 14_600],
    [2000, 14_600],
    [8948, 17_896],
  ]);
});
