import t from 'tap';
import { Engine } from '../../src/native/engine.js';
import { DATA_PLANE } from '../../src/policy.js';
import { encodeTuple } from '../../src/wire/tuple.js';
import { CLIENT4, SERVER4, socketpair, Wire } from '../support/device.js';
import { FLOW } from '../support/flow.js';
import { build } from '../support/segment.js';

t.test('a datagram that waits while its flow ends is not given to the flow that has the id next', async (t) => {
  const [device, far] = socketpair();
  using wire = new Wire(far);
  const taken: [flow: number, payload: string][] = [];
  const ignore = (): void => {};
  const engine = new Engine(
    {
      devices: [device],
      virtioHeader: false,
      segmentation: false,
      offload: false,
      maxFlows: 1,
      ...DATA_PLANE,
    },
    {
      datagram: (flow, payload) => void taken.push([flow, Buffer.from(payload).toString()]),
      segment: ignore,
      opening: ignore,
      application: ignore,
      attached: ignore,
      applicationGone: ignore,
      addresses: () => {},
      deviceGone: ignore,
    },
  );
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
