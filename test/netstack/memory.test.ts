/** What an idle connection takes of memory, with its socket. */
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { TcpSocket } from '../../src/netstack/index.js';
import { B4, Pair } from './pair.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of the heap and of what it holds outside. */
function used(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

t.test('an idle connection takes 3 KiB at most, with its socket', async (t) => {
  const many = 4000;
  await using pair = await Pair.open();
  const open: TcpSocket[] = [];
  const listener = pair.b.listen({ port: 7 });
  listener.on('connection', (socket) => open.push(socket));
  const openOne = async (): Promise<void> => {
    const socket = pair.a.connect({ address: B4, port: 7 });
    await once(socket, 'connect');
    open.push(socket);
  };
  const openMany = async (count: number): Promise<void> => {
    for (let each = 0; each < count; each += 100) await Promise.all(Array.from({ length: 100 }, openOne));
    while (open.length % (2 * 100) !== 0) await new Promise(setImmediate);
  };
  // Tables grow, code is compiled.
  await openMany(400);
  const before = used();
  await openMany(many);
  // Both ends are here.
  const each = (used() - before) / (2 * many);
  t.comment(`${Math.round(each)} bytes`);
  t.ok(each < 3 * 1024, `${Math.round(each)} bytes`);
});
