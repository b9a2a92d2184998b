import fc from 'fast-check';
import t from 'tap';
import { addon } from '../../src/native/addon.js';
import { Engine } from '../../src/native/engine.js';
import type { EngineEvents } from '../../src/native/types.js';
import { DATA_PLANE } from '../../src/policy.js';
import { parseSynOptions, type PeerSyn } from '../../src/wire/syn_options.js';
import { encodeTuple } from '../../src/wire/tuple.js';
import { CLIENT4, SERVER4, socketpair, Wire } from '../support/device.js';
import { FLOW } from '../support/flow.js';
import { build, read } from '../support/segment.js';

const ignore = (): void => {};

function start(handlers: Partial<EngineEvents>): [Engine, Wire] {
  const [device, far] = socketpair();
  const engine = new Engine(
    { devices: [device], virtioHeader: false, segmentation: false, offload: false, maxFlows: 1, ...DATA_PLANE },
    {
      datagram: ignore,
      segment: ignore,
      opening: ignore,
      application: ignore,
      attached: ignore,
      applicationGone: ignore,
      addresses: ignore,
      largeSent: ignore,
      answer: ignore,
      recut: ignore,
      icmpError: ignore,
      awake: ignore,
      refused: ignore,
      unsent: ignore,
      deviceGone: ignore,
      ...handlers,
    },
  );
  return [engine, new Wire(far)];
}

t.test('a datagram that waits while its flow ends is not given to the flow that has the id next', async (t) => {
  const taken: [flow: number, payload: string][] = [];
  const [engine, wire] = start({
    datagram: (flow, payload) => void taken.push([flow, Buffer.from(payload).toString()]),
  });
  using _ = wire;
  const open = (port: number): number => {
    const flow = engine.openFlow(encodeTuple({ address: SERVER4, port: 443 }, { address: CLIENT4, port }), FLOW);
    if (flow > 0) engine.readFlow(flow);
    return flow;
  };
  const put = (sourcePort: number, payload: string): void => {
    const addresses = { source: CLIENT4, destination: SERVER4, sourcePort, destinationPort: 443 };
    wire.write(build({ ...addresses, seq: 1, ack: 1, flags: 0x10, payload: Buffer.from(payload) }));
    while (engine.flowCounters(1).receivedDatagrams === 0) continue; // events are read when this task has ended
  };
  t.equal(open(1000), 1);
  put(1000, 'for the first');
  engine.closeFlow(1);
  let again = -1;
  while (again < 0) again = open(2000); // until the worker has forgotten the first
  t.equal(again, 1);
  put(2000, 'for the second');
  while (taken.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.same(taken, [[1, 'for the second']]);
  engine.close();
});

t.test('no two kinds of events have one number', async (t) => {
  const numbers = Object.values(addon.layout.eventTypes);
  t.equal(new Set(numbers).size, numbers.length);
});

/** Options that mean something come up often, and so does what is almost one. */
const anyOptions = fc
  .array(
    fc.oneof(
      fc.constantFrom([1], [4, 2], [3, 3, 14], [2, 4, 5, 0xb4], [2, 4, 4, 0xc4], [0], [2, 4], [3, 2], [8, 10]),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => Uint8Array.from(parts.flat().slice(0, 40)))
  .map((bytes) => bytes.subarray(0, bytes.length & ~3));

t.test('an opening says what its SYN said, as the options are read here', async (t) => {
  const openings: PeerSyn[] = [];
  const [engine, wire] = start({ opening: (_, syn) => void openings.push(syn) });
  using _ = wire;
  const none = new Uint8Array(0);
  engine.listen(
    { address: '::', port: 443 },
    { guise4: none, guise6: none, phantun: none, unscaled4: none, unscaled6: none },
  );
  const ends = { source: CLIENT4, destination: SERVER4, sourcePort: 1000, destinationPort: 443 };
  const open = async (seq: number, options: Uint8Array): Promise<PeerSyn> => {
    wire.write(build({ ...ends, seq, ack: 0, flags: 2, options }));
    const answer = read(await wire.read());
    wire.write(build({ ...ends, seq: seq + 1, ack: (answer.seq + 1) >>> 0, flags: 0x10 }));
    while (openings.length === 0) await new Promise((resolve) => setImmediate(resolve));
    return openings.pop()!;
  };
  t.same(await open(7, Buffer.from('020405b4010104020103030e', 'hex')), { profile: 'guise', scaled: true, mss: 1460 });
  t.same(await open(0, Buffer.from('0103030e', 'hex')), { profile: 'phantun', scaled: true, mss: undefined });
  t.same(await open(7, Buffer.from('0204059801010402', 'hex')), { profile: 'guise', scaled: false, mss: 1432 });
  await fc.assert(
    fc.asyncProperty(anyOptions, async (options) => {
      const said = parseSynOptions(options);
      const { scaled, mss } = await open(7, options);
      if (scaled !== said.scaled) throw new Error(`scaled: ${scaled}`);
      if (said.mss === undefined ? mss !== undefined : mss === undefined || mss > Math.max(said.mss, 536))
        throw new Error(`MSS ${mss} instead of ${said.mss}`);
    }),
    { numRuns: 500 },
  );
  engine.close();
});
