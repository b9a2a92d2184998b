/** Every public entry says with a code and a sentence of ours what is wrong with what it is given, and does nothing. */
import fc from 'fast-check';
import t from 'tap';
import { GuiseError, Stack, type Socket, type UdpApplication, type UdpListener } from '../../src/index.js';
import { CLIENT4, SERVER4, socketpair, stackOnWire, stackPair } from '../support/device.js';
import { connectPair } from '../support/peer.js';
import { read } from '../support/segment.js';

type Fields = Record<string, unknown>;

/** Nothing that any option takes. */
const never = fc.constantFrom<unknown>(
  null,
  NaN,
  -1,
  1.5,
  -Infinity,
  2 ** 53,
  '',
  'junk',
  '1.2.3',
  '::ffff:10.0.0.1',
  'fe80::1%lo',
  10n,
  Symbol('junk'),
  () => {},
  [],
  [[]],
  {},
  new Date(0),
  new Proxy({}, {}),
);

const ADDRESS = { address: SERVER4, port: 80 };

interface Entry {
  readonly name: string;
  readonly valid: Fields;
  /** Other values of a field that are wrong, beside `never`. */
  readonly wrong?: Record<string, readonly unknown[]>;
  /** Values of `never` that are right here. */
  readonly right?: Record<string, (value: unknown) => boolean>;
  readonly call: (options: never) => unknown;
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

function entries(stack: Stack, udp: UdpListener, socket: Socket): Entry[] {
  const descriptor = 9999; // never opened: the options are refused before
  const application = { id: 1, listener: 0, worker: 0, local: ADDRESS, remote: ADDRESS } satisfies UdpApplication;
  const ports = [0, 65_536, 70_000, '80', Infinity];
  const times = [0, '5'];
  return [
    {
      name: 'Stack.open',
      valid: {
        device: { descriptors: [descriptor] },
        addresses: [CLIENT4],
        mtu: 1500,
        offload: true,
        maxFlows: 10,
        maxFlowsPerSource: 5,
        idleTimeout: 1000,
        keepalive: 1000,
        deadAfter: 1000,
        ignoreRst: false,
      },
      wrong: {
        device: [
          { descriptors: 5 },
          { descriptors: [descriptor, descriptor] },
          { descriptors: [-1] },
          { descriptors: Array.from({ length: 65 }, (_, i) => 5000 + i) },
          { descriptors: [descriptor], virtioHeader: 1 },
          { name: 'an interface name that is long' },
          { name: 'a/b' },
          { name: 5 },
          { queues: 0 },
          { queues: 65 },
          { queues: '2' },
        ],
        addresses: [[CLIENT4, SERVER4], [CLIENT4, 'fd00::1', 'fd00::2'], CLIENT4, ['fd00::1', 'x'], [undefined]],
        mtu: [0, 575, 65_536, '1500'],
        offload: [0, 1, 'true'],
        maxFlows: [0, 2 ** 20 + 1],
        maxFlowsPerSource: [0],
        idleTimeout: times,
        keepalive: times,
        deadAfter: times,
        ignoreRst: [0, 'no'],
      },
      right: {
        // A TUN without a name: not made here, this needs rights.
        device: isObject,
        idleTimeout: (value) => typeof value === 'number' && value > 0,
        keepalive: (value) => typeof value === 'number' && value > 0,
        deadAfter: (value) => typeof value === 'number' && value > 0,
      },
      call: (options) => Stack.open(options),
    },
    {
      name: 'connect',
      valid: {
        address: SERVER4,
        port: 80,
        profile: 'auto',
        timeout: 1000,
        worker: 0,
        signal: AbortSignal.abort(new GuiseError('ERR_GUISE_ARGUMENT', 'it would have connected')),
      },
      wrong: {
        address: ['example.net', 5],
        port: ports,
        profile: ['other'],
        timeout: [0, Infinity, 2 ** 31],
        worker: [1, 99],
        signal: [{ aborted: true }],
      },
      right: { timeout: (value) => value === 1.5 },
      call: (options) => stack.connect(options),
    },
    { name: 'listen', valid: { port: 81 }, wrong: { port: ports }, call: (options) => stack.listen(options) },
    {
      name: 'listenUdp',
      valid: { address: '127.0.0.1', port: 0 },
      wrong: { address: ['localhost'], port: [65_536, '80'] },
      call: (options) => stack.listenUdp(options),
    },
    {
      name: 'spliceUdp',
      valid: { address: '127.0.0.1', port: 80 },
      wrong: { address: ['localhost'], port: ports },
      call: (options) => socket.spliceUdp(options),
    },
    ...(['spliceApplication', 'drop'] as const).map((name) => ({
      name,
      valid: application,
      wrong: { worker: ['0', 256], local: [{ address: SERVER4 }], remote: [{ ...ADDRESS, port: -1 }] },
      call: (options: never) => (name === 'drop' ? udp.drop(options) : socket.spliceApplication(options)),
    })),
  ];
}

async function thrownBy(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

t.test('junk in any field of any entry is refused by name', async (t) => {
  const [stack, server] = await stackPair();
  const [socket] = await connectPair(stack, server);
  const udp = stack.listenUdp({ address: '127.0.0.1', port: 0 });
  for (const { name, valid, wrong = {}, right = {}, call } of entries(stack, udp, socket)) {
    const junk = fc.constantFrom(...Object.keys(valid)).chain((field) =>
      fc.record({
        field: fc.constant(field),
        value: fc.oneof(
          never.filter((value) => !right[field]?.(value)),
          fc.constantFrom(...(wrong[field] ?? [null])),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(junk, async ({ field, value }) => {
        const error = await thrownBy(() => call({ ...valid, [field]: value } as never));
        const fine = error instanceof GuiseError && error.code === 'ERR_GUISE_ARGUMENT';
        if (!fine || !error.message.includes(field)) throw new Error(`${name}: ${field}: ${String(error)}`);
      }),
      { numRuns: 400 },
    );
    for (const options of [undefined, null, 5, 'x', [], () => {}]) {
      t.match(
        await thrownBy(() => call(options as never)),
        { code: 'ERR_GUISE_ARGUMENT' },
        `${name}(${typeof options})`,
      );
    }
  }
  for (const datagram of [undefined, null, 'text', 5, [1], {}, new ArrayBuffer(4), new Uint16Array(2)]) {
    const error = await thrownBy(() => socket.send(datagram as never));
    t.match(error, { code: 'ERR_GUISE_ARGUMENT', message: /^datagram is/ });
  }
  t.notOk(socket.closed);
  await Promise.all([stack.close(), server.close()]);
});

t.test('the sentence says what was found and what to give', async (t) => {
  const [stack, wire] = await stackOnWire();
  const connect = (options: object): unknown => stack.connect({ ...ADDRESS, ...options });
  for (const [call, message] of [
    [() => connect({ port: 70_000 }), 'port is 70000; give an integer from 1 to 65535.'],
    [() => connect({ worker: 99 }), 'worker is 99; give 0.'],
    [() => connect({ port: 1.5 }), 'port is 1.5; give an integer from 1 to 65535.'],
    [() => connect({ profile: 'tls' }), 'profile is "tls"; give "auto" or "guise" or "phantun".'],
    [() => connect({ timeout: 0 }), 'timeout is 0; give milliseconds, more than 0 and at most 2147483647.'],
    [
      () => connect({ address: 'localhost' }),
      'address is "localhost"; give an IP address, like "192.0.2.1" or "2001:db8::1".',
    ],
    [() => stack.listen({ port: 70_001 }), 'port is 70001; give an integer from 1 to 65535.'],
    [() => stack.listen(undefined as never), 'options is undefined; give an object.'],
    [() => Stack.open({ device: {}, addresses: [] }), /^addresses is a list of 0; give a list of one IPv4/],
    [() => Stack.open({ device: { name: 'x'.repeat(99) }, addresses: [CLIENT4] }), /^device.name is a text of 99/],
  ] as const) {
    t.match(await thrownBy(call), { code: 'ERR_GUISE_ARGUMENT', message });
  }
  // Nothing of it has left: the first packet is the SYN of a call that was right.
  const opening = t.rejects(stack.connect({ address: CLIENT4, port: 80 }), { code: 'ECONNABORTED' });
  t.equal(read(await wire.read()).destinationPort, 80);
  await stack.close();
  await opening;
  wire[Symbol.dispose]();
});

t.test('an address of a family that the stack has not is refused', async (t) => {
  const [descriptor] = socketpair();
  const stack = await Stack.open({ device: { descriptors: [descriptor] }, addresses: [CLIENT4] });
  await t.rejects(stack.connect({ address: 'fd01::2', port: 80 }), {
    code: 'ERR_GUISE_ARGUMENT',
    message: /^address is "fd01::2"; give an IPv4 address/,
  });
  await stack.close();
});

t.test('a stack that is closed says so, and keeps its last counters', async (t) => {
  const [client, server] = await stackPair();
  const [here, there] = await connectPair(client, server);
  here.send(Buffer.from('counted'));
  there.on('message', () => {});
  while (there.counters.receivedDatagrams === 0) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([client.close(), server.close()]);
  const { deviceWrites } = client.counters;
  t.ok(deviceWrites > 0);
  t.equal(client.counters.deviceWrites, deviceWrites);
  t.equal(here.counters.sentDatagrams, 1);
  await t.rejects(client.connect(ADDRESS), { code: 'ECONNABORTED' });
  const closed = { code: 'ERR_GUISE_CLOSED', message: /stack is closed/ };
  t.throws(() => client.listen({ port: 80 }), closed);
  t.throws(() => client.listenUdp({ address: '127.0.0.1', port: 0 }), closed);
  t.throws(() => client.listen({ port: 0 }), { code: 'ERR_GUISE_ARGUMENT' });
  t.same([...client.sockets], []);
  t.equal(client.workers, 1);
  await client.close();
  await client[Symbol.asyncDispose]();
});
