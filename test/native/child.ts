/**
 * What a test does in a process of its own: one sentence on standard output is the answer.
 *
 *     node dist/test/native/child.js throw [caught]    a listener that throws at the first of 51 datagrams
 *     node dist/test/native/child.js open ROOM         opens an engine where there is room for ROOM descriptors
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setImmediate as nextRound } from 'node:timers/promises';
import { Engine } from '../../src/native/engine.js';
import { DATA_PLANE } from '../../src/policy.js';
import { encodeTuple } from '../../src/wire/tuple.js';
import { CLIENT4, SERVER4, socketpair, Wire } from '../support/device.js';
import { FLOW } from '../support/flow.js';
import { build } from '../support/segment.js';

const DATAGRAMS = 51;
const ignore = (): void => {};
const handlers = {
  datagram: ignore,
  segment: ignore,
  opening: ignore,
  application: ignore,
  attached: ignore,
  applicationGone: ignore,
  awake: ignore,
  refused: ignore,
  unsent: ignore,
  addresses: () => {},
  largeSent: () => {},
  answer: () => {},
  recut: () => {},
  icmpError: () => {},
  deviceGone: ignore,
};
const options = { virtioHeader: false, segmentation: false, offload: false, maxFlows: 1, ...DATA_PLANE };

const descriptors = (): number => readdirSync('/proc/self/fd').length;

async function throwOnce(caught: boolean): Promise<void> {
  const [device, far] = socketpair();
  using wire = new Wire(far);
  let delivered = 0,
    uncaught = 0;
  if (caught) process.on('uncaughtException', () => uncaught++);
  const engine = new Engine(
    { ...options, devices: [device] },
    {
      ...handlers,
      datagram: () => {
        if (++delivered === 1) throw new Error('the listener is wrong');
      },
    },
  );
  const addresses = { source: CLIENT4, destination: SERVER4, sourcePort: 1000, destinationPort: 443 };
  const flow = engine.openFlow(encodeTuple({ address: SERVER4, port: 443 }, { address: CLIENT4, port: 1000 }), FLOW);
  engine.readFlow(flow);
  for (let i = 0; i < DATAGRAMS; i++) {
    wire.write(build({ ...addresses, seq: 1 + i, ack: 1, flags: 0x10, payload: Buffer.from([i]) }));
  }
  while (engine.flowCounters(flow).receivedDatagrams < DATAGRAMS) continue; // events are read when this task has ended
  for (let rounds = 0; rounds < 1000 && delivered < DATAGRAMS; rounds++) await nextRound();
  await nextRound();
  engine.close();
  process.stdout.write(`${delivered} delivered, ${uncaught} uncaught`);
}

/** With room for `room` descriptors besides the device. */
function open(room: number): void {
  // What Node opens when the first engine is, it keeps.
  const [warm] = socketpair();
  new Engine({ ...options, devices: [warm] }, handlers).close();
  const [device] = socketpair();
  const before = descriptors();
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'));
  } catch {
    for (let i = 0; i < room; i++) closeSync(taken.pop()!);
  }
  let answer = 'opened';
  try {
    new Engine({ ...options, devices: [device] }, handlers).close();
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    answer = `${code} ${syscall}`;
  }
  for (const fd of taken) closeSync(fd);
  const closed = before - descriptors();
  process.stdout.write(`${answer}, ${closed} closed`);
}

const [what, how] = process.argv.slice(2);
if (what === 'throw') await throwOnce(how === 'caught');
else open(Number(how));
