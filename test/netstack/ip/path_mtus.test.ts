import t from 'tap';
import { PathMtus } from '../../../src/netstack/ip/path_mtus.js';

t.test('what a path carries is known for ten minutes', async (t) => {
  const paths = new PathMtus();
  t.equal(paths.of('10.0.0.1', 0), 0);
  paths.learn('10.0.0.1', 1400, 1000);
  t.equal(paths.of('10.0.0.1', 1000), 1400);
  t.equal(paths.of('10.0.0.2', 1000), 0);
  t.equal(paths.of('10.0.0.1', 600_999), 1400);
  t.equal(paths.of('10.0.0.1', 601_000), 0);
  t.equal(paths.of('10.0.0.1', 1000), 0, 'and is forgotten then');
});

t.test('less than every path carries is not believed', async (t) => {
  const paths = new PathMtus();
  paths.learn('10.0.0.1', 68, 0);
  paths.learn('fd00::1', 68, 0);
  t.equal(paths.of('10.0.0.1', 1), 552);
  t.equal(paths.of('fd00::1', 1), 1280);
});

t.test('of more paths than are remembered the first is forgotten', async (t) => {
  const paths = new PathMtus();
  const address = (index: number): string => `10.0.${index >> 8}.${index & 255}`;
  for (let index = 0; index < 1024; index++) paths.learn(address(index), 1400, 0);
  paths.learn(address(0), 1300, 1);
  paths.learn(address(2000), 1400, 2);
  t.equal(paths.of(address(0), 3), 1300, 'what was learned again is the newest');
  t.equal(paths.of(address(1), 3), 0);
  t.equal(paths.of(address(2000), 3), 1400);
});
